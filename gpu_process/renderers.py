"""All renderers that a host has started, and the socket at which they, and nobody else, find it."""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
from pathlib import Path
from typing import Any, Final, Protocol

from gpu_process.broker import credentials
from gpu_process.connections import Connection
from gpu_process.event_loop import EventLoop
from gpu_process.launched_renderer import LaunchedRenderer
from gpu_process.run_directory import RunDirectory
from gpu_process.sandbox import NOBODY
from ipc.generated.webnn.v1.session_pb2 import HostReply, LaunchRefused, LaunchRenderer, RendererEnded, RendererLaunched
from ipc.options import HostOptions

_SOCKET: Final = "host"
_BACKLOG: Final = 16

# As whom a confined renderer runs at level `strict`, and who must be able to pass through the run directory.
_USER: Final = NOBODY if os.geteuid() == 0 else os.geteuid()

_FORWARDED: Final = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGKILL})


class Attach(Protocol):
    """Takes over a connected socket."""

    def __call__(self, sock: socket.socket, pid: int, /) -> None: ...


class Renderers:
    """Starts renderers for the host's owner, and tells it how they end."""

    def __init__(
        self,
        loop: EventLoop,
        options: HostOptions,
        run_directory: RunDirectory,
        numbers: itertools.count[int],
        attach: Attach,
    ) -> None:
        """Args:
        numbers: of everything that the host mints.
        attach: gets the connections of the renderers.
        """
        self._loop = loop
        self._options = options
        self._run_directory = run_directory
        self._numbers = numbers
        self._attach = attach
        self._door: socket.socket | None = None
        self._running: dict[int, tuple[LaunchedRenderer, Connection]] = {}
        self._started: set[int] = set()

    def launch(self, owner: Connection, request: LaunchRenderer, streams: list[int]) -> None:
        """Start one; the owner gets an answer once it is confined, or cannot be, and hears of its end later."""
        number = next(self._numbers)
        try:
            self._run_directory.hold(_USER)
            door = self._open_door()
            renderer = LaunchedRenderer(
                number,
                self._loop,
                request,
                streams,
                [
                    f"--socket={door}",
                    f"--trace-fd={self._options.trace}",
                    f"--inject={self._options.faults}",
                    *request.arguments,
                ],
                self._run_directory,
                self._options,
                self,
            )
        except (OSError, ValueError) as error:
            owner.answer(HostReply(launch_refused=LaunchRefused(reason=f"no renderer can be started: {error}")))
            return
        finally:
            for fd in streams:
                os.close(fd)
        if os.geteuid() == 0:
            os.chown(door, *renderer.identity)  # connecting takes the right to write
        self._running[number] = (renderer, owner)

    def renderer_started(self, renderer: LaunchedRenderer) -> None:
        """It is confined, and about to run."""
        self._started.add(renderer.number)
        launched = RendererLaunched(
            renderer=renderer.number, pid=renderer.pid or 0, status_json=json.dumps(renderer.sandbox)
        )
        self._running[renderer.number][1].answer(HostReply(renderer_launched=launched))

    def renderer_ended(self, renderer: LaunchedRenderer, wait_status: int) -> None:
        """It has ended, or could not be confined."""
        _, owner = self._running.pop(renderer.number)
        if renderer.number in self._started:
            self._started.discard(renderer.number)
            ended = RendererEnded(renderer=renderer.number, wait_status=wait_status, reason=renderer.reason)
            owner.push(HostReply(renderer_ended=ended))
        else:
            reason = renderer.failure or renderer.reason or "the renderer ended before it was confined"
            owner.answer(HostReply(launch_refused=LaunchRefused(reason=reason)))

    def send_signal(self, number: int, which: int) -> None:
        """Send a signal to one, if it still runs and the signal is one that ends programs."""
        if number in self._running and which in _FORWARDED:
            self._running[number][0].send_signal(which)

    def admit(self, pid: int, gpu_process: str) -> None:
        """Let the renderer with this pid, if it is one of these, connect to the socket of a GPU process."""
        if (renderer := self._find(pid)) and os.geteuid() == 0:
            self._run_directory.give(gpu_process, *renderer.identity)

    def kill(self, pid: int, reason: str) -> None:
        """End the renderer with this pid, if it is one of these."""
        if renderer := self._find(pid):
            renderer.kill(reason)

    def describe(self) -> list[dict[str, Any]]:
        """For diagnostics."""
        return [{"number": it.number, "pid": it.pid, "sandbox": it.sandbox} for it, _ in self._running.values()]

    def reap(self) -> None:
        """Reap those that have ended; their end is told later."""
        for renderer, _ in self._running.values():
            renderer.poll()

    def pids(self) -> set[int]:
        """Of those processes that are waited for by number."""
        return {renderer.outer_pid for renderer, _ in self._running.values()}

    def close(self) -> None:
        """End all of them, and wait."""
        for renderer, _ in self._running.values():
            renderer.close()
        self._running.clear()
        if self._door:
            self._loop.forget(self._door)
            self._door.close()

    def _find(self, pid: int) -> LaunchedRenderer | None:
        return next((renderer for renderer, _ in self._running.values() if renderer.pid == pid), None)

    def _open_door(self) -> Path:
        path = self._run_directory.path / _SOCKET
        if self._door is None:
            self._door = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
            self._door.bind(os.fspath(path))
            self._door.listen(_BACKLOG)
            self._loop.watch(self._door, self._accept)
        return path

    def _accept(self) -> None:
        assert self._door is not None
        for renderer, _ in list(self._running.values()):
            renderer.hear()  # what it said before it connected
        try:
            sock, _ = self._door.accept()
        except BlockingIOError:
            return
        pid, _ = credentials(sock)
        if self._find(pid):
            self._attach(sock, pid)
        else:
            sock.close()
