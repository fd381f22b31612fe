"""The connection between processes: message sockets that carry descriptors, and gRPC over a Unix domain socket.

Whoever is at the other end may be hostile. A packet is taken whole and exactly as declared, or not at all, and whatever
the peer does to a shared socket, no call here waits longer than it was told to.
"""

from __future__ import annotations

import array
import contextlib
import errno
import os
import secrets
import select
import socket
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from google.protobuf.message import DecodeError, Message

if TYPE_CHECKING:
    import grpc

PROTOCOL_VERSION: Final = 1
SECRET_BYTES: Final = 32
TOKEN_BYTES: Final = 16

SESSION_METADATA: Final = "webnn-session-bin"
"""The key under which every gRPC call carries its session's secret."""

CONTEXT_METADATA: Final = "webnn-context-bin"
"""The key under which a timeline carries its context's token."""

MAX_MESSAGE_BYTES: Final = 16 << 20
"""Of one gRPC message; what is larger travels in chunks or through shared memory."""

MAX_PACKET_BYTES: Final = 64 << 10
"""Of one packet on a message socket. The kernel's default send buffer takes three of them."""

_MAX_DESCRIPTORS: Final = 4

# How many descriptors come with a message, by its name in the packet's `oneof message`; none with all others.
_DESCRIPTORS: Final[Mapping[str, int]] = {
    "session_opened": 1,
    "region_offered": 1,
    "ring_offered": 3,
    "adopt_session": 1,
    "fork_gpu_process": 4,
    "launch_renderer": 3,
}

_INT: Final = struct.Struct("i")
_CREDENTIALS: Final = struct.Struct("3i")  # struct ucred: pid, uid, gid
_ANCILLARY_BYTES: Final = socket.CMSG_SPACE(_MAX_DESCRIPTORS * _INT.size) + socket.CMSG_SPACE(_CREDENTIALS.size)

Inbound = TypeVar("Inbound", bound=Message)
Outbound = TypeVar("Outbound", bound=Message)
AnyMessage = TypeVar("AnyMessage", bound=Message)


class ChannelClosed(Exception):  # noqa: N818 - an end, not an error
    """The peer has closed its end, or died."""


class ChannelError(Exception):
    """The peer sent what a correct peer never sends, or cannot be sent to; the socket should be closed."""


class LostDescriptorsError(ChannelError):
    """A packet's descriptors could not be received: there were too many, or this process has none free.

    Attributes:
        packet: the rest of it.
    """

    def __init__(self, packet: bytes) -> None:
        super().__init__(f"descriptors were lost: more than {_MAX_DESCRIPTORS} were sent, or none is free here")
        self.packet = packet


def new_token() -> bytes:
    """A random name for an object; belongs to one session."""
    return secrets.token_bytes(TOKEN_BYTES)


def new_secret() -> bytes:
    """A random proof of belonging to a session."""
    return secrets.token_bytes(SECRET_BYTES)


