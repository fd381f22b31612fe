"""The renderer's end of a timeline, whatever carries it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np

from ipc.errors import MLError
from ipc.timeline.limits import MAX_BINDINGS


class ReadHandle(Protocol):
    """What `read` returns at once; a subset of `concurrent.futures.Future[memoryview]`."""

    def result(self, timeout: float | None = None) -> memoryview:
        """The tensor's bytes; waits for them.

        Raises:
            CancelledError: `cancel` came first.
            TimeoutError: they did not come in time.
            OperationError: the dispatch that should have made the content failed.
            MLError: what `fail` was given.
        """

    def cancel(self) -> bool:
        """Give it up, if it is not over; whether that is so."""

    def done(self) -> bool:
        """Whether `result` returns at once."""

    def add_done_callback(self, callback: Callable[[Any], object], /) -> None:
        """Call it when it is done, in any thread, or now."""


class Place:
    """Memory that a tensor can be in.

    Attributes:
        index: number of the slot among the tensor's.
        shared: its bytes; None where they are not shared.
        last_use: number of the last command issued that touches it.
        last_read: number of the last read issued of it.
        unread: reads that were sent and whose bytes are still in it; for the carrier `stream`.
    """

    __slots__ = ("index", "last_read", "last_use", "shared", "unread")

    def __init__(self, memory: memoryview | None, index: int) -> None:
        self.shared = memory
        self.index = index
        self.last_use = 0
        self.last_read = 0
        self.unread = 0

    @property
    def memory(self) -> memoryview:
        """Its bytes.

        Raises:
            ValueError: they are not shared.
        """
        if self.shared is None:
            raise ValueError("the tensor has no slot in shared memory")
        return self.shared


class ClientTensor:
    """A tensor as commands name it.

    Attributes:
        place: where it is.
        spare: another slot, into which it can move.
    """

    __slots__ = ("__weakref__", "byte_length", "place", "spare", "token")

    def __init__(
        self, token: bytes, byte_length: int, slot: memoryview | None = None, spare: memoryview | None = None
    ) -> None:
        """Slots are its bytes in shared memory, where carrier and usage allow it."""
        self.token = token
        self.byte_length = byte_length
        self.place = Place(slot, 0)
        self.spare = None if spare is None else Place(spare, 1)

    @property
    def slot(self) -> memoryview | None:
        """Its bytes, where they are in shared memory."""
        return self.place.shared

    def move(self, completed: int) -> Place | None:
        """Move into the spare slot; None if there is none, or commands after `completed` use it."""
        spare = self.spare
        if spare is None or spare.last_use > completed:
            return None
        self.place, self.spare = spare, self.place
        return spare


class TimelineClient(Protocol):
    """Issues commands of one context, in the order of the calls. Thread-safe; nothing here waits for the GPU process.

    Every method raises what `fail` was given, once it was called.
    """

    @property
    def sequence(self) -> int:
        """Number of the last command that was issued."""

    def write(self, tensor: ClientTensor, data: memoryview) -> None:
        """Write a tensor; `data` has its exact length and is copied before this returns."""

    def dispatch(
        self, graph: bytes, inputs: Mapping[str, ClientTensor], outputs: Mapping[str, ClientTensor]
    ) -> Binding:
        """Run a graph; what is returned does the same again."""

    def dispatch_again(self, binding: Binding) -> bool:
        """Run a graph with the same tensors again; False, and nothing is done, if the binding is not live any more."""

    def read(self, tensor: ClientTensor, into: memoryview | None = None, *, view: bool = False) -> ReadHandle:
        """Read a tensor, into a writable buffer of its exact length or into a new one.

        Args:
            view: instead of a copy, show the bytes where they are, if they are in shared memory: they stay until a
                write, or a dispatch, that touches the tensor is issued.
        """

    def destroy_tensor(self, tensor: ClientTensor) -> None:
        """Free a tensor after all that was issued before."""

    def destroy_graph(self, graph: bytes) -> None:
        """Free a graph after all that was issued before."""

    def fail(self, error: MLError) -> None:
        """End it: every pending handle fails with `error`. Idempotent."""


class Binding:
    """A graph with its tensors, as it is named after the first dispatch.

    Attributes:
        number: its name; another binding has had it before, until command `after`.
        live: whether the number still means this one.
        ready: whether the GPU process knows it; what sends the definition along does not use this.
        last_use: number of the last dispatch.
        tensors: all of them.
        written: those that are outputs.
    """

    __slots__ = ("after", "graph", "inputs", "last_use", "live", "number", "outputs", "ready", "tensors", "written")

    def __init__(self, number: int, after: int, key: BindingKey) -> None:
        self.number = number
        self.after = after
        self.graph, self.inputs, self.outputs = key
        self.live = True
        self.ready = True
        self.last_use = 0
        self.written = tuple(tensor for _, tensor in self.outputs)
        self.tensors = (*(tensor for _, tensor in self.inputs), *self.written)


BindingKey = tuple[bytes, tuple[tuple[str, ClientTensor], ...], tuple[tuple[str, ClientTensor], ...]]


class Bindings:
    """Numbers for graphs with their tensors. Not thread-safe: used in the order of issue."""

    def __init__(self) -> None:
        self._known: dict[BindingKey, Binding] = {}
        self._of_object: dict[object, set[BindingKey]] = {}
        self._free: list[tuple[int, int]] = []  # number, and the last command that used it

    def find(
        self, graph: bytes, inputs: Mapping[str, ClientTensor], outputs: Mapping[str, ClientTensor]
    ) -> tuple[Binding, bool]:
        """The binding, and whether it is new: then the number may have named another one before."""
        key = (graph, tuple(inputs.items()), tuple(outputs.items()))
        known = self._known.get(key)
        if known is not None:
            return known, False
        if len(self._known) == MAX_BINDINGS:
            self._forget(next(iter(self._known)))  # the oldest
        number, after = self._free.pop() if self._free else (len(self._known) + 1, 0)
        binding = self._known[key] = Binding(number, after, key)
        for item in self._objects(key):
            self._of_object.setdefault(item, set()).add(key)
        return binding, True

    def forget(self, item: ClientTensor | bytes) -> None:
        """A tensor or graph is destroyed, and with it its bindings."""
        for key in list(self._of_object.get(item, ())):
            self._forget(key)

    def _forget(self, key: BindingKey) -> None:
        binding = self._known.pop(key)
        binding.live = False
        self._free.append((binding.number, binding.last_use))
        for item in self._objects(key):
            keys = self._of_object[item]
            keys.discard(key)
            if not keys:
                del self._of_object[item]

    @staticmethod
    def _objects(key: BindingKey) -> tuple[object, ...]:
        graph, inputs, outputs = key
        return (graph, *(tensor for _, tensor in inputs), *(tensor for _, tensor in outputs))


class Failure:
    """What ended a timeline.

    Attributes:
        error: None while it has not ended.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.error: MLError | None = None

    def set(self, error: MLError) -> bool:
        """Whether this was the first."""
        with self._lock:
            if self.error is not None:
                return False
            self.error = error
            return True

    def check(self) -> None:
        """Raise it, as a new exception with the same words: one object must not gather everybody's traceback."""
        if self.error is not None:
            raise type(self.error)(str(self.error))


Broken = Callable[[str], None]


def bytes_of(data: memoryview, tensor: ClientTensor) -> memoryview:
    """`data` as bytes.

    Raises:
        ValueError: they are not as many as the tensor has.
    """
    if data.format != "B" or data.ndim != 1:
        data = data.cast("B")
    if data.nbytes != tensor.byte_length:
        raise ValueError(f"{data.nbytes} bytes for a tensor of {tensor.byte_length}")
    return data


def copy(target: memoryview, source: bytes | memoryview) -> None:
    """Copy bytes."""
    if target.nbytes < 1 << 16:
        target[:] = source
    else:  # NumPy lets other threads run meanwhile
        np.copyto(np.frombuffer(target, np.uint8), np.frombuffer(source, np.uint8))
