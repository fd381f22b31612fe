"""The other end of a replay: a host, the sessions with its GPU processes, and calls, in bytes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import queue
import select
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import grpc

from ipc.channel import (
    CONTEXT_METADATA,
    MAX_PACKET_BYTES,
    PROTOCOL_VERSION,
    SESSION_METADATA,
    ChannelClosed,
    ChannelError,
    MessageSocket,
    open_grpc_channel,
)
from ipc.generated.webnn.v1 import recording_pb2, session_pb2
from ipc.shared_memory import Region, map_pool
from ipc.timeline.ring import RendererBells, RendererEnd
from ipc.timeline.ring.bells import eventfd_bell, make_fence

SECONDS: Final = 30.0
"""Without an answer, after which there is none."""

Status = tuple[str, str]
"""How a call ended: gRPC's code by name, and the details."""


class HostLink:
    """A connection to a host's broker."""

    def __init__(self, path: Path) -> None:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        sock.connect(os.fspath(path))
        self._socket: MessageSocket[Any, Any] = MessageSocket(sock, session_pb2.HostReply, session_pb2.HostRequest)
        hello = session_pb2.Hello(protocol_version=PROTOCOL_VERSION, role="replay")
        self._socket.send(session_pb2.HostRequest(hello=hello))

    def open_session(self, backend: str) -> socket.socket:
        """The renderer's end of a new session's socket pair.

        Raises:
            ChannelError: the host refuses it.
        """
        self._socket.send(session_pb2.HostRequest(open_session=session_pb2.OpenSession(backend=backend)))
        while True:
            reply, descriptors = self._socket.receive(SECONDS)
            match reply.WhichOneof("message"):
                case "session_opened":
                    return socket.socket(fileno=descriptors[0])
                case "session_refused":
                    raise ChannelError(f"the host refuses a session: {reply.session_refused.reason}")

    def why_ended(self) -> str:
        """What the host says about the end of a session; empty if it says nothing."""
        with contextlib.suppress(TimeoutError, ChannelClosed):
            while True:
                reply, _ = self._socket.receive(1.0)
                if reply.HasField("session_ended"):
                    return str(reply.session_ended.reason)
        return ""

    def close(self) -> None:
        self._socket.close()


