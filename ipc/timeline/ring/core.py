"""The renderer's end of a ring without threads, locks or clocks: what to issue now, what later, and what has come back.

A command that can't be published yet waits in a queue, and all that are issued after it wait behind it:

- there is no room in the ring;
- a dispatch uses a binding that the GPU process does not know yet;
- a write, and no slot of the tensor is free of work in flight: its bytes are staged;
- a dispatch would overwrite what a read that was issued before has not fetched, and there is no spare slot;
- a tensor is destroyed, whose slot can be another's at once, and a read of it has not been fetched.

Where a tensor has a spare slot, the write and the dispatch don't wait: the tensor moves into it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping

from ipc.errors import MLError
from ipc.timeline._client import Binding, Bindings, ClientTensor, Place, copy
from ipc.timeline.ring.commands import DESTROY_GRAPH, DESTROY_TENSOR, DISPATCH, MOVE, NO_TOKEN, READ, WRITE
from ipc.timeline.ring.ends import RendererEnd
from ipc.timeline.ring.layout import CAPACITY

MAX_WAITING = 1 << 16  # commands; who issues faster than the GPU process works should wait then
MAX_STAGED_BYTES = 256 << 20

DecodeError = Callable[[bytes], MLError]


class PendingRead:
    """A read that was issued. Used under the lock of whoever drives the core.

    Attributes:
        sequence: number of its command.
        settled: whether it is over.
        cancelled: whether nobody wants it any more.
        expected: whether somebody is to be told when it is over.
        place: where the bytes will be.
        data: the bytes, once settled.
        error: why there are none.
    """

    __slots__ = ("_into", "_view", "cancelled", "data", "error", "expected", "place", "sequence", "settled")

    def __init__(self, tensor: ClientTensor, into: memoryview | None, view: bool) -> None:
        self.sequence = 0
        self.settled = False
        self.cancelled = False
        self.expected = False
        self.data: memoryview | None = None
        self.error: MLError | None = None
        self.place = tensor.place
        self._into = into
        self._view = view

    def fetch(self) -> None:
        """Its command is done: take the bytes out of the slot, or show them where they are."""
        if not self.cancelled:
            source = self.place.memory
            if self._view:
                self.data = source.toreadonly()
            else:
                if self._into is None:
                    self._into = memoryview(bytearray(source.nbytes))
                copy(self._into, source)
                self.data = self._into
        self.settled = True  # last: whoever waits looks at this without the lock

    def reject(self, error: MLError) -> None:
        """It has no result."""
        self.error = error
        self.settled = True


class _Waiting:
    """A command in the queue.

    Attributes:
        after: number of the command that must be done first.
    """

    __slots__ = ("after", "binding", "kind", "number", "place", "sequence", "staged", "token")

    def __init__(self, sequence: int, kind: int, number: int, token: bytes, after: int = 0) -> None:
        self.sequence = sequence
        self.kind = kind
        self.number = number
        self.token = token
        self.after = after
        self.binding: Binding | None = None
        self.staged: bytes | None = None
        self.place: Place | None = None


class RingCore:
    """Issues commands and takes what comes back.

    Attributes:
        sequence: number of the last command that was issued, published or not.
        waiting: commands that could not be published yet.
        settled: expected reads that are over since the driver has last looked; it empties the list.
    """

    def __init__(self, end: RendererEnd, decode_error: DecodeError) -> None:
        self.sequence = 0
        self.waiting: deque[_Waiting] = deque()
        self.settled: list[PendingRead] = []
        self._end = end
        self._decode_error = decode_error
        self._reads: deque[PendingRead] = deque()
        self._bindings = Bindings()
        self._unknown: deque[Binding] = deque()
        self._staged_bytes = 0

    @property
    def is_full(self) -> bool:
        """Whether issuing should wait."""
        return len(self.waiting) >= MAX_WAITING or self._staged_bytes >= MAX_STAGED_BYTES

    # --- issuing ------------------------------------------------------------------------------------------------------

    def write(self, tensor: ClientTensor, data: memoryview) -> None:
        """Write a tensor; `data` has its length."""
        place = tensor.place
        if not self.waiting and place.last_use > self._end.completed:
            self.advance()
        completed = self._end.completed
        if not self.waiting and self._end.room:
            if place.last_use > completed:
                place = tensor.move(completed) or place
            if place.last_use <= completed:
                copy(place.memory, data)
                place.last_use = self._publish(WRITE, place.index, tensor.token)
                return
        waiting = self._wait(WRITE, place.index, tensor.token, place.last_use)
        waiting.staged, waiting.place = bytes(data), place
        self._staged_bytes += data.nbytes
        place.last_use = self.sequence

    def bind(self, graph: bytes, inputs: Mapping[str, ClientTensor], outputs: Mapping[str, ClientTensor]) -> Binding:
        """The binding of a graph with these tensors; the GPU process is to be told of a new one, see `unknown`."""
        binding, is_new = self._bindings.find(graph, inputs, outputs)
        if is_new:
            binding.ready = False
            self._unknown.append(binding)
        return binding

    def dispatch(self, binding: Binding) -> None:
        """Run what is bound; the binding must be live."""
        end = self._end
        after = 0
        for tensor in binding.written:
            if tensor.place.last_read > end.completed:
                after = self._clear_for(binding)
                break
        if self.waiting or after or not binding.ready or not end.room:
            self._wait(DISPATCH, binding.number, NO_TOKEN, after).binding = binding
            sequence = self.sequence
        else:
            sequence = self._publish(DISPATCH, binding.number, NO_TOKEN)
        binding.last_use = sequence
        for tensor in binding.tensors:
            tensor.place.last_use = sequence

    def read(self, tensor: ClientTensor, read: PendingRead) -> None:
        """Read a tensor."""
        place = read.place = tensor.place
        if self.waiting or not self._end.room:
            self._wait(READ, 0, tensor.token)
            sequence = self.sequence
        else:
            sequence = self._publish(READ, 0, tensor.token)
        read.sequence = place.last_use = place.last_read = sequence
        self._reads.append(read)

    def destroy_tensor(self, tensor: ClientTensor) -> None:
        """Free a tensor after all that was issued before."""
        self._bindings.forget(tensor)
        last_read = max((place.last_read for place in (tensor.place, tensor.spare) if place is not None), default=0)
        self._issue(DESTROY_TENSOR, tensor.token, last_read)

    def destroy_graph(self, graph: bytes) -> None:
        """Free a graph after all that was issued before."""
        self._bindings.forget(graph)
        self._issue(DESTROY_GRAPH, graph)

    def _issue(self, kind: int, token: bytes, after: int = 0) -> None:
        if self.waiting or not self._end.room or after > self._end.completed:
            self._wait(kind, 0, token, after)
        else:
            self._publish(kind, 0, token)

    def _clear_for(self, binding: Binding) -> int:
        """Move outputs away from what has not been fetched; the command to wait for, where that is not possible."""
        if not self.waiting:
            self.advance()
        end = self._end
        held = [tensor for tensor in binding.written if tensor.place.last_read > end.completed]
        movable = not self.waiting and binding.ready and end.room > len(held)
        if movable and all(tensor.spare and tensor.spare.last_use <= end.completed for tensor in held):
            for tensor in held:
                place = tensor.move(end.completed)
                assert place is not None
                place.last_use = self._publish(MOVE, place.index, tensor.token)
            return 0
        return max((tensor.place.last_read for tensor in held), default=0)

    def _publish(self, kind: int, number: int, token: bytes) -> int:
        self.sequence = sequence = self._end.publish(kind, number, token)
        return sequence

    def _wait(self, kind: int, number: int, token: bytes, after: int = 0) -> _Waiting:
        self.sequence += 1
        waiting = _Waiting(self.sequence, kind, number, token, after)
        self.waiting.append(waiting)
        return waiting

    # --- what comes back ----------------------------------------------------------------------------------------------

    def advance(self) -> bool:
        """Take note of what is done: fetch what was read, and publish what has waited for it.

        Returns:
            Whether any read was settled.

        Raises:
            RingError: the GPU process has written what it can't have written.
        """
        end, reads = self._end, self._reads
        completed = end.look()
        settled = False
        if completed != end.completed:
            while reads and reads[0].sequence <= completed:
                read = reads.popleft()
                error = end.error_of(read.sequence)
                if error is None:
                    read.fetch()
                else:
                    read.reject(self._decode_error(error))
                settled = True
                if read.expected:
                    self.settled.append(read)
            end.take_note(completed)
        if self.waiting:
            self._publish_waiting()
        return settled

    def _publish_waiting(self) -> None:
        end = self._end
        while self.waiting and end.room:
            first = self.waiting[0]
            if first.after > end.completed or (first.binding is not None and not first.binding.ready):
                return
            self.waiting.popleft()
            if first.staged is not None:
                assert first.place is not None
                copy(first.place.memory, first.staged)
                self._staged_bytes -= len(first.staged)
            published = end.publish(first.kind, first.number, first.token)
            assert published == first.sequence, (published, first.sequence)

    def interest(self) -> int:
        """Number of the command whose completion the driver should be woken for; 0 for none."""
        end = self._end
        numbers = []
        if self._reads:
            numbers.append(self._reads[0].sequence)
        if self.waiting:
            numbers.append(self.waiting[0].after if end.room else end.completed + CAPACITY // 4)
        if self._unknown:
            numbers.append(self._unknown[0].after)
        return min((number for number in numbers if end.completed < number <= end.published), default=0)

    # --- bindings -----------------------------------------------------------------------------------------------------

    def unknown(self, limit: int) -> list[Binding]:
        """Bindings that the GPU process can be told of now; `known` follows for each of them."""
        found: list[Binding] = []
        while self._unknown and len(found) < limit and self._unknown[0].after <= self._end.completed:
            found.append(self._unknown.popleft())
        return found

    @property
    def has_unknown(self) -> bool:
        return bool(self._unknown)

    def known(self, bindings: list[Binding]) -> None:
        """The GPU process knows them."""
        for binding in bindings:
            binding.ready = True
        self._publish_waiting()

    # --- the end ------------------------------------------------------------------------------------------------------

    def fail(self, error: MLError) -> None:
        """Nothing comes any more: every read fails."""
        for read in self._reads:
            read.reject(error)
            if read.expected:
                self.settled.append(read)
        self._reads.clear()
        self.waiting.clear()
        self._unknown.clear()
        self._bindings = Bindings()  # they hold the tensors' memory
