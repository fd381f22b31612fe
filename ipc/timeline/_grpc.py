"""Timelines on a gRPC stream: `inline` with the tensors' bytes in the messages, `stream` with them in shared memory.

Whoever calls only puts commands into a queue. gRPC's own thread takes from it whatever is ready, so that what piles up
while one batch is sent makes up the next; another thread takes the completions. Neither ever waits for the other.
"""

from __future__ import annotations

import concurrent.futures
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ipc import trace
from ipc.channel import CONTEXT_METADATA
from ipc.codec import CodecError, decode_error
from ipc.errors import MLError
from ipc.generated.webnn.v1 import timeline_pb2
from ipc.timeline._client import Binding, Bindings, Broken, ClientTensor, Failure, bytes_of, copy
from ipc.timeline.limits import MAX_BATCH_BYTES, MAX_COMMANDS, chunks
from ipc.verdicts import BadMessageReason

if TYPE_CHECKING:
    from ipc.generated.webnn.v1.context_pb2_grpc import WebNNStub

_MAX_QUEUED = 1 << 16  # commands; who issues faster than the GPU process works waits here for a moment
_MAX_QUEUED_BYTES = 256 << 20  # of copied data

_Handle = concurrent.futures.Future[memoryview]


class _Command:
    """One command in the queue; its sequence number is its place."""

    size = 0  # bytes of the tensor that travel in the message
    held = 0  # bytes of copied data that wait in the queue

    def ready(self, completed: int) -> bool:  # noqa: ARG002
        """Whether it may be sent, when all up to `completed` is done."""
        return True

    def sent(self) -> None:
        """It is about to be sent; called with the timeline's lock held."""

    def fill(self, message: timeline_pb2.Command) -> None:
        """Write it into its message; called without a lock."""
        raise NotImplementedError


class _InlineWrite(_Command):
    def __init__(self, tensor: ClientTensor, data: bytes, offset: int) -> None:
        self._tensor = tensor
        self._data = data
        self._offset = offset
        self.size = self.held = len(data)

    def fill(self, message: timeline_pb2.Command) -> None:
        message.write.tensor = self._tensor.token
        message.write.data = self._data
        message.write.offset = self._offset


class _SlotWrite(_Command):
    """The bytes are in the slot already, or follow when nothing that was issued before can see them."""

    def __init__(self, tensor: ClientTensor, staged: bytes | None) -> None:
        self._tensor = tensor
        self._staged = staged
        self._after = tensor.place.last_use
        self.held = 0 if staged is None else len(staged)

    def ready(self, completed: int) -> bool:
        return self._staged is None or self._after <= completed

    def fill(self, message: timeline_pb2.Command) -> None:
        if self._staged is not None:
            copy(self._tensor.place.memory, self._staged)
        message.write.tensor = self._tensor.token


class _Dispatch(_Command):
    def __init__(self, binding: Binding, is_new: bool) -> None:
        self._binding = binding
        self._is_new = is_new

    def ready(self, completed: int) -> bool:  # noqa: ARG002
        # A graph may write into the slot itself: not before the last result was taken out of it.
        return all(not tensor.place.unread for tensor in self._binding.written)

    def fill(self, message: timeline_pb2.Command) -> None:
        binding = self._binding
        if not self._is_new:
            message.dispatch.binding = binding.number
            return
        message.dispatch.define = binding.number
        message.dispatch.graph = binding.graph
        for name, tensor in binding.inputs:
            message.dispatch.inputs.add(name=name, tensor=tensor.token)
        for name, tensor in binding.outputs:
            message.dispatch.outputs.add(name=name, tensor=tensor.token)


