"""The host: starts and supervises all other processes, and brings renderers and GPU processes together.

A process of its own with one thread. It never parses what renderers and GPU processes say to each other: it hands each
of them one end of a socket pair, and learns how they end.
"""

from __future__ import annotations

import itertools
import json
import logging
import os
import signal
import socket
import time
from collections.abc import Callable
from typing import Any, Final

from gpu_process import diagnostics, manners, run_directory
from gpu_process.blame import Charge
from gpu_process.broker import Broker
from gpu_process.connections import Connection
from gpu_process.event_loop import EventLoop
from gpu_process.examination import Examination
from gpu_process.exit_status import Death
from gpu_process.fleet import Fleet, reap_all_but
from gpu_process.launcher_process import LauncherProcess
from gpu_process.process_handle import ProcessHandle
from gpu_process.quotas import Quotas
from gpu_process.renderers import Renderers
from gpu_process.restart_policy import RestartPolicy
from gpu_process.run_directory import RunDirectory
from ipc.channel import pair
from ipc.generated.webnn.v1.session_pb2 import (
    Attacked,
    HostReply,
    HostRequest,
    SessionEnded,
    SessionOpened,
    SessionRefused,
    StatusReply,
)
from ipc.options import BACKEND_NAMES, HostOptions

_MOST_CONNECTIONS: Final = 64

# A GPU process that dies between a request and its answer is replaced, and the request tried again.
_ATTEMPTS: Final = 3

_logger = logging.getLogger(__name__)


