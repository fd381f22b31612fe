"""What a GPU process that is recorded uses instead of the plain parts; one that is not pays nothing for it.

An event is written before what comes of it can be seen: a message that was received before it is looked at, one that is
sent before it goes. So a process that dies leaves behind what killed it.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import logging
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import grpc

from gpu_process.backends import Backend
from gpu_process.scheduler import Scheduler
from gpu_process.tensors import Array, Tensor, as_bytes
from ipc.channel import CONTEXT_METADATA, MessageSocket
from ipc.codec import CodecError, parse
from ipc.generated.webnn.v1 import context_pb2, recording_pb2, session_pb2
from ipc.options import HostOptions
from ipc.recording import Renaming, Writer
from ipc.shared_memory import allocated_bytes, seals_of
from ipc.timeline.ring.commands import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from google.protobuf.message import Message

    from gpu_process.context import Context

_logger = logging.getLogger(__name__)

_LARGEST_SPARSE: Final = 1 << 20  # bytes of a file with holes that are still recorded

_REPLIES: Final[Mapping[str, type[Message]]] = {
    "CreateContext": context_pb2.CreateContextReply,
    "CreateTensor": context_pb2.CreateTensorReply,
    "CreateConstantTensor": context_pb2.CreateTensorReply,
    "CreateGraph": context_pb2.CreateGraphReply,
}
"""What may mint a token."""


class Recorder:
    """Writes the events of one process, tokens and secrets renamed. Thread-safe."""

    def __init__(self, descriptor: int, process: int) -> None:
        """The descriptor stays the caller's."""
        self.names = Renaming()
        self._writer = Writer(descriptor)
        self._process = process
        self._calls = itertools.count(1)

    def event(self, session: int = 0, **event: Any) -> None:
        """Write one event; after the first failure there are no more of this process."""
        try:
            self._writer.write(recording_pb2.Recorded(process=self._process, session=session, **event))
        except OSError as error:
            _logger.warning("the recording of this process ends here: %s", error)

    def next_call(self) -> int:
        return next(self._calls)


recorder: Recorder | None = None
"""That of this process, if it is recorded."""


def start(options: HostOptions, process: int, backends: Mapping[str, Backend]) -> None:
    """Record this process from now on, if the options name a descriptor for it.

    Args:
        process: its number outside.
    """
    global recorder
    if options.recording:
        recorder = Recorder(options.recording, process)
        versions = [backend.version for backend in backends.values()]
        started = recording_pb2.ProcessStarted(backends=backends, versions=versions, options_json=options.to_json())
        recorder.event(process_started=started)


def session_over(session: int, reason: str, field: str) -> None:
    """Record the end of a session, if this process is recorded."""
    if recorder is not None:
        recorder.event(session, session_over=recording_pb2.SessionOver(reason=reason, field=field))


# --- the session's socket ---------------------------------------------------------------------------------------------


class RecordedSocket(MessageSocket[session_pb2.SessionMessage, session_pb2.SessionMessage]):
    """A session's socket, packet by packet as it came, before it is judged."""

    def __init__(self, sock: Any, session: int, recorder: Recorder) -> None:
        super().__init__(sock, session_pb2.SessionMessage, session_pb2.SessionMessage)
        self._session = session
        self._recorder = recorder

    def send(self, message: session_pb2.SessionMessage, fds: Sequence[int] = (), timeout: float | None = None) -> None:
        self._recorder.names.learn_from(message)
        told = session_pb2.SessionMessage()
        told.CopyFrom(message)
        if told.HasField("granted"):
            told.granted.address = ""  # a path of this machine
        data = self._recorder.names.applied(told.SerializeToString())
        self._recorder.event(self._session, packet_sent=recording_pb2.Packet(data=data, files=map(_sent_file, fds)))
        super().send(message, fds, timeout)

    def _checked(self, data: bytes, flags: int, fds: list[int]) -> session_pb2.SessionMessage:
        if data:
            self._record(data, flags, fds)
        return super()._checked(data, flags, fds)

    def _record(self, data: bytes, flags: int, fds: list[int]) -> None:
        try:
            self._recorder.names.learn_from(parse(session_pb2.SessionMessage, data))
        except CodecError as error:
            _logger.debug("session %d: a packet that names nothing: %s", self._session, error)
        packet = recording_pb2.Packet(
            data=self._recorder.names.applied(data),
            files=map(_file, fds),
            cut=bool(flags & (_MSG_TRUNC | _MSG_CTRUNC)),
        )
        self._recorder.event(self._session, packet_received=packet)


