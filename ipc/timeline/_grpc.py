"""Timelines on a gRPC stream: `inline` with the tensors' bytes in the messages, `stream` with them in shared memory.

Whoever calls only puts commands into a queue. A thread of gRPC's takes from it whatever is ready, so that what piles up
while one batch is sent makes up the next. Completions are taken by the thread of gRPC's that receives them, so that
whoever waits for a read is woken by it and not by a third one. Neither ever waits for the other.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError

from ipc import trace
from ipc.channel import CONTEXT_METADATA, failure_of
from ipc.codec import CodecError, decode_error
from ipc.errors import MLError
from ipc.generated.webnn.v1 import timeline_pb2
from ipc.timeline._client import Binding, Bindings, Broken, ClientTensor, Failure, bytes_of, copy
from ipc.timeline._grpc_commands import Command, Destroy, Dispatch, InlineWrite, Read, SlotWrite, encode_batch
from ipc.timeline.limits import MAX_BATCH_BYTES, MAX_COMMANDS, chunks
from ipc.timeline.wire import READ, WireError, carved
from ipc.verdicts import BadMessageReason

if TYPE_CHECKING:
    from ipc.timeline.stub import ServiceStub

_MAX_QUEUED = 1 << 16  # commands; who issues faster than the GPU process works waits here for a moment
_MAX_QUEUED_BYTES = 256 << 20  # of copied data
_ALONE = 2 << 20  # bytes from which a piece of a tensor is sent alone: company costs a copy, another message a way


class GrpcTimeline:
    """A `TimelineClient` on a bidirectional stream; `write` is what the carriers differ in."""

    def __init__(self, stub: ServiceStub, metadata: tuple[tuple[str, Any], ...], broken: Broken) -> None:
        self._broken = broken
        self._issuing = threading.Lock()  # makes the order; held while data are copied
        self._bindings = Bindings()
        self._sequence = 0
        self._lock = threading.Lock()  # guards all below; held for moments only
        self._sendable = threading.Condition(self._lock)
        self._room = threading.Condition(self._lock)
        self._queue: deque[Command] = deque()
        self._queued_bytes = 0
        self._taken = 0  # sequence number of the last command that left the queue
        self._completed = 0
        self._unanswered: dict[int, Read] = {}
        self._distrusted: CodecError | None = None  # for what came
        self._failure = Failure()
        self._key = trace.key_of(dict(metadata).get(CONTEXT_METADATA, b""))
        self._call = stub.open_timeline(self._batches(), self._receive, metadata)
        self._listener = threading.Thread(target=self._listen, name="webnn-timeline", daemon=True)
        self._listener.start()

    @property
    def sequence(self) -> int:
        return self._sequence

    def write(self, tensor: ClientTensor, data: memoryview) -> None:
        raise NotImplementedError

    def dispatch(
        self, graph: bytes, inputs: Mapping[str, ClientTensor], outputs: Mapping[str, ClientTensor]
    ) -> Binding:
        with self._order():
            binding, is_new = self._bindings.find(graph, inputs, outputs)
            self._dispatch(binding, is_new)
        return binding

    def dispatch_again(self, binding: Binding) -> bool:
        with self._order():
            if not binding.live:
                return False
            self._dispatch(binding, is_new=False)
        return True

    def _dispatch(self, binding: Binding, is_new: bool) -> None:
        sequence = self._issue(Dispatch(binding, is_new))
        for tensor in binding.tensors:
            tensor.place.last_use = sequence

    def read(self, tensor: ClientTensor, into: memoryview | None = None, *, view: bool = False) -> Read:
        if into is not None:
            into = into.cast("B")
            if into.nbytes != tensor.byte_length:
                raise ValueError(f"a buffer of {into.nbytes} bytes for a tensor of {tensor.byte_length}")
        read = Read(tensor, into, view)
        with self._order():
            tensor.place.last_use = self._issue(read)
        return read

    def destroy_tensor(self, tensor: ClientTensor) -> None:
        with self._order(frees=True):
            self._bindings.forget(tensor)
            tensor.place.last_use = self._issue(Destroy(tensor=tensor))

    def destroy_graph(self, graph: bytes) -> None:
        with self._order(frees=True):
            self._bindings.forget(graph)
            self._issue(Destroy(graph=graph))

    def fail(self, error: MLError) -> None:
        if not self._failure.set(error):
            return
        with self._lock:
            waiting = list(self._unanswered.values())
            waiting += (command for command in self._queue if isinstance(command, Read))
            self._unanswered.clear()
            self._queue.clear()
            self._sendable.notify_all()
            self._room.notify_all()
        self._call.cancel()
        self._bindings = Bindings()  # they hold the tensors' memory
        for read in waiting:
            read.settle(error)
            read.call_back()

    # --- issuing ------------------------------------------------------------------------------------------------------

    @contextmanager
    def _order(self, *, frees: bool = False) -> Iterator[None]:
        # Before the lock, and not by what frees: who frees may be the one that has to tell that this has ended.
        if not frees and (len(self._queue) >= _MAX_QUEUED or self._queued_bytes >= _MAX_QUEUED_BYTES):
            self._wait_for_room()
        with self._issuing:
            self._failure.check()
            yield

    def _wait_for_room(self) -> None:
        if threading.current_thread() is self._listener:
            return  # a callback of a read: what it waits for might be its own next turn
        with self._lock:
            while len(self._queue) >= _MAX_QUEUED or self._queued_bytes >= _MAX_QUEUED_BYTES:
                self._failure.check()
                self._room.wait()

    def _issue(self, command: Command) -> int:
        """Queue a command, in the caller's order; returns its sequence number."""
        self._sequence += 1
        with self._lock:
            if self._failure.error is None:
                self._queue.append(command)
                self._queued_bytes += command.held
                self._sendable.notify()
                return self._sequence
        self._failure.check()
        raise AssertionError

    # --- sending: in gRPC's thread ------------------------------------------------------------------------------------

    def _batches(self) -> Iterator[bytes]:
        while commands := self._take():
            began, first = trace.now(), self._taken - len(commands) + 1
            batch = encode_batch(commands, first)
            if trace.recorder is not None:
                trace.recorder.span(trace.Stage.SEND, began, self._key, first, self._taken)
            del commands  # or their data stay until the next ones come
            yield batch

    def _take(self) -> list[Command]:
        """What can be sent now, at least one command; none when it is over."""
        commands: list[Command] = []
        size = 0
        with self._lock:
            while not (self._queue and self._queue[0].ready(self._completed)):
                if self._failure.error is not None:
                    return []
                self._sendable.wait()
            while self._queue and len(commands) < MAX_COMMANDS and self._queue[0].ready(self._completed):
                command = self._queue[0]
                size += command.size
                if commands and (size > MAX_BATCH_BYTES or command.size >= _ALONE):
                    break
                self._queue.popleft()
                self._queued_bytes -= command.held
                self._taken += 1
                command.sent()
                if isinstance(command, Read):
                    self._unanswered[self._taken] = command
                commands.append(command)
                if command.size >= _ALONE:
                    break
            self._room.notify_all()
        return commands

    # --- receiving: in gRPC's thread ----------------------------------------------------------------------------------

    def _receive(self, data: bytes) -> list[Read]:
        """Take a batch of completions; the reads that are over, of which others are to be told."""
        began, before = trace.now(), self._completed
        over: list[Read] = []
        try:
            for completion, piece in _decode(data):
                self._complete(completion, piece, over)
        except CodecError as error:
            self._distrusted = error
        if trace.recorder is not None and self._completed > before:
            trace.recorder.span(trace.Stage.RECEIVE, began, self._key, before + 1, self._completed)
        return over

    def _complete(self, completion: timeline_pb2.Completion, piece: memoryview | None, over: list[Read]) -> None:
        sequence = completion.sequence
        read: Read | None = None
        error: MLError | None = None
        if completion.HasField("read"):
            with self._lock:
                read = self._unanswered.get(sequence)
            if read is None:
                if self._failure.error is not None:
                    return
                raise CodecError(BadMessageReason.SEQUENCE, "completions.sequence")
            match completion.read.WhichOneof("result"):
                case "data":
                    if not read.received(completion.read.data if piece is None else piece):
                        return
                case "in_slot":
                    read.take_from_slot()
                case "error":
                    error = decode_error(completion.read.error)
                case _:
                    raise CodecError(BadMessageReason.MISSING_FIELD, "completions.read.result")
        with self._lock:
            if not self._completed <= sequence <= self._taken:
                raise CodecError(BadMessageReason.SEQUENCE, "completions.sequence")
            self._completed = sequence
            if read is not None:
                read.tensor.place.unread -= 1
                if self._unanswered.pop(sequence, None) is None:
                    read = None  # it has failed meanwhile
            if self._queue:
                self._sendable.notify()
        if read is not None:
            read.settle(error)
            over.append(read)

    # --- telling: in a thread of its own ------------------------------------------------------------------------------

    def _listen(self) -> None:
        import grpc

        try:
            for over in self._call:
                for read in over:
                    read.call_back()
                if self._distrusted is not None:
                    break
            reason = "the GPU process ended the timeline"
        except grpc.RpcError as error:
            # What a stream raises is its call, which has the code and the details.
            call: Any = error.with_traceback(None)  # or our own frame and the call would keep each other
            reason = f"the timeline failed: {failure_of(call)}"
            del call
        if self._distrusted is not None:
            self._call.cancel()
            reason = f"the GPU process sent a completion that can't be: {self._distrusted}"
        if self._failure.error is None:
            self._broken(reason)