def pair() -> tuple[socket.socket, socket.socket]:
    """Two connected sockets for a `MessageSocket` at each end; no child inherits them by accident."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def parse(kind: type[AnyMessage], data: bytes) -> AnyMessage:
    """The message in `data`, which must hold nothing that `kind` does not declare.

    Raises:
        ChannelError: it cannot be parsed, or has fields unknown to this version.
    """
    message = kind()
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        raise ChannelError(f"not a {kind.DESCRIPTOR.name}: {error}") from error
    size = message.ByteSize()
    message.DiscardUnknownFields()
    if message.ByteSize() != size:
        raise ChannelError(f"{kind.DESCRIPTOR.name} with unknown fields")
    return message


class MessageSocket(Generic[Inbound, Outbound]):
    """A connected SOCK_SEQPACKET socket that carries one protobuf message per packet, with descriptors beside it.

    Sending is safe from several threads, receiving is not. Received descriptors are close-on-exec and belong to the
    caller; those of a refused packet are closed.
    """

    def __init__(self, sock: socket.socket, inbound: type[Inbound], outbound: type[Outbound]) -> None:
        """Takes over `sock`.

        Raises:
            ValueError: it is no Unix SOCK_SEQPACKET socket.
        """
        if sock.family != socket.AF_UNIX or sock.type != socket.SOCK_SEQPACKET:
            raise ValueError(f"a message socket needs a Unix SOCK_SEQPACKET socket, not {sock}")
        self._sock = sock
        self._inbound = inbound
        self._outbound = outbound
        self.peer_pid: int | None = None
        """The process that sent the last packet, as this one's PID namespace numbers it; after `learn_peer_pid`."""

    def fileno(self) -> int:
        """For selectors; -1 once closed."""
        return self._sock.fileno()

    def learn_peer_pid(self) -> None:
        """Has the kernel tell, from the next packet on, which process sent it; a peer cannot forge it."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)

    def send(self, message: Outbound, fds: Sequence[int] = (), timeout: float | None = None) -> None:
        """Send one packet; the descriptors stay open here.

        Args:
            timeout: seconds to wait for room in the peer's buffer; None for ever, 0 not at all.

        Raises:
            ChannelClosed: the peer is gone.
            TimeoutError: it does not read.
            ChannelError: it holds too many descriptors that it has not received.
            ValueError: the message is larger than a packet, or comes with the wrong number of descriptors.
        """
        if not isinstance(message, self._outbound):
            raise TypeError(f"{type(message).__name__} where {self._outbound.__name__} is sent")
        data = message.SerializeToString()
        if not 0 < len(data) <= MAX_PACKET_BYTES:
            raise ValueError(f"a packet has 1 to {MAX_PACKET_BYTES} bytes, not {len(data)}")
        if len(fds) != (wanted := _descriptors_with(message)):
            raise ValueError(f"{_name(message)} goes with {wanted} descriptors, not {len(fds)}")
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        deadline = _deadline(timeout)
        while True:
            try:
                self._sock.sendmsg([data], ancillary, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
                return
            except BlockingIOError:
                self._wait(select.POLLOUT, deadline)
            except OSError as error:
                raise _translated(error) from error

    def receive(self, timeout: float | None = None) -> tuple[Inbound, list[int]]:
        """The next message and its descriptors.

        Args:
            timeout: seconds to wait; None for ever, 0 not at all.

        Raises:
            ChannelClosed: the peer is gone.
            ChannelError: the packet was truncated, is no such message, or came with the wrong number of descriptors.
            TimeoutError: none came.
        """
        deadline = _deadline(timeout)
        while (received := self.receive_nowait()) is None:
            self._wait(select.POLLIN, deadline)
        return received

    def receive_nowait(self) -> tuple[Inbound, list[int]] | None:
        """As `receive`, but None where nothing has come."""
        try:
            # MSG_DONTWAIT and not O_NONBLOCK: the latter belongs to the open file, which the peer may share and change.
            data, ancillary, flags, _ = self._sock.recvmsg(
                MAX_PACKET_BYTES, _ANCILLARY_BYTES, socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC
            )
        except BlockingIOError:
            return None
        except ConnectionResetError:
            # Told once, and first of all, when the peer closed without having read everything. What it said before that
            # is still to come, or else the end of the stream.
            return self.receive_nowait()
        except OSError as error:
            raise _translated(error) from error
        fds = self._take(ancillary)
        try:
            return self._checked(data, flags, fds), fds
        except BaseException:
            for fd in fds:
                os.close(fd)
            raise

    def shut_down(self) -> None:
        """Let both ends see the end of the stream; the descriptor stays open, so that nobody else's gets its number."""
        with contextlib.suppress(OSError):  # it has ended already
            self._sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the socket; idempotent."""
        self._sock.close()

    def __enter__(self) -> MessageSocket[Inbound, Outbound]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _take(self, ancillary: list[tuple[int, int, bytes]]) -> list[int]:
        fds: list[int] = []
        for level, kind, content in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                fds += (fd for (fd,) in _INT.iter_unpack(content[: len(content) // _INT.size * _INT.size]))
            elif (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
                pid = _CREDENTIALS.unpack_from(content)[0]
                self.peer_pid = pid or self.peer_pid  # 0 comes with the end of the stream
        return fds

    def _checked(self, data: bytes, flags: int, fds: list[int]) -> Inbound:
        if flags & socket.MSG_TRUNC:
            raise ChannelError(f"a packet of more than {MAX_PACKET_BYTES} bytes")
        if flags & socket.MSG_CTRUNC:
            raise LostDescriptorsError(data)
        if not data:  # also what an empty packet looks like, which nobody sends
            raise ChannelClosed("the peer has closed the socket")
        message = parse(self._inbound, data)
        if len(fds) != (wanted := _descriptors_with(message)):
            raise ChannelError(f"{_name(message)} came with {len(fds)} descriptors, not {wanted}")
        return message

    def _wait(self, event: int, deadline: float | None) -> None:
        """Waits for `event`, an error or the end of the stream."""
        poll = select.poll()
        poll.register(self._sock, event)
        remaining = None if deadline is None else deadline - time.monotonic()
        if (remaining is not None and remaining <= 0) or not poll.poll(None if remaining is None else remaining * 1000):
            raise TimeoutError("the peer neither reads nor writes")


def _name(message: Message) -> str:
    """The name of what a packet carries.

    Raises:
        ChannelError: it carries nothing.
    """
    oneofs = message.DESCRIPTOR.oneofs_by_name
    if "message" not in oneofs:
        return str(message.DESCRIPTOR.name)
    name = message.WhichOneof("message")
    if name is None:
        raise ChannelError(f"an empty {message.DESCRIPTOR.name}")
    return str(name)


def _descriptors_with(message: Message) -> int:
    return _DESCRIPTORS.get(_name(message), 0)


def _deadline(timeout: float | None) -> float | None:
    return None if timeout is None else time.monotonic() + timeout


def _translated(error: OSError) -> ChannelClosed | ChannelError:
    if error.errno in (errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN, errno.ESHUTDOWN):
        return ChannelClosed(f"the peer is gone: {error}")
    return ChannelError(f"the socket failed: {error}")


# --- gRPC -------------------------------------------------------------------------------------------------------------

GRPC_ENVIRONMENT: Final[Mapping[str, str]] = {
    # The engines cost half of the latency of a small message over a Unix socket (docs/performance.md).
    "GRPC_EXPERIMENTS": "-event_engine_client,-event_engine_listener",
    # Its fork handlers start threads; who forks here has no channel yet.
    "GRPC_ENABLE_FORK_SUPPORT": "0",
}
"""Set, before gRPC is imported, in processes that are ours alone: never in a user's."""