class _Read(_Command):
    def __init__(self, tensor: ClientTensor, handle: _Handle, into: memoryview | None, view: bool) -> None:
        self.tensor = tensor
        self.handle = handle
        self._into = into
        self._view = view
        self._received = 0

    def sent(self) -> None:
        self.tensor.place.unread += 1

    def fill(self, message: timeline_pb2.Command) -> None:
        message.read.tensor = self.tensor.token

    def received(self, data: bytes) -> bool:
        """Take a piece of the result; whether it was the last one."""
        end = self._received + len(data)
        if not data or end > self.tensor.byte_length:
            raise CodecError(BadMessageReason.WRITE_LENGTH, "completions.read.data")
        if self._into is None and end == len(data) == self.tensor.byte_length:
            self._into = memoryview(data)  # all at once: no need to copy it
        else:
            copy(self._buffer()[self._received : end], data)
        self._received = end
        return end == self.tensor.byte_length

    def take_from_slot(self) -> None:
        slot = self.tensor.place.memory
        if self._view:
            self._into = slot.toreadonly()
        else:
            copy(self._buffer(), slot)

    def resolve(self) -> None:
        if self.handle.set_running_or_notify_cancel():
            self.handle.set_result(self._buffer())

    def reject(self, error: BaseException) -> None:
        if self.handle.set_running_or_notify_cancel():
            self.handle.set_exception(error)

    def _buffer(self) -> memoryview:
        if self._into is None:
            self._into = memoryview(bytearray(self.tensor.byte_length))
        return self._into


class _Destroy(_Command):
    def __init__(self, *, tensor: ClientTensor | None = None, graph: bytes = b"") -> None:
        self._tensor = tensor
        self._graph = graph

    def ready(self, completed: int) -> bool:  # noqa: ARG002
        # Its slot may be another tensor's at once: not before the last result was taken out of it.
        return self._tensor is None or not self._tensor.place.unread

    def fill(self, message: timeline_pb2.Command) -> None:
        if self._tensor is not None:
            message.destroy.tensor = self._tensor.token
        else:
            message.destroy.graph = self._graph