_MSG_TRUNC, _MSG_CTRUNC = 0x20, 0x08  # linux/socket.h


def session_socket(sock: Any, session: int) -> MessageSocket[session_pb2.SessionMessage, session_pb2.SessionMessage]:
    """The message socket of a session, recorded if this process is."""
    if recorder is None:
        return MessageSocket(sock, session_pb2.SessionMessage, session_pb2.SessionMessage)
    return RecordedSocket(sock, session, recorder)


def _sent_file(fd: int) -> recording_pb2.SharedFile:
    """A pool: its content is what commands see of it. Or what belongs to a ring."""
    try:
        seals_of(fd)
    except OSError:
        return recording_pb2.SharedFile(kind=_kind(fd))
    return recording_pb2.SharedFile(kind="memfd", seals=seals_of(fd), size=os.fstat(fd).st_size)


def _file(fd: int) -> recording_pb2.SharedFile:
    size = os.fstat(fd).st_size
    try:
        seals = seals_of(fd)
    except OSError:
        return recording_pb2.SharedFile(kind=_kind(fd), size=size)
    sparse = allocated_bytes(fd) < size
    content = b"" if sparse and size > _LARGEST_SPARSE else os.pread(fd, size, 0)
    return recording_pb2.SharedFile(kind="memfd", seals=seals, size=size, sparse=sparse, content=content)


def _kind(fd: int) -> str:
    mode = os.fstat(fd).st_mode
    kinds = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket"}
    return kinds.get(stat.S_IFMT(mode), "device")


# --- gRPC -------------------------------------------------------------------------------------------------------------

_Handler = grpc.RpcMethodHandler


def recorded_call(handler: Any, session: int, method: str, metadata: Mapping[str, Any]) -> Any:
    """A handler that records its calls, if this process is recorded; the same otherwise."""
    if recorder is None or handler is None:
        return handler
    call = functools.partial(_Call, recorder, session, method, metadata.get(CONTEXT_METADATA, b""))
    if handler.unary_unary:
        return grpc.unary_unary_rpc_method_handler(lambda data, rpc: call(rpc).unary(handler.unary_unary, data))
    if handler.stream_unary:
        return grpc.stream_unary_rpc_method_handler(lambda data, rpc: call(rpc).stream(handler.stream_unary, data))
    return grpc.stream_stream_rpc_method_handler(lambda data, rpc: call(rpc).duplex(handler.stream_stream, data))


class _Call:
    """One call, and what its handler sees as the call."""

    def __init__(
        self, recorder: Recorder, session: int, method: str, context: bytes, rpc: grpc.ServicerContext
    ) -> None:
        self._recorder = recorder
        self._session = session
        self._method = method
        self._rpc = rpc
        self._number = recorder.next_call()
        context = recorder.names.applied(context) if isinstance(context, bytes) else b""
        self._event(call_began=recording_pb2.CallBegan(call=self._number, method=method, context=context))

    # What the service asks of a call.

    def abort(self, code: grpc.StatusCode, details: str) -> Any:
        self._ended(code.name, details)
        self._rpc.abort(code, details)

    def cancel(self) -> None:
        self._rpc.cancel()  # type: ignore[no-untyped-call]

    def is_active(self) -> bool:
        return self._rpc.is_active()

    # What gRPC asks of a handler.

    def unary(self, handler: Callable[[bytes, Any], bytes], data: bytes) -> bytes:
        self._received(data)
        reply = handler(data, self)
        self._sent(reply)
        self._ended("OK", "")
        return reply

    def stream(self, handler: Callable[[Iterator[bytes], Any], bytes], requests: Iterable[bytes]) -> bytes:
        reply = handler(self._requests(requests), self)
        self._sent(reply)
        self._ended("OK", "")
        return reply

    def duplex(
        self, handler: Callable[[Iterator[bytes], Any], Iterable[bytes]], requests: Iterable[bytes]
    ) -> Iterator[bytes]:
        for reply in handler(self._requests(requests), self):
            self._sent(reply)
            yield reply
        self._ended("OK", "")

    def _requests(self, requests: Iterable[bytes]) -> Iterator[bytes]:
        try:
            for data in requests:
                self._received(data)
                yield data
        except grpc.RpcError:
            self._event(call_cancelled=self._number)
            raise
        self._event(call_half_closed=self._number)

    def _received(self, data: bytes) -> None:
        message = recording_pb2.CallMessage(call=self._number, data=self._recorder.names.applied(data))
        self._event(call_received=message)

    def _sent(self, data: bytes) -> None:
        reply = _REPLIES.get(self._method)
        if reply is not None:
            self._recorder.names.learn_from(reply.FromString(data))
        self._event(call_sent=recording_pb2.CallMessage(call=self._number, data=self._recorder.names.applied(data)))

    def _ended(self, status: str, details: str) -> None:
        self._event(call_ended=recording_pb2.CallEnded(call=self._number, status=status, details=details))

    def _event(self, **event: Any) -> None:
        self._recorder.event(self._session, **event)


