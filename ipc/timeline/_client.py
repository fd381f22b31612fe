"""The renderer's end of a timeline, whatever carries it."""

from __future__ import annotations

import concurrent.futures
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from ipc.errors import MLError
from ipc.timeline.limits import MAX_BINDINGS

ReadHandle = concurrent.futures.Future[memoryview]
"""What `read` returns at once; its result is the tensor's bytes, its callbacks run in the timeline's thread."""


@dataclass(slots=True, eq=False)
class ClientTensor:
    """A tensor as commands name it.

    Attributes:
        slot: its bytes in shared memory, where carrier and usage allow it.
        last_use: sequence number of the last command issued that touches it. The client's own.
        unread: reads that were sent and whose bytes are still in the slot. The client's own.
    """

    token: bytes
    byte_length: int
    slot: memoryview | None = None
    last_use: int = field(default=0, repr=False)
    unread: int = field(default=0, repr=False)


class TimelineClient(Protocol):
    """Issues commands of one context, in the order of the calls. Thread-safe; nothing here waits for the GPU process.

    Every method raises what `fail` was given, once it was called.
    """

    @property
    def sequence(self) -> int:
        """Number of the last command that was issued."""

    def write(self, tensor: ClientTensor, data: memoryview) -> None:
        """Write a tensor; `data` has its exact length and is copied before this returns."""

    def dispatch(self, graph: bytes, inputs: Mapping[str, ClientTensor], outputs: Mapping[str, ClientTensor]) -> None:
        """Run a graph."""

    def read(self, tensor: ClientTensor, into: memoryview | None = None) -> ReadHandle:
        """Read a tensor, into a writable buffer of its exact length or into a new one.

        Raises (from the handle):
            OperationError: the dispatch that should have made the content failed.
        """

    def destroy_tensor(self, tensor: ClientTensor) -> None:
        """Free a tensor after all that was issued before."""

    def destroy_graph(self, graph: bytes) -> None:
        """Free a graph after all that was issued before."""

    def fail(self, error: MLError) -> None:
        """End it: every pending handle fails with `error`. Idempotent."""


@dataclass(frozen=True, slots=True)
class Binding:
    """A graph with its tensors, as it is named after the first dispatch."""

    number: int
    inputs: tuple[tuple[str, ClientTensor], ...]
    outputs: tuple[tuple[str, ClientTensor], ...]
    graph: bytes


BindingKey = tuple[bytes, tuple[tuple[str, ClientTensor], ...], tuple[tuple[str, ClientTensor], ...]]


class Bindings:
    """Numbers for graphs with their tensors. Not thread-safe: used in the order of issue."""

    def __init__(self) -> None:
        self._known: dict[BindingKey, Binding] = {}
        self._of_object: dict[object, set[BindingKey]] = {}
        self._free: list[int] = []

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
        number = self._free.pop() if self._free else len(self._known) + 1
        binding = self._known[key] = Binding(number, key[1], key[2], graph)
        for item in self._objects(key):
            self._of_object.setdefault(item, set()).add(key)
        return binding, True

    def forget(self, item: ClientTensor | bytes) -> None:
        """A tensor or graph is destroyed, and with it its bindings."""
        for key in list(self._of_object.get(item, ())):
            self._forget(key)

    def _forget(self, key: BindingKey) -> None:
        self._free.append(self._known.pop(key).number)
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
    """The error that ended a timeline, if any."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._error: MLError | None = None

    def set(self, error: MLError) -> bool:
        """Whether this was the first."""
        with self._lock:
            if self._error is not None:
                return False
            self._error = error
            return True

    @property
    def error(self) -> MLError | None:
        return self._error

    def check(self) -> None:
        """Raise it, as a new exception with the same words: one object must not gather everybody's traceback."""
        if self._error is not None:
            raise type(self._error)(str(self._error))


Broken = Callable[[str], None]