class LiveSession:
    """The renderer's end of a session.

    Attributes:
        regions: pools by their token, mapped.
        rings: by the token of their context, which is of today.
        calls: by the number that they have in the recording.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.regions: dict[bytes, Region] = {}
        self.rings: dict[bytes, LiveRing] = {}
        self.calls: dict[int, LiveCall] = {}
        self._socket = sock
        self._messages: MessageSocket[Any, Any] = MessageSocket(
            sock, session_pb2.SessionMessage, session_pb2.SessionMessage
        )
        self._channel: grpc.Channel | None = None
        self._metadata: tuple[tuple[str, Any], ...] = ()

    def next_packet(self) -> session_pb2.SessionMessage | None:
        """The next packet of the GPU process; None where there is none, or the session has ended."""
        try:
            message, descriptors = self._messages.receive(SECONDS)
        except (ChannelClosed, ChannelError, TimeoutError):
            return None
        if message.HasField("granted"):
            self._channel = open_grpc_channel(message.granted.address)
            self._metadata = ((SESSION_METADATA, message.granted.secret),)
        match message.WhichOneof("message"):
            case "region_offered":
                self.regions[message.region_offered.token] = map_pool(descriptors[0], message.region_offered.size)
                os.close(descriptors[0])
            case "region_withdrawn":
                self.regions.pop(message.region_withdrawn.token, None)
            case "ring_offered":
                offered = message.ring_offered
                self.rings[offered.context] = LiveRing(offered.size, *descriptors)
        return message  # type: ignore[no-any-return]

    def send_packet(self, data: bytes, packet: recording_pb2.Packet) -> None:
        """Send a packet as it was, with descriptors like those that it had.

        Raises:
            OSError: the session has ended.
        """
        if packet.cut:
            data += bytes(max(0, MAX_PACKET_BYTES + 1 - len(data)))
        with contextlib.ExitStack() as opened:
            descriptors = [opened.enter_context(_file_like(file)) for file in packet.files]
            socket.send_fds(self._socket, [data], descriptors)

    def begin(self, number: int, method: str, context: bytes) -> None:
        """Have a call ready."""
        if self._channel is not None:
            metadata = (*self._metadata, (CONTEXT_METADATA, context)) if context else self._metadata
            self.calls[number] = LiveCall(self._channel, method, metadata)

    def close(self) -> None:
        self._messages.close()
        if self._channel is not None:
            self._channel.close()
        self.calls.clear()
        self.regions.clear()
        self.rings.clear()


class LiveCall:
    """One call in flight."""

    def __init__(self, channel: grpc.Channel, method: str, metadata: tuple[tuple[str, Any], ...]) -> None:
        self.method = method
        self.was_cancelled = False
        self._channel = channel
        self._metadata = metadata
        self._requests: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._replies: queue.SimpleQueue[bytes | Status] = queue.SimpleQueue()
        self._rpc: Any = None
        path = f"/webnn.v1.WebNN/{method}"
        if method == "Timeline":
            self._start(lambda: channel.stream_stream(path, bytes, bytes)(self._stream(), metadata=metadata))
        elif method == "CreateGraph":
            self._start(lambda: iter([channel.stream_unary(path, bytes, bytes)(self._stream(), metadata=metadata)]))

    def send(self, data: bytes) -> None:
        if self.method in ("Timeline", "CreateGraph"):
            self._requests.put(data)
        else:
            path = f"/webnn.v1.WebNN/{self.method}"
            self._start(lambda: iter([self._channel.unary_unary(path, bytes, bytes)(data, metadata=self._metadata)]))

    def half_close(self) -> None:
        self._requests.put(None)

    def cancel(self) -> None:
        self.was_cancelled = True
        if self._rpc is not None and hasattr(self._rpc, "cancel"):
            self._rpc.cancel()
        self._requests.put(None)

    def next_reply(self) -> bytes | Status:
        """The next message, or how the call ended."""
        try:
            return self._replies.get(timeout=SECONDS)
        except queue.Empty:
            return ("NO_ANSWER", f"in {SECONDS:g} s")

    def _stream(self) -> Iterator[bytes]:
        while (data := self._requests.get()) is not None:
            yield data

    def _start(self, begin: Any) -> None:
        threading.Thread(target=self._hear, args=(begin,), name="webnn-replay", daemon=True).start()

    def _hear(self, begin: Any) -> None:
        try:
            self._rpc = begin()
            for reply in self._rpc:
                self._replies.put(reply)
            self._replies.put(("OK", ""))
        except grpc.RpcError as error:
            failed: Any = error
            self._replies.put((failed.code().name, failed.details() or ""))
        except ValueError as error:  # the channel was closed meanwhile
            self._replies.put(("CANCELLED", str(error)))


class LiveRing:
    """The renderer's end of a ring, used for one command after the other."""

    def __init__(self, size: int, region: int, doorbell: int, bell: int) -> None:
        """Takes over the descriptors."""
        self._bells = RendererBells(doorbell, socket.socket(fileno=bell))
        try:
            memory = map_pool(region, size).memory.data
        finally:
            os.close(region)
        self._end = RendererEnd(memory, eventfd_bell(doorbell), make_fence())

    def execute(self, kind: int, number: int, token: bytes) -> bytes | None:
        """Publish a command and wait until it is done; how it failed, a serialised `Error`, or None.

        Raises:
            TimeoutError: it is not done.
            ChannelClosed: the GPU process has ended the ring.
        """
        sequence = self._end.publish(kind, number, token)
        poll = select.poll()
        poll.register(self._bells.socket, select.POLLIN)
        while self._end.wake_at(sequence):  # it is not done yet
            if not poll.poll(SECONDS * 1000):
                raise TimeoutError(f"command {sequence} is not done")
            if not self._bells.heard():
                raise ChannelClosed(f"the ring has ended before command {sequence} was done")
        error = self._end.error_of(sequence)
        self._end.take_note(sequence)
        return error


@contextlib.contextmanager
def _file_like(file: recording_pb2.SharedFile) -> Iterator[int]:
    """A descriptor of the recorded kind, with the recorded content."""
    descriptors: list[int] = []
    match file.kind:
        case "memfd":
            descriptors = [os.memfd_create("webnn-replay", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)]
            if file.sparse:
                os.ftruncate(descriptors[0], file.size)
            else:
                view = memoryview(file.content)
                while view.nbytes:
                    view = view[os.write(descriptors[0], view) :]
            fcntl.fcntl(descriptors[0], fcntl.F_ADD_SEALS, file.seals)
        case "pipe":
            descriptors = list(os.pipe())
        case "socket":
            ours, theirs = socket.socketpair()
            descriptors = [ours.detach(), theirs.detach()]
        case "directory":
            descriptors = [os.open("/", os.O_RDONLY | os.O_DIRECTORY)]
        case "file":
            with tempfile.TemporaryFile() as temporary:
                temporary.truncate(file.size)
                descriptors = [os.dup(temporary.fileno())]
        case _:
            descriptors = [os.open(os.devnull, os.O_RDONLY)]
    try:
        yield descriptors[0]
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