class GrpcTimeline:
    """A `TimelineClient` on a bidirectional stream; `write` is what the carriers differ in."""

    def __init__(self, stub: WebNNStub, metadata: tuple[tuple[str, Any], ...], broken: Broken) -> None:
        self._broken = broken
        self._issuing = threading.Lock()  # makes the order; held while data are copied
        self._bindings = Bindings()
        self._sequence = 0
        self._changed = threading.Condition()  # guards all below; held for moments only
        self._queue: deque[_Command] = deque()
        self._queued_bytes = 0
        self._taken = 0  # sequence number of the last command that left the queue
        self._completed = 0
        self._unanswered: dict[int, _Read] = {}
        self._failure = Failure()
        self._key = trace.key_of(dict(metadata).get(CONTEXT_METADATA, b""))
        self._call = stub.Timeline(self._batches(), metadata=metadata)
        self._receiver = threading.Thread(target=self._receive, name="webnn-timeline", daemon=True)
        self._receiver.start()

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
        sequence = self._issue(_Dispatch(binding, is_new))
        for tensor in binding.tensors:
            tensor.place.last_use = sequence

    def read(self, tensor: ClientTensor, into: memoryview | None = None, *, view: bool = False) -> _Handle:
        if into is not None:
            into = into.cast("B")
            if into.nbytes != tensor.byte_length:
                raise ValueError(f"a buffer of {into.nbytes} bytes for a tensor of {tensor.byte_length}")
        handle = _Handle()
        with self._order():
            tensor.place.last_use = self._issue(_Read(tensor, handle, into, view))
        return handle

    def destroy_tensor(self, tensor: ClientTensor) -> None:
        with self._order(frees=True):
            self._bindings.forget(tensor)
            tensor.place.last_use = self._issue(_Destroy(tensor=tensor))

    def destroy_graph(self, graph: bytes) -> None:
        with self._order(frees=True):
            self._bindings.forget(graph)
            self._issue(_Destroy(graph=graph))

    def fail(self, error: MLError) -> None:
        if not self._failure.set(error):
            return
        with self._changed:
            waiting = list(self._unanswered.values())
            waiting += (command for command in self._queue if isinstance(command, _Read))
            self._unanswered.clear()
            self._queue.clear()
            self._changed.notify_all()
        self._call.cancel()
        self._bindings = Bindings()  # they hold the tensors' memory
        for read in waiting:
            read.reject(type(error)(str(error)))

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
        if threading.current_thread() is self._receiver:
            return  # a callback of a read: what it waits for might be its own next turn
        with self._changed:
            while len(self._queue) >= _MAX_QUEUED or self._queued_bytes >= _MAX_QUEUED_BYTES:
                self._failure.check()
                self._changed.wait()

    def _issue(self, command: _Command) -> int:
        """Queue a command, in the caller's order; returns its sequence number."""
        self._sequence += 1
        with self._changed:
            if self._failure.error is None:
                self._queue.append(command)
                self._queued_bytes += command.held
                self._changed.notify_all()
                return self._sequence
        self._failure.check()
        raise AssertionError

    # --- sending: in gRPC's thread ------------------------------------------------------------------------------------

    def _batches(self) -> Iterator[timeline_pb2.CommandBatch]:
        while commands := self._take():
            began = trace.now()
            batch = timeline_pb2.CommandBatch()
            sequence = before = self._taken - len(commands)
            for command in commands:
                sequence += 1
                message = batch.commands.add()
                message.sequence = sequence
                command.fill(message)
            if trace.recorder is not None:
                trace.recorder.span(trace.Stage.SEND, began, self._key, before + 1, sequence)
            yield batch

    def _take(self) -> list[_Command]:
        """What can be sent now, at least one command; none when it is over."""
        commands: list[_Command] = []
        size = 0
        with self._changed:
            while not (self._queue and self._queue[0].ready(self._completed)):
                if self._failure.error is not None:
                    return []
                self._changed.wait()
            while self._queue and len(commands) < MAX_COMMANDS and self._queue[0].ready(self._completed):
                command = self._queue[0]
                size += command.size
                if commands and size > MAX_BATCH_BYTES:
                    break
                self._queue.popleft()
                self._queued_bytes -= command.held
                self._taken += 1
                command.sent()
                if isinstance(command, _Read):
                    self._unanswered[self._taken] = command
                commands.append(command)
            self._changed.notify_all()
        return commands

    # --- receiving: in a thread of its own ----------------------------------------------------------------------------

    def _receive(self) -> None:
        import grpc

        try:
            for batch in self._call:
                began, before = trace.now(), self._completed
                for completion in batch.completions:
                    self._complete(completion)
                if trace.recorder is not None:
                    trace.recorder.span(trace.Stage.RECEIVE, began, self._key, before + 1, self._completed)
            reason = "the GPU process ended the timeline"
        except grpc.RpcError as error:
            # What a stream raises is its call, which has the code and the details.
            call: Any = error.with_traceback(None)  # or our own frame and the call would keep each other
            reason = f"the timeline failed: {call.code().name}: {call.details()}"
            del call
        except CodecError as error:
            self._call.cancel()
            reason = f"the GPU process sent a completion that can't be: {error}"
        if self._failure.error is None:
            self._broken(reason)

    def _complete(self, completion: timeline_pb2.Completion) -> None:
        sequence = completion.sequence
        read: _Read | None = None
        error: MLError | None = None
        if completion.HasField("read"):
            with self._changed:
                read = self._unanswered.get(sequence)
            if read is None:
                if self._failure.error is not None:
                    return
                raise CodecError(BadMessageReason.SEQUENCE, "completions.sequence")
            match completion.read.WhichOneof("result"):
                case "data":
                    if not read.received(completion.read.data):
                        return
                case "in_slot":
                    read.take_from_slot()
                case "error":
                    error = decode_error(completion.read.error)
                case _:
                    raise CodecError(BadMessageReason.MISSING_FIELD, "completions.read.result")
        with self._changed:
            if not self._completed <= sequence <= self._taken:
                raise CodecError(BadMessageReason.SEQUENCE, "completions.sequence")
            self._completed = sequence
            if read is not None:
                read.tensor.place.unread -= 1
                if self._unanswered.pop(sequence, None) is None:
                    read = None  # it has failed meanwhile
            self._changed.notify_all()
        if read is not None:
            if error is None:
                read.resolve()
            else:
                read.reject(error)


class InlineTimeline(GrpcTimeline):
    """Carrier `inline`: the bytes travel in the messages, in pieces where they are many."""

    def write(self, tensor: ClientTensor, data: memoryview) -> None:
        data = bytes_of(data, tensor)
        with self._order():
            for start, end in chunks(tensor.byte_length):
                tensor.place.last_use = self._issue(_InlineWrite(tensor, bytes(data[start:end]), start))


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
            tensor.place.last_use = self._issue(_SlotWrite(tensor, staged))
