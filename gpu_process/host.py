"""The host: starts and supervises GPU processes, and brings renderers and them together.

A process of its own with one thread. It never parses what renderers and GPU processes say to each other: it hands each
of them one end of a socket pair, and learns how they end.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import itertools
import json
import logging
import os
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from gpu_process import manners, run_directory
from gpu_process.broker import Broker
from gpu_process.event_loop import EventLoop
from gpu_process.exit_status import Death
from gpu_process.launcher_handle import LauncherHandle
from gpu_process.process_handle import ProcessHandle
from gpu_process.quotas import Quotas
from gpu_process.restart_policy import RestartPolicy
from gpu_process.run_directory import RunDirectory
from gpu_process.sandbox import MemoryGroup
from ipc import trace
from ipc.channel import MAX_PACKET_BYTES, PROTOCOL_VERSION, ChannelClosed, ChannelError, MessageSocket, pair
from ipc.generated.webnn.v1.session_pb2 import (
    Hello,
    HostReply,
    HostRequest,
    SessionEnded,
    SessionOpened,
    SessionRefused,
    StatusReply,
)
from ipc.options import BACKEND_NAMES, HostOptions

_MOST_RENDERERS: Final = 64
_MOST_REQUESTS: Final = 32  # of one renderer that wait for an answer

# A GPU process that dies between a request and its answer is replaced, and the request tried again.
_ATTEMPTS: Final = 3

_LAUNCHER_PATIENCE: Final = 3.0
_CLEANING_INTERVAL: Final = 0.05
_CLEANING_ATTEMPTS: Final = 40

_logger = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class _Renderer:
    """Someone at the other end of a control socket.

    Attributes:
        identity: by which crashes are charged; a process that connects again is still the same.
        is_owner: whether the host ends with it.
    """

    number: int
    channel: MessageSocket[HostRequest, HostReply]
    pid: int
    identity: Hashable
    is_owner: bool
    has_greeted: bool = False
    is_served: bool = False
    requests: deque[HostRequest] = field(default_factory=deque)
    sessions: dict[int, ProcessHandle] = field(default_factory=dict)


class Host:
    """All renderers, launchers and GPU processes of one user's run."""

    def __init__(
        self, options: HostOptions, *, broker: Broker | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._options = options
        self._broker = broker
        self._loop = EventLoop(clock)
        self._policy = RestartPolicy(
            crash_limit=options.crash_limit,
            forgive_after=options.forgive_after,
            charge_limit=options.charge_limit,
            clock=clock,
        )
        self._run_directory = RunDirectory.choose()
        self._numbers = itertools.count(1)
        self._renderers: set[_Renderer] = set()
        self._sessions: dict[int, _Renderer] = {}
        self._launchers: list[LauncherHandle] = []
        self._processes: dict[tuple[tuple[str, ...], int], ProcessHandle] = {}
        self._bad_messages = 0

    def run(self) -> None:
        """Serve until stopped: by `stop`, by SIGINT or SIGTERM, or by the end of the owner. Then end and clean up."""
        run_directory.sweep()
        manners.adopt_orphans()
        stop = self._loop.stop
        self._loop.watch_signals({signal.SIGINT: stop, signal.SIGTERM: stop, signal.SIGCHLD: self._reap_orphans})
        if self._broker:
            self._loop.watch(self._broker, self._accept)
        try:
            self._loop.run()
        finally:
            self._close()

    def stop(self) -> None:
        """Have `run` return."""
        self._loop.stop()

    def attach(self, sock: socket.socket, pid: int, *, is_owner: bool = False) -> None:
        """Serve the renderer at the other end of `sock`; with `is_owner`, end when it does."""
        channel = MessageSocket(sock, HostRequest, HostReply)
        renderer = _Renderer(next(self._numbers), channel, pid, _identity(pid), is_owner)
        self._renderers.add(renderer)
        self._loop.watch(channel, lambda: self._hear(renderer))
        self._reply(renderer, HostReply(hello=Hello(protocol_version=PROTOCOL_VERSION, role="host")))

    def prepare(self, backend: str, settled: Callable[[ProcessHandle], None]) -> None:
        """Start the GPU process of `backend` before anyone asks; call `settled` when it is ready or has failed."""
        process = self._process_for(backend, isolated_for=0)
        process.when_settled(lambda: settled(process))

    def describe(self) -> dict[str, Any]:
        """For diagnostics: who is there, and what has happened."""
        return {
            "host": {"pid": os.getpid(), "run_directory": str(self._run_directory.path)},
            "launchers": [{"pid": it.pid, "backends": list(it.backends)} for it in self._launchers],
            "gpu_processes": [process.describe() for process in self._processes.values()],
            "renderers": len(self._renderers),
            "sessions": len(self._sessions),
            "bad_messages": self._bad_messages,
            **self._policy.status(),
        }

    # --- Renderers ----------------------------------------------------------------------------------------------------

    def _accept(self) -> None:
        assert self._broker is not None
        if peer := self._broker.accept():
            if len(self._renderers) < _MOST_RENDERERS:
                self.attach(peer.sock, peer.pid)
            else:
                _logger.warning("refused process %d: there are %d renderers already", peer.pid, len(self._renderers))
                peer.sock.close()

    def _hear(self, renderer: _Renderer) -> None:
        try:
            received = renderer.channel.receive_nowait()
        except ChannelClosed:
            self._drop(renderer)
            return
        except ChannelError as error:
            self._distrust(renderer, str(error))
            return
        if received is None:
            return
        request = received[0]
        if not renderer.has_greeted:
            self._greet(renderer, request)
        elif request.HasField("hello") or len(renderer.requests) >= _MOST_REQUESTS:
            self._distrust(renderer, "sent too many requests, or a second greeting")
        else:
            renderer.requests.append(request)
            self._serve_next(renderer)

    def _greet(self, renderer: _Renderer, request: HostRequest) -> None:
        version = request.hello.protocol_version
        if not request.HasField("hello"):
            self._distrust(renderer, "asked before it greeted")
        elif version != PROTOCOL_VERSION:
            reason = f"protocol version {version} was offered, and this host speaks {PROTOCOL_VERSION}"
            self._reply(renderer, HostReply(session_refused=SessionRefused(reason=reason)))
            self._drop(renderer)
        else:
            renderer.has_greeted = True

    def _serve_next(self, renderer: _Renderer) -> None:
        """One request after the other, for an answer does not say what it answers."""
        while renderer.requests and not renderer.is_served and renderer in self._renderers:
            renderer.is_served = True
            request = renderer.requests.popleft()
            if request.HasField("open_session"):
                self._open(renderer, request.open_session.backend or self._options.backend, _ATTEMPTS)
            else:
                self._tell_status(renderer)

    def _answer(self, renderer: _Renderer, reply: HostReply, fds: tuple[int, ...] = ()) -> None:
        renderer.is_served = False
        self._reply(renderer, reply, fds)
        self._serve_next(renderer)

    def _reply(self, renderer: _Renderer, reply: HostReply, fds: tuple[int, ...] = ()) -> None:
        if renderer not in self._renderers:
            return
        try:
            renderer.channel.send(reply, fds, timeout=0)
        except ChannelClosed:
            return  # heard of by `_hear`
        except (TimeoutError, ChannelError) as error:
            self._distrust(renderer, f"does not read its answers: {error}")

    def _distrust(self, renderer: _Renderer, reason: str) -> None:
        _logger.warning("renderer %d (process %d) is let go: %s", renderer.number, renderer.pid, reason)
        self._drop(renderer)

    def _drop(self, renderer: _Renderer) -> None:
        if renderer not in self._renderers:
            return
        self._renderers.remove(renderer)
        self._loop.forget(renderer.channel)
        renderer.channel.close()
        for session, process in renderer.sessions.items():
            del self._sessions[session]
            process.end_session(session)
        if self._options.isolate:
            for (_, isolated_for), process in self._processes.items():
                if isolated_for == renderer.number:
                    process.let_go()
        if renderer.is_owner:
            self._loop.stop()

    # --- Sessions -----------------------------------------------------------------------------------------------------

    def _open(self, renderer: _Renderer, backend: str, attempts: int) -> None:
        refusal = self._refusal(renderer, backend)
        if refusal:
            self._refuse(renderer, refusal)
            return
        try:
            process = self._process_for(backend, isolated_for=renderer.number)
        except OSError as error:  # no descriptor or no process left
            self._refuse(renderer, f"backend {backend}: its GPU process cannot be started: {error}")
            return

        def settled() -> None:
            if process.has_ended:
                self._refuse(renderer, f"backend {backend}: {process.failure}")
            else:
                process.ask(confirmed)

        def confirmed(status: dict[str, Any] | None) -> None:
            if status is not None:
                self._grant(renderer, backend, process)
            elif attempts > 1:
                self._open(renderer, backend, attempts - 1)
            else:
                self._refuse(renderer, f"backend {backend}: its GPU process dies again and again")

        process.when_settled(settled)

    def _refusal(self, renderer: _Renderer, backend: str) -> str | None:
        if backend not in BACKEND_NAMES:
            return f"backend {backend!r} is none of {', '.join(BACKEND_NAMES)}"
        return self._policy.refusal("+".join(self._group_of(backend)), renderer.identity)

    def _refuse(self, renderer: _Renderer, reason: str) -> None:
        self._answer(renderer, HostReply(session_refused=SessionRefused(reason=reason)))

    def _grant(self, renderer: _Renderer, backend: str, process: ProcessHandle) -> None:
        if renderer not in self._renderers:
            return
        try:
            renderers_end, processs_end = pair()
        except OSError as error:  # no descriptor left
            self._refuse(renderer, f"no session can be opened: {error}")
            return
        session = next(self._numbers)
        self._sessions[session] = renderer
        renderer.sessions[session] = process
        process.adopt(session, renderer.pid, processs_end)
        opened = SessionOpened(session=session, backend=backend, gpu_process_pid=process.pid or 0)
        with renderers_end:
            self._answer(renderer, HostReply(session_opened=opened), (renderers_end.fileno(),))

    def session_reported(self, session: int, bad_message: str, field: str) -> None:
        """A GPU process tells that a session has ended there."""
        renderer = self._sessions.pop(session, None)
        if renderer is None:
            return
        renderer.sessions.pop(session, None)
        if bad_message:
            self._bad_messages += 1
            reason = f"bad message: {bad_message} at {field}" if field else f"bad message: {bad_message}"
            _logger.warning("session %d of process %d: %s", session, renderer.pid, reason)
            self._reply(renderer, HostReply(session_ended=SessionEnded(session=session, reason=reason)))

    # --- GPU processes ------------------------------------------------------------------------------------------------

    def _group_of(self, backend: str) -> tuple[str, ...]:
        return next(group for group in self._options.process_groups if backend in group)

    def _process_for(self, backend: str, *, isolated_for: int) -> ProcessHandle:
        """The GPU process that serves `backend`, started if there is none."""
        group = self._group_of(backend)
        key = (group, isolated_for if self._options.isolate else 0)
        if key not in self._processes:
            # One that was prepared for nobody in particular serves the first who comes.
            spare = self._processes.pop((group, 0), None)
            self._processes[key] = spare or ProcessHandle(
                next(self._numbers),
                self._loop,
                self._launcher_for(group),
                self._run_directory,
                self._options,
                self,
            )
        return self._processes[key]

    def _launcher_for(self, group: tuple[str, ...]) -> LauncherHandle:
        for launcher in self._launchers:
            if launcher.backends == group and not launcher.retired:
                return launcher
        sockets = [self._broker.hidden_path, self._broker.path] if self._broker else []
        launcher = LauncherHandle(
            self._loop, group, self._options, self._run_directory, sockets, on_end=self._launcher_ended
        )
        self._launchers.append(launcher)
        return launcher

    def process_ended(self, process: ProcessHandle, death: Death) -> None:
        """A GPU process has died, or could not be started."""
        self._processes = {key: it for key, it in self._processes.items() if it is not process}
        culprit = self._sessions.get(process.culprit() or 0)
        self._policy.died(process.group, death, culprit.identity if culprit else None)
        for session in process.sessions:
            if renderer := self._sessions.pop(session, None):
                renderer.sessions.pop(session, None)
                self._reply(renderer, HostReply(session_ended=SessionEnded(session=session, reason=str(death))))
        if death.cause.taints_zygote:
            process.launcher.retire()
        self._clean_after(process, _CLEANING_ATTEMPTS)

    def _launcher_ended(self, launcher: LauncherHandle) -> None:
        self._launchers.remove(launcher)
        if not self._launchers:
            self._run_directory.remove()

    def _clean_after(self, process: ProcessHandle, attempts: int) -> None:
        """Do the launcher's work as well, which may have died before it did it."""
        self._run_directory.discard(str(process.number))
        if (group := process.control_group()) is None:
            return
        try:
            MemoryGroup(group).remove()
        except OSError as error:  # its last process is still being taken apart
            if attempts:
                self._loop.call_later(_CLEANING_INTERVAL, lambda: self._clean_after(process, attempts - 1))
            else:
                _logger.warning("control group %s cannot be removed: %s", group, error)

    def _reap_orphans(self) -> None:
        """Reap what was left behind by a launcher that was killed; launchers themselves are waited for by number."""
        for launcher in self._launchers:
            launcher.poll()
        while True:
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if ended is None or any(ended.si_pid == launcher.pid for launcher in self._launchers):
                return
            os.waitpid(ended.si_pid, 0)

    # --- Diagnostics --------------------------------------------------------------------------------------------------

    def _tell_status(self, renderer: _Renderer) -> None:
        asked = list(self._processes.values())
        statuses: dict[int, dict[str, Any] | None] = {}

        def answered(number: int, status: dict[str, Any] | None) -> None:
            statuses[number] = status
            if len(statuses) == len(asked):
                self._answer_status(renderer, statuses)

        for process in asked:
            process.ask(functools.partial(answered, process.number))
        if not asked:
            self._answer_status(renderer, statuses)

    def _answer_status(self, renderer: _Renderer, services: dict[int, dict[str, Any] | None]) -> None:
        status = self.describe()
        for process in status["gpu_processes"]:
            process["service"] = services.get(process["number"])
        text = json.dumps(status)
        if len(text) > MAX_PACKET_BYTES // 2:
            text = json.dumps(self.describe())
        self._answer(renderer, HostReply(status=StatusReply(json=text)))

    # --- The end ------------------------------------------------------------------------------------------------------

    def _close(self) -> None:
        if self._broker:
            self._broker.close()
        for process in self._processes.values():
            process.let_go()
        for launcher in self._launchers:
            launcher.let_go()
        for launcher in self._launchers:
            launcher.wait(_LAUNCHER_PATIENCE)
        for process in self._processes.values():
            if group := process.control_group():
                with contextlib.suppress(OSError):  # a launcher that had to be killed may have left members in it
                    MemoryGroup(group).remove()
        self._run_directory.remove()
        self._loop.close()


def _identity(pid: int) -> Hashable:
    """A process and not just its number, which is used again."""
    with contextlib.suppress(OSError):
        # After the name, which may hold anything in parentheses, start time is field 22 of proc_pid_stat(5).
        return pid, int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[19])
    return pid, 0


def main() -> int:
    """`python -m gpu_process.host`, as `renderer.ML` starts it; it ends with its control socket."""
    parser = argparse.ArgumentParser(prog="python -m gpu_process.host", description=__doc__)
    parser.add_argument("--control-fd", type=int, required=True, help="a Unix SOCK_SEQPACKET socket to the owner")
    parser.add_argument("--options", default="{}", help="JSON, as ipc.options.HostOptions writes it")
    arguments = parser.parse_args()
    try:
        options = HostOptions.from_json(arguments.options)
        control = socket.socket(fileno=arguments.control_fd)
        control.set_inheritable(False)
        Quotas.of(options.quotas)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    manners.settle(own_session=True)
    manners.log_to_stderr(options.log_level)
    trace.start(options.trace, trace.Role.HOST)
    host = Host(options)
    host.attach(control, os.getppid(), is_owner=True)
    host.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
