"""A renderer that obeys nobody: it gets a session from a real host and sends whatever it is given over the real wire.

It shares no code with the renderer, nor with `ipc`: sockets, gRPC and the generated messages only, so that a mistake
made once cannot hide itself by being made on both sides.
"""

from __future__ import annotations

import array
import fcntl
import json
import mmap
import os
import queue
import secrets
import socket
import struct
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc
from google.protobuf.message import Message

from ipc.generated.webnn.v1 import common_pb2, context_pb2, graph_pb2, session_pb2, timeline_pb2

SECONDS = 20.0
VERSION = 1
SERVICE = "/webnn.v1.WebNN/"
METHODS = (
    "CreateContext",
    "DestroyContext",
    "CreateTensor",
    "CreateConstantTensor",
    "CreateGraph",
    "DefineBindings",
    "Timeline",
)
FLOAT32 = common_pb2.DATA_TYPE_FLOAT32

_ROOM = socket.CMSG_SPACE(16 * 4)
_PACKET = 1 << 16
# With gRPC's usual ones all calls of a process would share a connection, and hostile sizes would never leave it.
_CHANNEL_OPTIONS = (
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_metadata_size", 1 << 20),
    ("grpc.enable_http_proxy", 0),
    ("grpc.enable_retries", 0),
    ("grpc.default_authority", "webnn"),
)

AnyMessage = TypeVar("AnyMessage", bound=Message)


class Closed(Exception):  # noqa: N818 - an end, not an error
    """The other side has closed the socket."""


@dataclass(frozen=True)
class Reply:
    """What a call returned."""

    data: bytes

    def as_a(self, kind: type[AnyMessage]) -> AnyMessage:
        return kind.FromString(self.data)


@dataclass(frozen=True)
class Failure:
    """How a call failed."""

    code: grpc.StatusCode
    details: str