def _decode(data: bytes) -> Iterator[tuple[timeline_pb2.Completion, memoryview | None]]:
    """The completions of a batch, each with its bytes where they are many."""
    try:
        rest, views = carved(data, READ)
        completions = timeline_pb2.CompletionBatch.FromString(rest).completions
    except (WireError, DecodeError) as error:
        raise CodecError(BadMessageReason.MALFORMED, "CompletionBatch") from error
    pieces = iter(views)
    for completion in completions:
        is_apart = views and completion.read.WhichOneof("result") == "data" and not completion.read.data
        yield completion, next(pieces, None) if is_apart else None


class InlineTimeline(GrpcTimeline):
    """Carrier `inline`: the bytes travel in the messages, in pieces where they are many."""

    def write(self, tensor: ClientTensor, data: memoryview) -> None:
        data = bytes_of(data, tensor)
        with self._order():
            for start, end in chunks(tensor.byte_length):
                write = InlineWrite(self._sequence + 1, tensor, data[start:end], start)
                tensor.place.last_use = self._issue(write)


class StreamTimeline(GrpcTimeline):
    """Carrier `stream`: the bytes are in shared memory before the command is sent."""

    def write(self, tensor: ClientTensor, data: memoryview) -> None:
        data = bytes_of(data, tensor)
        with self._order():
            staged = None
            if tensor.place.last_use <= self._completed:
                copy(tensor.place.memory, data)
            else:
                staged = bytes(data)
            tensor.place.last_use = self._issue(SlotWrite(tensor, staged))