# --- commands ---------------------------------------------------------------------------------------------------------


def scheduler_of(context: Context) -> Scheduler:
    """The sequence of a new context, recorded if this process is."""
    return Scheduler(context) if recorder is None else _RecordedScheduler(context, recorder)


class _RecordedScheduler(Scheduler):
    """Records what each command finds in shared memory, and the commands themselves where no message holds them."""

    def __init__(self, context: Context, recorder: Recorder) -> None:
        super().__init__(context)
        self._recorder = recorder
        self._has_messages = context.carrier != "ring"
        self._last_seen: dict[bytes, bytes] = {}  # digests of slots, by the token of their tensor

    def write_slot(self, token: bytes, place: int = 0) -> None:
        self._command(Kind.WRITE, place, token)
        super().write_slot(token, place)
        tensor = self._context.tensors[token]
        assert isinstance(tensor, Tensor)
        self._see(tensor, True, self.done, always=True)

    def move(self, token: bytes, place: int) -> None:
        self._command(Kind.MOVE, place, token)
        super().move(token, place)

    def dispatch(self, binding: int) -> None:
        self._command(Kind.DISPATCH, binding)
        bound = self._bindings.get(binding)
        for tensor, in_place, _ in () if bound is None else bound.inputs:
            if tensor.failure is None and tensor.reads_slot(in_place):
                tensor.make_current(in_place)
                self._see(tensor, in_place, self.done + 1)  # it may have changed since it was written
        super().dispatch(binding)
        for tensor, in_place, _ in () if bound is None else bound.outputs:
            self._last_seen[tensor.token] = _digest(tensor.array(in_place))  # made here, and not by the renderer

    def read(self, token: bytes) -> Tensor:
        self._command(Kind.READ, 0, token)
        tensor = super().read(token)
        if tensor.failure is not None:
            self._seen(tensor, self.done, is_result=True, failure=str(tensor.failure))
        elif tensor.is_shared:
            tensor.make_current(in_place=True)
            self._see(tensor, True, self.done, always=True, is_result=True)
        return tensor

    def destroy_tensor(self, token: bytes) -> None:
        self._command(Kind.DESTROY_TENSOR, 0, token)
        super().destroy_tensor(token)
        self._last_seen.pop(token, None)

    def destroy_graph(self, token: bytes) -> None:
        self._command(Kind.DESTROY_GRAPH, 0, token)
        super().destroy_graph(token)

    def _command(self, kind: Kind, number: int, token: bytes = b"") -> None:
        if self._has_messages:
            return
        seen = recording_pb2.CommandSeen(
            context=self._name(self._context.token),
            sequence=self.done + 1,
            kind=kind,
            number=number,
            token=self._name(token),
        )
        self._recorder.event(command_seen=seen)

    def _see(
        self, tensor: Tensor, in_place: bool, sequence: int, *, always: bool = False, is_result: bool = False
    ) -> None:
        """Record a tensor as it is now, if it is not as it was when it was recorded before."""
        array = tensor.array(in_place)
        digest = _digest(array)
        if always or self._last_seen.get(tensor.token) != digest:
            self._last_seen[tensor.token] = digest
            self._seen(tensor, sequence, is_result=is_result, data=as_bytes(array).tobytes())

    def _seen(self, tensor: Tensor, sequence: int, **seen: Any) -> None:
        context, token = self._name(self._context.token), self._name(tensor.token)
        self._recorder.event(seen=recording_pb2.Seen(context=context, sequence=sequence, tensor=token, **seen))

    def _name(self, token: bytes) -> bytes:
        return self._recorder.names.applied(token)


def _digest(array: Array) -> bytes:
    return hashlib.blake2b(as_bytes(array).tobytes(), digest_size=16).digest()
