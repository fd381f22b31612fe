"""The one ordered sequence of a context: write, dispatch, read, destroy, whatever carries them.

Carriers decode what came over the wire and call the methods here, one command after the other; every check of a command
is here, so that no carrier can forget one. Nothing here knows of gRPC.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gpu_process.bound_graph import LONG, BoundGraph
from gpu_process.tensors import ConstantTensor, Tensor
from gpu_process.tracing import TracedGraph
from ipc import trace
from ipc.descriptors import Descriptor
from ipc.shared_memory import Bytes
from ipc.timeline.limits import CHUNK_BYTES, MAX_BINDINGS
from ipc.verdicts import BadMessage
from ipc.verdicts import BadMessageReason as Reason

if TYPE_CHECKING:
    from gpu_process.context import Context

NamedTokens = Sequence[tuple[str, bytes]]


class Scheduler:
    """Executes the commands of one context in order. Commands are executed within `turn`, by one thread at a time.

    Attributes:
        done: number of the last command that was executed.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._bindings: dict[int, BoundGraph] = {}
        self._partial: tuple[Tensor, int] | None = None  # a write in pieces: its tensor, and where the next one begins
        self._turn = threading.Lock()
        self._tables = threading.Lock()  # for bindings and what they are made of; taken within turns and without
        self._advanced = threading.Condition()
        self._waiting = 0
        self.done = 0

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Hold the sequence while commands are executed; what was ended meanwhile is freed at the end."""
        self.begin_turn()
        try:
            yield
        finally:
            self.end_turn()

    def begin_turn(self) -> None:
        """As `turn`, for those who are in a hurry; `end_turn` must follow."""
        self._turn.acquire()

    def end_turn(self) -> None:
        self._turn.release()
        if self._waiting:
            with self._advanced:
                self._advanced.notify_all()
        if self._context.ended:
            self._context.free_if_ended()

    def between_turns(self, action: Callable[[], None]) -> None:
        """Do `action` now if no command is running; whoever is running does it when it leaves."""
        if self._turn.acquire(blocking=False):
            try:
                action()
            finally:
                self._turn.release()

    def wait_for(self, sequence: int, timeout: float) -> bool:
        """Wait until the command with this number is done or the context has ended; whether it is done."""
        with self._advanced:
            self._waiting += 1
            try:
                self._advanced.wait_for(lambda: self.done >= sequence or self._context.ended, timeout)
            finally:
                self._waiting -= 1
        return self.done >= sequence

    def wake(self) -> None:
        """The context has ended: nobody needs to wait."""
        with self._advanced:
            self._advanced.notify_all()

    def clear(self) -> None:
        """Let go of all memory."""
        with self._tables:
            self._bindings.clear()
        self._partial = None

    # --- commands: each advances the sequence by one ------------------------------------------------------------------

    def begin(self, sequence: int) -> None:
        """Check the number of the command that is executed next."""
        if sequence != self.done + 1:
            raise BadMessage(Reason.SEQUENCE, "command.sequence")

    def write_slot(self, token: bytes, place: int = 0) -> None:
        """The renderer has written one of a tensor's slots, which is where the tensor is from here on."""
        tensor = self._writable(token)
        if not tensor.is_shared:
            raise BadMessage(Reason.WRITE_FORM, "write.data")
        if place >= len(tensor.slots):
            raise BadMessage(Reason.SLOT_NUMBER, "write.slot")
        tensor.written_in_slot(place)
        self.done += 1

    def move(self, token: bytes, place: int) -> None:
        """A tensor is in another one of its slots from here on; what is there will be overwritten by a dispatch."""
        tensor = self._tensor(token, "move.tensor")
        if place >= len(tensor.slots):
            raise BadMessage(Reason.SLOT_NUMBER, "move.slot")
        tensor.move(place)
        self.done += 1

    def write_bytes(self, token: bytes, data: bytes | memoryview, offset: int) -> None:
        """The next piece of a tensor's content; pieces of one tensor follow each other immediately."""
        expected = 0 if self._partial is None else self._partial[1]
        tensor = self._writable(token, goes_on=True)
        if tensor.is_shared:
            raise BadMessage(Reason.WRITE_FORM, "write.data")
        if offset != expected:
            raise BadMessage(Reason.WRITE_LENGTH, "write.offset")
        end = offset + len(data)
        total = tensor.descriptor.byte_length
        if len(data) != min(CHUNK_BYTES, total - offset):
            raise BadMessage(Reason.WRITE_LENGTH, "write.data")
        tensor.write(memoryview(data), offset)
        self._partial = None if end == total else (tensor, end)
        self.done += 1

    def define(self, binding: int, graph: bytes, inputs: NamedTokens, outputs: NamedTokens) -> None:
        """Validate a graph with its tensors and name it `binding`; does not run it, nor count as a command.

        Any thread may, also beside a turn.
        """
        self._no_partial_write()
        if not 1 <= binding <= MAX_BINDINGS:
            raise BadMessage(Reason.BINDING_ID, "dispatch.define")
        with self._tables:
            if self._context.ended:
                return  # and nothing will be dispatched
            bound = self._validated(graph, inputs, outputs)
            self._drop(binding)
            self._bindings[binding] = bound
            bound.graph.bindings.add(binding)
            for tensor, _, _ in (*bound.inputs, *bound.outputs):
                tensor.bindings.add(binding)

    def takes_long(self, binding: int) -> bool:
        """Whether a dispatch may take so long that others should not wait for it."""
        bound = self._bindings.get(binding)
        return bound is not None and bound.duration > LONG

    def dispatch(self, binding: int) -> None:
        """Run what was bound."""
        if self._partial is not None:
            self._no_partial_write()
        bound = self._bindings.get(binding)
        if bound is None:
            if self._context.ended:
                return  # while this command was on its way: it may not have been defined any more
            raise BadMessage(Reason.UNKNOWN_BINDING, "dispatch.binding")
        bound.run()
        self.done += 1

    def read(self, token: bytes) -> Tensor:
        """The tensor to read; `Tensor.failure` says if it has no content."""
        self._no_partial_write()
        tensor = self._tensor(token, "read.tensor")
        if not tensor.readable:
            raise BadMessage(Reason.NOT_READABLE, "read.tensor")
        self.done += 1
        return tensor

    def destroy_tensor(self, token: bytes) -> None:
        """Free a tensor, constant or not, and its bindings."""
        self._no_partial_write()
        tensor = self._context.tensors.get(token)
        if tensor is None:
            raise BadMessage(Reason.UNKNOWN_TENSOR, "destroy.tensor")
        with self._tables:
            if isinstance(tensor, Tensor):
                for binding in list(tensor.bindings):
                    self._drop(binding)
            self._context.forget_tensor(tensor)
        self.done += 1

    def destroy_graph(self, token: bytes) -> None:
        """Free a graph and its bindings."""
        self._no_partial_write()
        graph = self._context.graphs.get(token)
        if graph is None:
            raise BadMessage(Reason.UNKNOWN_GRAPH, "destroy.graph")
        with self._tables:
            for binding in list(graph.bindings):
                self._drop(binding)
            self._context.forget_graph(graph)
        self.done += 1

    # --- checks -------------------------------------------------------------------------------------------------------

    def _validated(self, graph_token: bytes, inputs: NamedTokens, outputs: NamedTokens) -> BoundGraph:
        """The checks of dispatch, in the order of the specification's."""
        tokens = [token for _, token in (*inputs, *outputs)]
        if len(set(tokens)) != len(tokens):
            raise BadMessage(Reason.DUPLICATE_TENSOR, "dispatch")
        graph = self._context.graphs.get(graph_token)
        if graph is None:
            raise BadMessage(Reason.UNKNOWN_GRAPH, "dispatch.graph")
        found = {
            side: [(name, self._tensor(token, f"dispatch.{side}")) for name, token in named]
            for side, named in (("inputs", inputs), ("outputs", outputs))
        }
        matched = (
            _matching(found["inputs"], graph.inputs, "dispatch.inputs"),
            _matching(found["outputs"], graph.outputs, "dispatch.outputs"),
        )
        if trace.recorder is not None:
            return TracedGraph(graph, *matched, self, trace.key_of(self._context.token))
        return BoundGraph(graph, *matched)

    def _tensor(self, token: bytes, path: str) -> Tensor:
        tensor = self._context.tensors.get(token)
        if tensor is None:
            raise BadMessage(Reason.UNKNOWN_TENSOR, path)
        if isinstance(tensor, ConstantTensor):
            raise BadMessage(Reason.CONSTANT_TENSOR, path)
        return tensor

    def _writable(self, token: bytes, goes_on: bool = False) -> Tensor:
        tensor = self._tensor(token, "write.tensor")
        if not tensor.writable:
            raise BadMessage(Reason.NOT_WRITABLE, "write.tensor")
        if not (goes_on and self._partial is not None and self._partial[0] is tensor):
            self._no_partial_write()
        return tensor

    def _no_partial_write(self) -> None:
        if self._partial is not None:
            raise BadMessage(Reason.WRITE_LENGTH, "write.data")

    def _drop(self, binding: int) -> None:
        bound = self._bindings.pop(binding, None)
        if bound is not None:
            bound.graph.bindings.discard(binding)
            for tensor, _, _ in (*bound.inputs, *bound.outputs):
                tensor.bindings.discard(binding)


def _matching(
    named: Sequence[tuple[str, Tensor]], descriptors: Mapping[str, Descriptor], path: str
) -> Mapping[str, Tensor]:
    tensors = dict(named)
    if len(tensors) != len(named) or tensors.keys() != descriptors.keys():
        raise BadMessage(Reason.BINDING_NAMES, path)
    for name, tensor in tensors.items():
        if tensor.descriptor != descriptors[name]:
            raise BadMessage(Reason.BINDING_DESCRIPTOR, path)
    return tensors


def content_in_chunks(tensor: Tensor) -> Iterator[Bytes]:
    """The bytes of a tensor in the pieces in which they travel inside messages."""
    content = tensor.content()
    for start in range(0, len(content), CHUNK_BYTES):
        yield content[start : start + CHUNK_BYTES]
