"""The host's side of a control socket: whoever is there greets first, and is then served one request at a time."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

from gpu_process.blame import Identity
from gpu_process.event_loop import EventLoop
from gpu_process.process_handle import ProcessHandle
from ipc.channel import PROTOCOL_VERSION, ChannelClosed, ChannelError, MessageSocket
from ipc.generated.webnn.v1.session_pb2 import Hello, HostReply, HostRequest, SessionRefused

_MOST_REQUESTS: Final = 32  # that wait for an answer

_logger = logging.getLogger(__name__)


class Server(Protocol):
    """Who serves connections."""

    def serve(self, connection: Connection, request: HostRequest, fds: list[int]) -> None:
        """Answer the request, now or later, by one call of `connection.answer`; the descriptors are taken over."""

    def disconnected(self, connection: Connection) -> None: ...


class Connection:
    """Someone who asks for sessions: a renderer, or the owner of the host.

    Attributes:
        pid: of the process, as the kernel told it.
        identity: by which crashes are charged; a process that connects again is still the same.
        is_owner: whether the host ends with it. Only the owner may have processes started.
        sessions: that it has, with the GPU process of each.
    """

    def __init__(
        self, number: int, loop: EventLoop, sock: socket.socket, pid: int, server: Server, *, is_owner: bool
    ) -> None:
        """Takes over the socket."""
        self.number = number
        self.pid = pid
        self.identity = _identity(pid)
        self.is_owner = is_owner
        self.is_open = True
        self.sessions: dict[int, ProcessHandle] = {}
        self._loop = loop
        self._server = server
        self._channel = MessageSocket(sock, HostRequest, HostReply)
        self._has_greeted = False
        self._is_served = False
        self._requests: deque[tuple[HostRequest, list[int]]] = deque()
        loop.watch(self._channel, self._hear)
        self.push(HostReply(hello=Hello(protocol_version=PROTOCOL_VERSION, role="host")))

    def answer(self, reply: HostReply, fds: Sequence[int] = ()) -> None:
        """Answer the request that is being served; the next one's turn comes."""
        self.push(reply, fds)
        self.done()

    def done(self) -> None:
        """The request that is being served has no answer."""
        self._is_served = False
        self._serve_next()

    def push(self, reply: HostReply, fds: Sequence[int] = ()) -> None:
        """Tell it something that it has not asked for."""
        if not self.is_open:
            return
        try:
            self._channel.send(reply, fds, timeout=0)
        except ChannelClosed:
            return  # heard of by `_hear`
        except (TimeoutError, ChannelError) as error:
            self.distrust(f"does not read its answers: {error}")

    def close(self) -> None:
        """Let go of it; idempotent."""
        if not self.is_open:
            return
        self.is_open = False
        self._loop.forget(self._channel)
        self._channel.close()
        for _, fds in self._requests:
            _close(fds)
        self._requests.clear()
        self._server.disconnected(self)

    def _hear(self) -> None:
        try:
            received = self._channel.receive_nowait()
        except ChannelClosed:
            self.close()
            return
        except ChannelError as error:
            self.distrust(str(error))
            return
        if received is None:
            return
        request, fds = received
        if not self._has_greeted:
            _close(fds)
            self._greet(request)
        elif request.HasField("hello") or len(self._requests) >= _MOST_REQUESTS:
            _close(fds)
            self.distrust("sent too many requests, or a second greeting")
        else:
            self._requests.append((request, fds))
            self._serve_next()

    def _greet(self, request: HostRequest) -> None:
        version = request.hello.protocol_version
        if not request.HasField("hello"):
            self.distrust("asked before it greeted")
        elif version != PROTOCOL_VERSION:
            reason = f"protocol version {version} was offered, and this host speaks {PROTOCOL_VERSION}"
            self.push(HostReply(session_refused=SessionRefused(reason=reason)))
            self.close()
        else:
            self._has_greeted = True

    def _serve_next(self) -> None:
        """One request after the other, for an answer does not say what it answers."""
        while self._requests and not self._is_served:
            self._is_served = True
            self._server.serve(self, *self._requests.popleft())

    def distrust(self, reason: str) -> None:
        """Let go of it because of what it did."""
        _logger.warning("renderer %d (process %d) is let go: %s", self.number, self.pid, reason)
        self.close()


def _close(fds: Sequence[int]) -> None:
    for fd in fds:
        os.close(fd)


def _identity(pid: int) -> Identity:
    with contextlib.suppress(OSError):
        # After the name, which may hold anything in parentheses, start time is field 22 of proc_pid_stat(5).
        return Identity(pid, int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[19]))
    return Identity(pid, 0)