_COMMON_OPTIONS: Final[tuple[tuple[str, int | str], ...]] = (
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_metadata_size", 4 << 10),
    ("grpc.absolute_max_metadata_size", 4 << 10),
    ("grpc.default_compression_algorithm", 0),
    ("grpc.compression_enabled_algorithms_bitset", 1),
    ("grpc.keepalive_time_ms", 2**31 - 1),  # the kernel tells when a local peer is gone
    ("grpc.enable_channelz", 0),
)

CHANNEL_OPTIONS: Final[tuple[tuple[str, int | str], ...]] = (
    *_COMMON_OPTIONS,
    ("grpc.enable_http_proxy", 0),
    ("grpc.service_config_disable_resolution", 1),
    ("grpc.enable_retries", 0),
    ("grpc.default_authority", "webnn"),
    ("grpc.use_local_subchannel_pool", 1),
)
"""Of every gRPC channel."""

SERVER_OPTIONS: Final[tuple[tuple[str, int | str], ...]] = (
    *_COMMON_OPTIONS,
    ("grpc.so_reuseport", 0),
    ("grpc.http2.min_ping_interval_without_data_ms", 60_000),
    ("grpc.http2.max_ping_strikes", 2),
    ("grpc.server_handshake_timeout_ms", 5_000),  # a connection that says nothing is not kept
)
"""Of every gRPC server."""


# gRPC is imported where it is used first: a host, which only passes sockets on, never does, and a renderer has better
# things to do before its GPU process is on its way.

disturbances: Final[list[Callable[[grpc.Channel], grpc.Channel]]] = []
"""What every gRPC channel that is opened from here on is put into; for `ipc.faults`."""


def open_grpc_channel(address: str) -> grpc.Channel:
    """A gRPC channel to `address`, which must be that of a Unix domain socket.

    Raises:
        ValueError: it names anything else; nothing here ever goes over a network.
    """
    import grpc

    if not address.startswith("unix:"):
        raise ValueError(f"address {address!r} is not that of a Unix domain socket")
    channel = grpc.insecure_channel(address, options=CHANNEL_OPTIONS)
    for disturb in disturbances:
        channel = disturb(channel)
    return channel


def failure_of(call: Any) -> str:
    """How a gRPC call that is over has failed, code and details; empty if it has not."""
    import grpc

    code: grpc.StatusCode = call.code()
    return "" if code is grpc.StatusCode.OK else f"{code.name}: {call.details()}"