class Host:
    """All processes of one user's run."""

    def __init__(
        self,
        options: HostOptions,
        *,
        broker: Broker | None = None,
        run_directory: RunDirectory | None = None,
        launcher: LauncherProcess | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Args:
        run_directory: a new one where none is given.
        launcher: one that runs already, with these options and that directory.
        """
        self._options = options
        self._quotas = Quotas.of(options.quotas)
        self._broker = broker
        self._loop = EventLoop(clock)
        self._policy = RestartPolicy(
            crash_limit=options.crash_limit,
            forgive_after=options.forgive_after,
            charge_limit=options.charge_limit,
            clock=clock,
        )
        self._run_directory = run_directory or RunDirectory.choose()
        self._numbers = itertools.count(1)
        sockets = [broker.hidden_path, broker.path] if broker else []
        self._fleet = Fleet(self._loop, options, self._run_directory, self._numbers, self, sockets)
        if launcher is not None:
            self._fleet.take(launcher)
        self._renderers = Renderers(self._loop, options, self._run_directory, self._numbers, self.attach)
        self._connections: set[Connection] = set()
        self._sessions: dict[int, Connection] = {}
        self._chronicle = diagnostics.Chronicle()
        if options.guards == "off":
            _logger.warning("guards are OFF: values in a tensor can make a GPU process reach beyond its memory")

    def run(self) -> None:
        """Serve until stopped: by `stop`, by SIGINT or SIGTERM, or by the end of the owner. Then end and clean up."""
        run_directory.sweep()
        manners.adopt_orphans()
        stop = self._loop.stop
        self._loop.watch_signals({signal.SIGINT: stop, signal.SIGTERM: stop, signal.SIGCHLD: self._reap})
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
        """Serve the process at the other end of `sock`; with `is_owner`, obey it, and end when it does."""
        if len(self._connections) >= _MOST_CONNECTIONS:
            _logger.warning("refused process %d: %d are connected already", pid, len(self._connections))
            sock.close()
            return
        connection = Connection(next(self._numbers), self._loop, sock, pid, self, is_owner=is_owner)
        self._connections.add(connection)

    def prepare(self, backend: str, settled: Callable[[ProcessHandle], None]) -> None:
        """Start the GPU process of `backend` before anyone asks; call `settled` when it is ready or has failed."""
        process = self._fleet.process_for(backend, isolated_for=0)
        process.when_settled(lambda: settled(process))

    def describe(self) -> dict[str, Any]:
        """For diagnostics: who is there, and what has happened."""
        return {
            "host": {
                "pid": os.getpid(),
                "run_directory": str(self._run_directory.path),
                "guards": self._options.guards,
            },
            **self._fleet.describe(),
            "renderers": len(self._connections),
            "launched_renderers": self._renderers.describe(),
            "sessions": len(self._sessions),
            **self._chronicle.to_json(),
            **self._policy.status(),
        }

    # --- Connections --------------------------------------------------------------------------------------------------

    def _accept(self) -> None:
        assert self._broker is not None
        if peer := self._broker.accept():
            self.attach(peer.sock, peer.pid)

    def serve(self, connection: Connection, request: HostRequest, fds: list[int]) -> None:
        """Answer a request. What starts processes or ends them is obeyed of the owner only."""
        match request.WhichOneof("message"):
            case "open_session":
                self._open(connection, request.open_session.backend or self._options.backend, _ATTEMPTS)
            case "status":
                self._tell_status(connection)
            case "launch_renderer" if connection.is_owner:
                if not request.launch_renderer.attempts:
                    self.prepare(self._options.backend, lambda _: None)
                self._renderers.launch(connection, request.launch_renderer, fds)
                return
            case "signal_renderer" if connection.is_owner:
                self._renderers.send_signal(request.signal_renderer.renderer, request.signal_renderer.signal)
                connection.done()
            case "attack_sandbox" if connection.is_owner:
                self._attack(connection, request.attack_sandbox.backend, request.attack_sandbox.attempts)
            case kind:
                connection.distrust(f"asked for what only the owner may: {kind}")
        for fd in fds:
            os.close(fd)

    def disconnected(self, connection: Connection) -> None:
        """It is gone, and its sessions with it."""
        self._connections.discard(connection)
        for session, process in connection.sessions.items():
            del self._sessions[session]
            process.end_session(session)
        self._fleet.let_go_of_isolated(connection.number)
        if connection.is_owner:
            self._loop.stop()

    # --- Sessions -----------------------------------------------------------------------------------------------------

    def _open(self, connection: Connection, backend: str, attempts: int) -> None:
        refusal = self._refusal(connection, backend)
        if refusal:
            _refuse(connection, refusal)
            return
        try:
            process = self._fleet.process_for(backend, isolated_for=connection.number)
        except OSError as error:  # no descriptor or no process left
            _refuse(connection, f"backend {backend}: its GPU process cannot be started: {error}")
            return

        def settled() -> None:
            if process.has_ended:
                _refuse(connection, f"backend {backend}: {process.failure}")
            else:
                process.ask(confirmed)

        def confirmed(status: dict[str, Any] | None) -> None:
            if status is not None:
                self._grant(connection, backend, process)
            elif attempts > 1:
                self._open(connection, backend, attempts - 1)
            else:
                _refuse(connection, f"backend {backend}: its GPU process dies again and again")

        process.when_settled(settled)

    def _refusal(self, connection: Connection, backend: str) -> str | None:
        if backend not in BACKEND_NAMES:
            return f"backend {backend!r} is none of {', '.join(BACKEND_NAMES)}"
        sessions = sum(other.identity == connection.identity for other in self._sessions.values())
        if sessions >= self._quotas.renderer_sessions:
            return f"quota renderer_sessions: this renderer has {sessions} sessions already"
        return self._policy.refusal("+".join(self._options.group_of(backend)), connection.identity)

    def _grant(self, connection: Connection, backend: str, process: ProcessHandle) -> None:
        if not connection.is_open:
            return
        try:
            renderers_end, processs_end = pair()
        except OSError as error:  # no descriptor left
            _refuse(connection, f"no session can be opened: {error}")
            return
        self._renderers.admit(connection.pid, str(process.number))
        session = next(self._numbers)
        self._sessions[session] = connection
        connection.sessions[session] = process
        process.adopt(session, connection.identity, processs_end)
        opened = SessionOpened(session=session, backend=backend, gpu_process_pid=process.pid or 0)
        with renderers_end:
            connection.answer(HostReply(session_opened=opened), (renderers_end.fileno(),))

    def _end_session(self, session: int) -> Connection | None:
        connection = self._sessions.pop(session, None)
        if connection is not None:
            connection.sessions.pop(session, None)
        return connection

    # --- What GPU processes tell --------------------------------------------------------------------------------------

    def session_reported(self, session: int, bad_message: str, field: str) -> None:
        """A session has ended there. Whoever sent a bad message is killed, if it was started here."""
        connection = self._end_session(session)
        if connection is None or not bad_message:
            return
        self._chronicle.bad_messages[bad_message] += 1
        reason = f"bad message: {bad_message} at {field}" if field else f"bad message: {bad_message}"
        _logger.warning("session %d of process %d: %s", session, connection.pid, reason)
        connection.push(HostReply(session_ended=SessionEnded(session=session, reason=reason)))
        self._renderers.kill(connection.pid, f"killed for a {reason}")

    def process_ended(self, process: ProcessHandle, death: Death) -> None:
        """A GPU process has died, or could not be started."""
        charge = process.charge()
        if self._fleet.serves_renderers(process):
            self._policy.died(process.group, death, charge.renderer if charge else None)
            self._chronicle.died(process, death, charge.renderer.pid if charge else None)
        for session in process.sessions:
            if connection := self._end_session(session):
                reason = f"{death}{_share(charge, session)}"
                connection.push(HostReply(session_ended=SessionEnded(session=session, reason=reason)))
        self._fleet.ended(process, is_tainted=death.cause.taints_zygote)

    # --- Diagnostics --------------------------------------------------------------------------------------------------

    def _tell_status(self, connection: Connection) -> None:
        def answer(services: dict[int, dict[str, Any] | None]) -> None:
            text = diagnostics.as_packet(self.describe(), services, confidential=connection.is_owner)
            connection.answer(HostReply(status=StatusReply(json=text)))

        diagnostics.ask_all(self._fleet.shared, answer)

    def _attack(self, connection: Connection, backend: str, attempts: Any) -> None:
        def finished(examination: Examination) -> None:
            examination.process.let_go()
            connection.answer(HostReply(attacked=Attacked(json=json.dumps(examination.to_json()))))

        try:
            process = self._fleet.process_for_nobody(backend)
        except OSError as error:
            _refuse(connection, f"backend {backend}: its GPU process cannot be started: {error}")
        else:
            Examination(process, attempts, finished)

    # --- The end ------------------------------------------------------------------------------------------------------

    def _reap(self) -> None:
        self._fleet.reap()
        self._renderers.reap()
        reap_all_but(self._fleet.pids() | self._renderers.pids())

    def _close(self) -> None:
        if self._broker:
            self._broker.close()
        self._renderers.close()
        self._fleet.close()
        self._run_directory.remove()
        self._loop.close()


def _share(charge: Charge | None, session: int) -> str:
    """What is told to a session of its part in a death."""
    if charge is None or session not in charge.sessions:
        return ""
    return "; it worked for this session" if len(charge.sessions) == 1 else "; it worked for this renderer"


def _refuse(connection: Connection, reason: str) -> None:
    connection.answer(HostReply(session_refused=SessionRefused(reason=reason)))
