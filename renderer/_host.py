"""The host: started as a process of its own, or reached at its broker's socket; and what is asked of it."""

from __future__ import annotations

import atexit
import contextlib
import json
import logging
import os
import socket
import subprocess
import sys
import weakref
from collections import deque
from pathlib import Path
from typing import Any

from ipc.channel import PROTOCOL_VERSION, ChannelClosed, ChannelError, MessageSocket, pair
from ipc.errors import NotSupportedError
from ipc.generated.webnn.v1 import session_pb2
from ipc.options import HostOptions
from ipc.processes import python_command, python_environment
from renderer._promises import Promise
from renderer._session import Session
from renderer._watcher import Watcher

logger = logging.getLogger(__name__)

STOP_TIMEOUT = (
    10.0  # seconds in which the host ends its children; after it the host is killed, and its lifeline ends them
)
EXIT_GRACE = 0.2  # seconds from the end of the host's socket to that of its process

_open: weakref.WeakSet[HostConnection] = weakref.WeakSet()


class HostConnection:
    """The connection to a host, with one request under way at a time.

    Attributes:
        pid: of the host's process.
    """

    def __init__(self, sock: socket.socket, pid: int, process: subprocess.Popen[bytes] | None = None) -> None:
        self.pid = pid
        self.closed: Promise[None] = Promise()
        self._process = process
        self._socket = MessageSocket(sock, session_pb2.HostReply, session_pb2.HostRequest)
        self._watcher = Watcher()
        self._requests: deque[tuple[session_pb2.HostRequest, Promise[Any]]] = deque()
        self._pending: Promise[Any] | None = None
        self._greeted = False
        self._closing = False
        self._ended: str | None = None
        self._sessions: weakref.WeakValueDictionary[int, Session] = weakref.WeakValueDictionary()
        _open.add(self)
        hello = session_pb2.Hello(protocol_version=PROTOCOL_VERSION, role="renderer")
        self._watcher.soon(lambda: self._send(session_pb2.HostRequest(hello=hello)))
        self._watcher.watch(self._socket.fileno(), self._receive)
        self._watcher.soon(_load_grpc)

    @classmethod
    def start(cls, options: HostOptions, prepare: str = "") -> HostConnection:
        """Start a host process.

        Args:
            prepare: the backend whose GPU process will be wanted first; empty if none will be for now.

        Raises:
            NotSupportedError: it can't be started.
        """
        ours, theirs = pair()
        with theirs:
            arguments = ["--control-fd", str(theirs.fileno()), "--options", options.to_json()]
            if prepare:
                arguments += ["--prepare", prepare]
            try:
                process = subprocess.Popen(
                    python_command("gpu_process.host_process", *arguments),
                    env=python_environment(),
                    stdin=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno(), *options.descriptors],
                    start_new_session=True,  # Ctrl-C is for the script; the host ends with its socket
                )
            except OSError as error:
                ours.close()
                raise NotSupportedError(f"the host process can't be started: {error}") from error
        return cls(ours, process.pid, process)

    @classmethod
    def attach(cls, path: Path) -> HostConnection:
        """Connect to the broker's socket of a host that runs already.

        Raises:
            NotSupportedError: nobody listens there.
        """
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        try:
            sock.connect(os.fspath(path))
        except OSError as error:
            sock.close()
            message = f"no host at {path}: {error.strerror} (start one: python -m gpu_process --socket {path})"
            raise NotSupportedError(message) from error
        credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        return cls(sock, int.from_bytes(credentials[:4], sys.byteorder))

    async def open_session(self, backend: str) -> Session:
        """A session with the GPU process of a backend; "" is the host's default.

        Raises:
            NotSupportedError: the host refused, or ended.
        """
        session: Session = await self._ask(
            session_pb2.HostRequest(open_session=session_pb2.OpenSession(backend=backend))
        )
        await session.granted
        return session

    async def status(self) -> dict[str, Any]:
        """What the host tells about itself and its children."""
        reply = await self._ask(session_pb2.HostRequest(status=session_pb2.StatusRequest()))
        return dict(json.loads(reply))

    @property
    def ended(self) -> bool:
        """Whether nothing more can be asked."""
        return self._ended is not None

    def close(self) -> Promise[None]:
        """End the sessions, and the host if it was started here; resolves when nothing of it is left. Idempotent.

        May be called by garbage collection: takes no lock and waits for nothing.
        """
        self._watcher.soon(self._close)
        return self.closed

    def abandon(self) -> None:
        """In a forked child: let go of the parent's connection, so that its end is heard when the parent ends."""
        self._socket.close()
        for session in list(self._sessions.values()):
            session.abandon()

    def _close(self) -> None:
        if self._closing:
            return
        self._closing = True
        self._end("the ML object was destroyed")
        self._watcher.unwatch(self._socket.fileno(), self._socket.close)
        if self._process is None or self._process.poll() is not None:  # not ours, or reaped already
            self._watcher.soon(self._finish)
            return
        pidfd = os.pidfd_open(self._process.pid)
        self._watcher.watch(pidfd, lambda: self._watcher.unwatch(pidfd, lambda: self._reaped(pidfd)))
        self._watcher.after(STOP_TIMEOUT, self._kill)

    def _reaped(self, pidfd: int) -> None:
        os.close(pidfd)
        assert self._process is not None
        self._process.wait()
        self._finish()

    def _kill(self) -> None:
        assert self._process is not None
        logger.error("the host process %d did not end within %g s and is killed", self.pid, STOP_TIMEOUT)
        self._process.kill()

    def _finish(self) -> None:
        self._watcher.close()
        _open.discard(self)
        self.closed.resolve(None)

    def _ask(self, request: session_pb2.HostRequest) -> Promise[Any]:
        reply: Promise[Any] = Promise()

        def enqueue() -> None:
            if self._ended is not None:
                reply.reject(NotSupportedError(self._ended))
                return
            self._requests.append((request, reply))
            self._next()

        if self._closing:
            reply.reject(NotSupportedError("the ML object was destroyed"))
        else:
            self._watcher.soon(enqueue)
        return reply

    def _next(self) -> None:
        if self._greeted and self._pending is None and self._requests:
            request, self._pending = self._requests.popleft()
            self._send(request)

    def _send(self, request: session_pb2.HostRequest) -> None:
        # An end that is closed already is told by `_receive`, with the host's exit status.
        with contextlib.suppress(ChannelClosed):
            self._socket.send(request)

    def _receive(self) -> None:
        try:
            while self._ended is None and (received := self._socket.receive_nowait()) is not None:
                self._handle(*received)
        except ChannelClosed:
            self._watcher.unwatch(self._socket.fileno(), lambda: None)
            self._end(f"the host process ended{self._exit_status()}")
        except ChannelError as error:
            self._watcher.unwatch(self._socket.fileno(), lambda: None)
            self._end(f"the host sent a malformed packet: {error}")

    def _exit_status(self) -> str:
        if self._process is None:
            return ""
        try:
            return f" with status {self._process.wait(EXIT_GRACE)}"
        except subprocess.TimeoutExpired:  # its socket is closed, but it has not ended yet
            return ""

    def _handle(self, reply: session_pb2.HostReply, descriptors: list[int]) -> None:
        match reply.WhichOneof("message"):
            case "hello":
                self._greet(reply.hello.protocol_version)
            case "session_opened":
                self._settle(self._adopt(reply.session_opened, descriptors[0]))
            case "session_refused":
                self._settle(NotSupportedError(reply.session_refused.reason))
            case "status":
                self._settle(reply.status.json)
            case "session_ended":
                session = self._sessions.get(reply.session_ended.session)
                if session is not None:
                    session.end(reply.session_ended.reason)
            case kind:
                self._end(f"the host sent an unexpected message: {kind}")

    def _greet(self, version: int) -> None:
        if version != PROTOCOL_VERSION:
            self._end(f"protocol versions differ: the host speaks {version}, this renderer {PROTOCOL_VERSION}")
            return
        self._greeted = True
        self._next()

    def _adopt(self, opened: session_pb2.SessionOpened, descriptor: int) -> Session:
        end = socket.socket(fileno=descriptor)
        sock = MessageSocket(end, session_pb2.SessionMessage, session_pb2.SessionMessage)
        session = Session(sock, self._watcher, opened)
        self._sessions[opened.session] = session
        return session

    def _settle(self, answer: object) -> None:
        pending, self._pending = self._pending, None
        self._next()
        if pending is None:
            self._end("the host answered what was not asked")
        elif isinstance(answer, Exception):
            pending.reject(answer)
        else:
            pending.resolve(answer)

    def _end(self, reason: str) -> None:
        """No more answers: fail what is asked, and the sessions, which can't outlive their host."""
        if self._ended is not None:
            return
        self._ended = reason
        for promise in [self._pending, *(promise for _, promise in self._requests)]:
            if promise is not None:
                promise.reject(NotSupportedError(reason))
        self._requests.clear()
        for session in list(self._sessions.values()):
            session.end(reason)


def _load_grpc() -> None:
    """What sessions will need, while the host and the GPU process start: a tenth of a second."""
    from ipc.generated.webnn.v1 import context_pb2_grpc  # noqa: F401


def _close_all() -> None:
    """At the interpreter's end: no process may be left."""
    for closed in [connection.close() for connection in list(_open)]:
        closed.result()


def _abandon_all() -> None:
    for connection in list(_open):
        connection.abandon()
    _open.clear()


atexit.register(_close_all)
os.register_at_fork(after_in_child=_abandon_all)