def connected(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sock.settimeout(SECONDS)
    sock.connect(os.fspath(path))
    return sock


def send_packet(sock: socket.socket, data: bytes, fds: Sequence[int] = ()) -> None:
    ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    try:
        sock.sendmsg([data], ancillary)
    except (BrokenPipeError, ConnectionResetError) as error:
        raise Closed from error


def receive_packet(sock: socket.socket) -> tuple[bytes, list[int]]:
    """One packet; waits for it."""
    while True:
        try:
            data, ancillary, _, _ = sock.recvmsg(_PACKET, _ROOM)
        except ConnectionResetError:  # told before what is still to be read
            continue
        break
    fds: list[int] = []
    for _, kind, content in ancillary:
        assert kind == socket.SCM_RIGHTS
        fds += (fd for (fd,) in struct.iter_unpack("i", content[: len(content) // 4 * 4]))
    if not data:
        raise Closed
    return data, fds


class HostileRenderer:
    """A control connection to a host.

    Attributes:
        heard: every byte and word that came back, from whomever.
    """

    def __init__(self, path: Path, *, greets: bool = True) -> None:
        self._sock = connected(path)
        self._ends: dict[int, str] = {}
        self._channels: dict[str, grpc.Channel] = {}
        self.sessions: list[Session] = []
        self.heard: list[bytes] = []
        if greets:
            self.say(hello=session_pb2.Hello(protocol_version=VERSION, role="renderer"))
            assert self._receive()[0].HasField("hello")

    def say(self, **message: Any) -> None:
        self.say_bytes(session_pb2.HostRequest(**message).SerializeToString())

    def say_bytes(self, data: bytes, *fds: int) -> None:
        send_packet(self._sock, data, fds)

    def open(self, backend: str = "", *, greets: bool = True) -> Session:
        self.say(open_session=session_pb2.OpenSession(backend=backend))
        reply, fds = self._receive()
        assert reply.HasField("session_opened"), reply
        sock = socket.socket(fileno=fds[0])
        sock.settimeout(SECONDS)
        session = Session(self, sock, reply.session_opened)
        self.sessions.append(session)
        if greets:
            session.say(hello=session_pb2.Hello(protocol_version=VERSION, role="renderer"))
        return session

    def is_refused(self, backend: str = "") -> str:
        """Ask for a session that it must not get; the reason."""
        self.say(open_session=session_pb2.OpenSession(backend=backend))
        reply = self._receive()[0]
        assert reply.HasField("session_refused"), reply
        return reply.session_refused.reason

    def status(self) -> Any:
        self.say(status=session_pb2.StatusRequest())
        return json.loads(self._receive()[0].status.json)

    def told(self, session: int) -> str:
        """Why the host says that a session has ended; waits until it does."""
        while session not in self._ends:
            self._take()
        return self._ends[session]

    def is_let_go(self) -> bool:
        """Whether the host hangs up; waits until it does."""
        try:
            while True:
                self._take()
        except Closed:
            return True

    def channel(self, address: str) -> grpc.Channel:
        """One connection per GPU process: identity is in the metadata."""
        if address not in self._channels:
            self._channels[address] = grpc.insecure_channel(address, options=_CHANNEL_OPTIONS)
        return self._channels[address]

    def close(self) -> None:
        for session in self.sessions:
            session.close()
        for channel in self._channels.values():
            channel.close()
        self._sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _receive(self) -> tuple[session_pb2.HostReply, list[int]]:
        while True:
            taken = self._take()
            if taken is not None:
                return taken

    def _take(self) -> tuple[session_pb2.HostReply, list[int]] | None:
        """The next packet; None where it tells of an end."""
        data, fds = receive_packet(self._sock)
        reply = session_pb2.HostReply.FromString(data)
        if not reply.HasField("status"):
            self.heard.append(data)
        if reply.HasField("session_ended"):
            self._ends[reply.session_ended.session] = reply.session_ended.reason
            return None
        return reply, fds


class Session:
    """A session: its socket, its secret, and calls with both.

    Attributes:
        number: as the host counts.
        gpu_process: its process id.
    """

    def __init__(self, renderer: HostileRenderer, sock: socket.socket, opened: session_pb2.SessionOpened) -> None:
        self.renderer = renderer
        self.sock = sock
        self.number = opened.session
        self.gpu_process = opened.gpu_process_pid
        try:
            granted = self.receive()[0].granted
        except Closed:  # there was no room for it
            sock.close()
            raise
        self.secret = granted.secret
        self.address = granted.address
        self._regions: dict[bytes, tuple[int, int]] = {}
        self._rings: dict[bytes, Ring] = {}
        self._timelines: list[Timeline] = []

    # --- its socket ---------------------------------------------------------------------------------------------------

    def say(self, *fds: int, **message: Any) -> None:
        self.say_bytes(session_pb2.SessionMessage(**message).SerializeToString(), *fds)

    def say_bytes(self, data: bytes, *fds: int) -> None:
        send_packet(self.sock, data, fds)

    def receive(self) -> tuple[session_pb2.SessionMessage, list[int]]:
        data, fds = receive_packet(self.sock)
        message = session_pb2.SessionMessage.FromString(data)
        if not message.HasField("granted"):  # which has an address, and thus a path
            self.renderer.heard.append(data)
        return message, fds

    def offer(self, fd: int, size: int, token: bytes | None = None) -> bytes:
        """Hand over a descriptor as a region of constants."""
        token = secrets.token_bytes(16) if token is None else token
        self.say(fd, region_offered=session_pb2.RegionOffered(token=token, size=size))
        return token

    def offered(self, token: bytes) -> tuple[int, int]:
        """Descriptor and size of a region that the GPU process has handed over."""
        while token not in self._regions:
            self._take_offer()
        return self._regions[token]

    def ring(self, context: bytes) -> Ring:
        """The ring of a context."""
        while context not in self._rings:
            self._take_offer()
        return self._rings[context]

    def _take_offer(self) -> None:
        message, fds = self.receive()
        if message.HasField("ring_offered"):
            self._rings[message.ring_offered.context] = Ring(fds, message.ring_offered.size)
        else:
            self._regions[message.region_offered.token] = (fds[0], message.region_offered.size)

    def closed(self) -> tuple[str, str] | None:
        """Reason and field with which the GPU process has closed the session, None without any; waits for the end."""
        why = None
        try:
            while True:
                message, fds = self.receive()
                for fd in fds:
                    os.close(fd)
                if message.HasField("closed"):
                    why = (message.closed.reason, message.closed.field)
        except Closed:
            return why

    def close(self) -> None:
        self.sock.close()
        for timeline in self._timelines:
            timeline.cancel()
        for fd, _ in self._regions.values():
            os.close(fd)
        self._regions.clear()
        for ring in self._rings.values():
            ring.close()
        self._rings.clear()

    # --- gRPC ---------------------------------------------------------------------------------------------------------

    @property
    def channel(self) -> grpc.Channel:
        return self.renderer.channel(self.address)

    def metadata(self, context: bytes | None = None) -> tuple[tuple[str, Any], ...]:
        secret = (("webnn-session-bin", self.secret),)
        return secret if context is None else (*secret, ("webnn-context-bin", context))

    def call(self, method: str, *requests: Message | bytes) -> Reply | Failure:
        """A call that is answered once; as many requests as are given, whatever the method takes."""
        call = self.channel.stream_unary(SERVICE + method)
        serialised = (it if isinstance(it, bytes) else it.SerializeToString() for it in requests)
        try:
            data = call(serialised, metadata=self.metadata(), timeout=SECONDS)
        except grpc.RpcError as error:
            return self._failure(error)
        self.renderer.heard.append(data)
        return Reply(data)

    def timeline(self, context: bytes | None) -> Timeline:
        """A timeline's stream; with None, one that names no context."""
        timeline = Timeline(self, context)
        self._timelines.append(timeline)  # or it would be cancelled with the last reference to it
        return timeline

    def _failure(self, error: Any) -> Failure:
        failure = Failure(error.code(), error.details())
        self.renderer.heard.append(failure.details.encode())
        return failure

    # --- what a correct renderer would do, to have something to break -------------------------------------------------

    def context(self, carrier: int = context_pb2.CARRIER_STREAM, backend: str = "reference") -> bytes:
        reply = self.create_context(carrier=carrier, backend=backend)
        assert reply.HasField("context"), reply
        return reply.context.token

    def create_context(self, **changes: Any) -> context_pb2.CreateContextReply:
        answer = self.call("CreateContext", context_request(**changes))
        assert isinstance(answer, Reply), answer
        return answer.as_a(context_pb2.CreateContextReply)

    def create_tensor(self, context: bytes, **changes: Any) -> context_pb2.CreateTensorReply:
        answer = self.call("CreateTensor", tensor_request(context, **changes))
        assert isinstance(answer, Reply), answer
        return answer.as_a(context_pb2.CreateTensorReply)

    def tensor(self, context: bytes, **changes: Any) -> bytes:
        reply = self.create_tensor(context, **changes)
        assert reply.HasField("tensor"), reply
        return reply.tensor.token

    def region(self, data: bytes, token: bytes | None = None) -> bytes:
        """Hand over a region of constants as it should be."""
        fd = sealed(data)
        try:
            return self.offer(fd, len(data), token)
        finally:
            os.close(fd)

    def create_constant_tensor(self, context: bytes, region: bytes, **changes: Any) -> context_pb2.CreateTensorReply:
        answer = self.call("CreateConstantTensor", constant_request(context, region, **changes))
        assert isinstance(answer, Reply), answer
        return answer.as_a(context_pb2.CreateTensorReply)

    def build(self, context: bytes, graph: graph_pb2.Graph | bytes, after: int = 0) -> Reply | Failure:
        return self.call("CreateGraph", graph_chunk(context, graph, after=after))

    def graph(self, context: bytes, graph: graph_pb2.Graph) -> bytes:
        answer = self.build(context, graph)
        assert isinstance(answer, Reply), answer
        reply = answer.as_a(context_pb2.CreateGraphReply)
        assert reply.HasField("graph"), reply
        return reply.graph.token


class Ring:
    """Commands in shared memory. Nothing is checked, ordered or waited for that the test does not say.

    Attributes:
        memory: all of it.
        doorbell: wakes the GPU process.
        bell: socket where the GPU process wakes whoever waits.
    """

    CAPACITY = 512
    WRITE, MOVE, DISPATCH, READ, DESTROY_TENSOR, DESTROY_GRAPH = range(1, 7)
    _PUBLISHED, _COMPLETED, _COMMANDS = 0, 128, 4096
    _COMMAND = struct.Struct("=QII16s32s")
    _WORD = struct.Struct("=Q")

    def __init__(self, fds: Sequence[int], size: int) -> None:
        self.memory = mmap.mmap(fds[0], size)
        os.close(fds[0])
        self.doorbell = fds[1]
        self.bell = socket.socket(fileno=fds[2])
        self.sequence = 0

    def put(self, sequence: int, kind: int, number: int = 0, token: bytes = bytes(16), rest: bytes = b"") -> None:
        """Write a command into the place that its number has."""
        offset = self._COMMANDS + (sequence - 1) % self.CAPACITY * 64
        self._COMMAND.pack_into(self.memory, offset, sequence, kind, number, token, rest)

    def publish(self, sequence: int) -> None:
        self._WORD.pack_into(self.memory, self._PUBLISHED, sequence)
        os.eventfd_write(self.doorbell, 1)

    def command(self, kind: int, number: int = 0, token: bytes = bytes(16), rest: bytes = b"") -> int:
        """Put and publish the next command; its number."""
        self.sequence += 1
        self.put(self.sequence, kind, number, token, rest)
        self.publish(self.sequence)
        return self.sequence

    def completed(self) -> int:
        """Number of the last command that is done."""
        return int(self._WORD.unpack_from(self.memory, self._COMPLETED)[0])

    def wait_for(self, sequence: int) -> None:
        deadline = time.monotonic() + SECONDS
        while self.completed() < sequence:
            assert time.monotonic() < deadline, f"command {sequence} is not done"
            os.sched_yield()

    def close(self) -> None:
        self.memory.close()
        os.close(self.doorbell)
        self.bell.close()


class Timeline:
    """A stream of commands. Nothing is numbered, batched or waited for that the test does not say."""

    def __init__(self, session: Session, context: bytes | None) -> None:
        self._session = session
        self._outbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        call: Any = session.channel.stream_stream(SERVICE + "Timeline")
        self._call = call(self._batches(), metadata=session.metadata(context), timeout=SECONDS)
        self.sequence = 0

    def _batches(self) -> Iterator[bytes]:
        yield from iter(self._outbox.get, None)

    def send(self, batch: timeline_pb2.CommandBatch | bytes) -> None:
        self._outbox.put(batch if isinstance(batch, bytes) else batch.SerializeToString())

    def commands(self, *commands: timeline_pb2.Command) -> int:
        """Send commands with the numbers that come next, as one batch; returns the last number."""
        for command in commands:
            self.sequence += 1
            command.sequence = self.sequence
        self.send(timeline_pb2.CommandBatch(commands=commands))
        return self.sequence

    def results(self, until: int) -> dict[int, list[timeline_pb2.ReadResult]]:
        """What was read, by number, up to the completion of command `until`."""
        found: dict[int, list[timeline_pb2.ReadResult]] = {}
        for data in self._call:
            self._session.renderer.heard.append(data)
            for completion in timeline_pb2.CompletionBatch.FromString(data).completions:
                if completion.HasField("read"):
                    found.setdefault(completion.sequence, []).append(completion.read)
                elif completion.sequence >= until:
                    return found
        raise AssertionError(f"the timeline ended before command {until} was done")

    def failure(self) -> Failure | None:
        """How the stream ends; waits for it."""
        try:
            for data in self._call:
                self._session.renderer.heard.append(data)
        except grpc.RpcError as error:
            return self._session._failure(error)
        return None

    def cancel(self) -> None:
        self._outbox.put(None)
        self._call.cancel()


# --- messages as they should be ---------------------------------------------------------------------------------------


def descriptor(*shape: int, data_type: int = FLOAT32) -> common_pb2.Descriptor:
    return common_pb2.Descriptor(data_type=data_type, shape=shape)  # type: ignore[arg-type]


def context_request(**changes: Any) -> context_pb2.CreateContextRequest:
    wanted: dict[str, Any] = {
        "backend": "reference",
        "power_preference": context_pb2.POWER_PREFERENCE_DEFAULT,
        "carrier": context_pb2.CARRIER_STREAM,
    }
    return context_pb2.CreateContextRequest(**{**wanted, **changes})


def tensor_request(context: bytes, **changes: Any) -> context_pb2.CreateTensorRequest:
    wanted: dict[str, Any] = {
        "context": context,
        "descriptor": descriptor(2, 3),
        "readable": True,
        "writable": True,
    }
    return context_pb2.CreateTensorRequest(**{**wanted, **changes})


def constant_request(context: bytes, region: bytes, **changes: Any) -> context_pb2.CreateConstantTensorRequest:
    wanted: dict[str, Any] = {"context": context, "descriptor": descriptor(2, 3), "region": region}
    return context_pb2.CreateConstantTensorRequest(**{**wanted, **changes})


def graph_chunk(context: bytes, graph: graph_pb2.Graph | bytes, after: int = 0) -> context_pb2.CreateGraphChunk:
    data = graph if isinstance(graph, bytes) else graph.SerializeToString()
    return context_pb2.CreateGraphChunk(context=context, total_bytes=len(data), after=after, data=data)


def write(tensor: bytes, data: bytes | None = None, offset: int = 0) -> timeline_pb2.Command:
    return timeline_pb2.Command(write=timeline_pb2.WriteTensor(tensor=tensor, data=data, offset=offset))


def read(tensor: bytes) -> timeline_pb2.Command:
    return timeline_pb2.Command(read=timeline_pb2.ReadTensor(tensor=tensor))


def dispatch(
    graph: bytes, inputs: Sequence[tuple[str, bytes]], outputs: Sequence[tuple[str, bytes]], define: int = 1
) -> timeline_pb2.Command:
    return timeline_pb2.Command(
        dispatch=timeline_pb2.Dispatch(
            define=define,
            graph=graph,
            inputs=[timeline_pb2.TensorBinding(name=name, tensor=token) for name, token in inputs],
            outputs=[timeline_pb2.TensorBinding(name=name, tensor=token) for name, token in outputs],
        )
    )


def dispatch_again(binding: int = 1) -> timeline_pb2.Command:
    return timeline_pb2.Command(dispatch=timeline_pb2.Dispatch(binding=binding))


def destroy(*, tensor: bytes | None = None, graph: bytes | None = None) -> timeline_pb2.Command:
    return timeline_pb2.Command(destroy=timeline_pb2.DestroyObject(tensor=tensor, graph=graph))


# --- memory -----------------------------------------------------------------------------------------------------------

SEAL, SHRINK, GROW, WRITE, FUTURE_WRITE = 1, 2, 4, 8, 16  # fcntl(2): F_SEAL_*
ALL_SEALS = SEAL | SHRINK | GROW | WRITE
_ADD_SEALS = 1033  # linux/fcntl.h: F_ADD_SEALS


def memfd(data: bytes = b"", *, size: int | None = None, seals: int = 0, sealable: bool = True) -> int:
    """A memfd with these bytes; larger sizes are a hole."""
    fd = os.memfd_create("hostile", os.MFD_CLOEXEC | (os.MFD_ALLOW_SEALING if sealable else 0))
    os.write(fd, data)
    if size is not None:
        os.ftruncate(fd, size)
    if seals:
        seal(fd, seals)
    return fd


def seal(fd: int, seals: int) -> None:
    fcntl.fcntl(fd, _ADD_SEALS, seals)


def sealed(data: bytes) -> int:
    return memfd(data, seals=ALL_SEALS)
