"""The host's side of a GPU process."""

from __future__ import annotations

import contextlib
import enum
import json
import logging
import os
import socket
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from gpu_process import blame, exit_status
from gpu_process.blame import Charge, Identity
from gpu_process.confinement import sandbox_spec
from gpu_process.event_loop import EventLoop
from gpu_process.exit_status import Cause, Death
from gpu_process.launcher_handle import LauncherHandle
from gpu_process.quotas import Quotas
from gpu_process.run_directory import RunDirectory
from gpu_process.running_note import Note, RunningNote, Work
from gpu_process.stderr_tail import StderrTail
from gpu_process.supervision import Supervision, look_from_outside
from ipc import trace
from ipc.channel import ChannelClosed, ChannelError, MessageSocket, pair
from ipc.errors import escape_label
from ipc.generated.webnn.v1.session_pb2 import (
    AdoptSession,
    Attempt,
    EndSession,
    GpuReply,
    GpuRequest,
    StatusRequest,
)
from ipc.options import HostOptions

# Between a closed control socket and the exit status that explains it.
_EXIT_PATIENCE = 0.5

# Sessions that have ended while their commands may still run.
_REMEMBERED_SESSIONS = 1024

_logger = logging.getLogger(__name__)


class Owner(Protocol):
    """Whom a GPU process's handle tells what happens."""

    def process_ended(self, process: ProcessHandle, death: Death) -> None: ...

    def session_reported(self, session: int, bad_message: str, field: str) -> None: ...


class _State(enum.Enum):
    STARTING = enum.auto()
    READY = enum.auto()
    ENDED = enum.auto()


@dataclass(frozen=True, slots=True)
class _Question:
    """A request on its way, and by which kind of message it is answered."""

    kind: str
    asked_at: float
    answer: Callable[[dict[str, Any] | None], None]


class ProcessHandle:
    """One GPU process, from the request to fork it to its death.

    Attributes:
        number: minted by the host, never reused.
        launcher: that forks it.
        group: name of its backends together, for people and counters.
        sessions: that it has adopted.
        pid: None until it is ready.
        failure: why it did not get ready; empty otherwise.
        layers: its sandbox, as it read it back from the kernel.
        memory_group: directory of its control group; empty where it has none.
        death: how it ended, once it has.
        supervision: of its system calls.
    """

    def __init__(
        self,
        number: int,
        loop: EventLoop,
        launcher: LauncherHandle,
        run_directory: RunDirectory,
        options: HostOptions,
        owner: Owner,
    ) -> None:
        self.number = number
        self.launcher = launcher
        self.group = "+".join(launcher.backends)
        self.sessions: set[int] = set()
        self._renderers: dict[int, Identity] = {}  # of these, and of those that it had lately
        self.pid: int | None = None
        self.failure = ""
        self.layers: dict[str, Any] = {}
        self.memory_group = ""
        self.death: Death | None = None
        self._began = trace.now()
        self._loop = loop
        self._options = options
        self._owner = owner
        self._state = _State.STARTING
        self._is_forked = False
        self._waiting: list[Callable[[], None]] = []
        self._questions: deque[_Question] = deque()
        self._killed_for: Cause | None = None
        self._overdue: Note | None = None
        self._memory_kills = exit_status.read_memory_kills()
        quotas = Quotas.of(options.quotas)
        self._time_limits = {Work.COMMANDS: float(quotas.command_seconds), Work.BUILD: float(quotas.build_seconds)}
        name = f"GPU process {number} ({self.group})"

        with contextlib.ExitStack() as undo, contextlib.ExitStack() as theirs:
            control, their_control = pair()
            undo.callback(control.close)
            theirs.callback(their_control.close)
            handover, their_handover = pair()
            undo.callback(handover.close)
            theirs.callback(their_handover.close)
            reader, their_stderr = os.pipe()
            theirs.callback(os.close, their_stderr)
            self._stderr = StderrTail(loop, name, reader)
            undo.callback(self._stderr.close)
            self._note = RunningNote.create()
            undo.callback(self._note.close)
            ends = (their_control.fileno(), their_stderr, self._note.descriptor, their_handover.fileno())
            launcher.fork(number, self, ends)
            undo.pop_all()
        self._control = MessageSocket(control, GpuReply, GpuRequest)
        self._control.learn_peer_pid()
        loop.watch(self._control, self._hear)
        spec = sandbox_spec(options, launcher.backends, run_directory.path / str(number))
        self.supervision = Supervision(loop, handover, spec, name, on_kill=self._killed_by_sandbox)
        self._timer = loop.call_later(options.start_timeout, self._start_timed_out)

    # --- What the host asks for ---------------------------------------------------------------------------------------

    @property
    def has_ended(self) -> bool:
        return self._state is _State.ENDED

    def when_settled(self, callback: Callable[[], None]) -> None:
        """Call back once it is ready or has ended, which may be at once."""
        if self._state is _State.STARTING:
            self._waiting.append(callback)
        else:
            callback()

    def ask(self, answer: Callable[[dict[str, Any] | None], None]) -> None:
        """Have it tell its status; None where it ends first. An answer also proves that it lives."""
        self._ask(GpuRequest(status=StatusRequest()), "status", answer)

    def attempt(self, name: str, answer: Callable[[dict[str, Any] | None], None]) -> None:
        """Have it make an attack on its own sandbox; None where it ends of it."""
        self._ask(GpuRequest(attempt=Attempt(name=name)), "attempted", answer)

    def _ask(self, request: GpuRequest, kind: str, answer: Callable[[dict[str, Any] | None], None]) -> None:
        if self._state is not _State.READY:
            answer(None)
            return
        self._questions.append(_Question(kind, self._loop.clock(), answer))
        self._send(request)

    def adopt(self, session: int, renderer: Identity, sock: socket.socket) -> None:
        """Hand it its end of a session's socket pair, which is closed here."""
        with sock:
            self.sessions.add(session)
            self._renderers[session] = renderer
            if len(self._renderers) > len(self.sessions) + _REMEMBERED_SESSIONS:
                del self._renderers[next(old for old in self._renderers if old not in self.sessions)]
            request = AdoptSession(session=session, renderer_pid=renderer.pid)
            self._send(GpuRequest(adopt_session=request), [sock.fileno()])

    def end_session(self, session: int) -> None:
        """Its renderer is gone."""
        self.sessions.discard(session)
        self._send(GpuRequest(end_session=EndSession(session=session)))

    def kill(self, cause: Cause) -> None:
        """End it by force; `cause` is what its death will be called."""
        if self._killed_for is None:
            self._killed_for = cause
            self.launcher.kill(self.number)

    def charge(self) -> Charge | None:
        """Who is to blame for its death; None where that is not certain."""
        clues = blame.Clues(
            self._overdue,
            self.supervision.killer.inner_pid if self.supervision.killer else None,
            self._note.crashed_thread(),
        )
        return blame.charge(self._note.read(), self._renderers, clues)

    def let_go(self) -> None:
        """Close its control socket, at which it ends."""
        self._forget_control()

    def describe(self) -> dict[str, Any]:
        """For diagnostics."""
        return {
            "number": self.number,
            "pid": self.pid,
            "backends": list(self.launcher.backends),
            "sessions": len(self.sessions),
            "sandbox": self.layers,
            "violations": dict(self.supervision.counts),
            "recent_violations": list(self.supervision.recent),
        }

    # --- What the launcher tells --------------------------------------------------------------------------------------

    def forked(self, memory_group: str) -> None:
        self._is_forked = True
        self.memory_group = memory_group

    def never_forked(self, reason: str) -> None:
        if self._state is not _State.ENDED:
            self.failure = reason
            self._end(Death(Cause.START_FAILED))

    def exited(self, wait_status: int, memory_kills: int) -> None:
        if self._state is not _State.ENDED:
            self._hear_everything()
            # Its group counts for itself; without one, the machine's count is all there is.
            ran_out = memory_kills > 0 if self.memory_group else exit_status.read_memory_kills() > self._memory_kills
            death = exit_status.classify(wait_status, killed_for=self._killed_for, memory_ran_out=ran_out)
            if death.cause is Cause.SANDBOX_VIOLATION and self.supervision.killer:
                # No more than the name: renderers are told, and arguments are addresses.
                death = Death(death.cause, self.supervision.killer.call)
            elif death.cause is Cause.HANG and self._overdue:
                limit = self._time_limits[Work(self._overdue.work)]
                death = Death(death.cause, f"{Work(self._overdue.work).name.lower()} took longer than {limit:g} s")
            self._end(death)

    def orphaned(self, reason: str) -> None:
        if self._state is not _State.ENDED:
            self.failure = self.failure or reason
            was_ready = self._state is _State.READY
            self._end(Death(Cause.KILLED if was_ready else Cause.START_FAILED, "its launcher has ended"))

    # --- What it tells itself -----------------------------------------------------------------------------------------

    def _hear(self) -> bool:
        """Takes one message; False where there is none now, or none ever again."""
        try:
            received = self._control.receive_nowait()
        except ChannelClosed:
            self._forget_control()
            self._timer.cancel()
            # Its exit status says why, and comes as soon as the kernel has taken it apart.
            self._timer = self._loop.call_later(_EXIT_PATIENCE, lambda: self.kill(Cause.PROTOCOL))
            return False
        except ChannelError as error:
            self._distrust(str(error))
            return False
        if received is None:
            return False
        self._take(received[0])
        return True

    def _hear_everything(self) -> None:
        while self._control.fileno() >= 0 and self._hear():
            pass

    def _take(self, reply: GpuReply) -> None:
        match reply.WhichOneof("message"):
            case "ready" if self._state is _State.STARTING:
                self._become_ready(reply.ready.status_json)
            case "start_failed" if self._state is _State.STARTING:
                self.failure = escape_label(reply.start_failed.reason)
            case "session_report" if reply.session_report.session in self.sessions:
                report = reply.session_report
                self.sessions.discard(report.session)
                self._owner.session_reported(
                    report.session, escape_label(report.bad_message), escape_label(report.field)
                )
            case "session_report":
                pass  # it ended at both ends at once
            case ("status" | "attempted") as kind if self._questions and self._questions[0].kind == kind:
                self._questions.popleft().answer(self._decoded(getattr(reply, kind).json))
            case unexpected:
                self._distrust(f"sent {unexpected} unasked")

    def _become_ready(self, status: str) -> None:
        self.pid = self._control.peer_pid
        self.layers = self._decoded(status).get("sandbox", {})
        if self.pid is not None:
            look_from_outside(self.layers, self.pid)
        self._state = _State.READY
        if trace.recorder is not None:
            trace.recorder.span(trace.Stage.START, self._began)
        self._timer.cancel()
        self._watch_for_hangs()
        self._settle()

    def _decoded(self, text: str) -> dict[str, Any]:
        with contextlib.suppress(ValueError, RecursionError):
            if isinstance(decoded := json.loads(text), dict):
                return decoded
        self._distrust("sent a status that is no JSON object")
        return {}

    def _distrust(self, reason: str) -> None:
        _logger.warning("GPU process %d (%s) %s", self.number, self.group, reason)
        self._forget_control()
        self.kill(Cause.PROTOCOL)

    def _send(self, request: GpuRequest, fds: Sequence[int] = ()) -> None:
        if self._control.fileno() < 0:
            return  # it is about to end
        try:
            self._control.send(request, fds, timeout=0)
        except ChannelClosed:
            return  # heard of by `_hear`
        except (TimeoutError, ChannelError) as error:
            _logger.warning("GPU process %d (%s) cannot be sent to: %s", self.number, self.group, error)
            self.kill(Cause.HANG)

    # --- Time ---------------------------------------------------------------------------------------------------------

    def _start_timed_out(self) -> None:
        said = self._stderr.last_words()
        self.failure = f"not ready within {self._options.start_timeout:g} s" + (f"; it said: {said}" if said else "")
        self.kill(Cause.START_FAILED)
        if not self._is_forked:
            self.launcher.kill_launcher()
        self._end(Death(Cause.START_FAILED))  # whoever waits has waited long enough

    def _watch_for_hangs(self) -> None:
        limits = [limit for limit in (self._options.hang_timeout, *self._time_limits.values()) if limit]
        if not limits:
            return
        self._overdue = self._note.overdue(self._time_limits, self._loop.clock())
        if self._overdue or self._leaves_unanswered():
            self.kill(Cause.HANG)
            return
        self._timer = self._loop.call_later(min(limits) / 4, self._watch_for_hangs)

    def _leaves_unanswered(self) -> bool:
        """Whether it has not answered for too long; asks it again where it has."""
        limit = self._options.hang_timeout
        if limit and not self._questions:
            self.ask(lambda _: None)
        return bool(limit and self._questions and self._loop.clock() - self._questions[0].asked_at >= limit)

    def _killed_by_sandbox(self) -> None:
        self._killed_for = Cause.SANDBOX_VIOLATION

    # --- Its end ------------------------------------------------------------------------------------------------------

    def _settle(self) -> None:
        waiting, self._waiting = self._waiting, []
        for callback in waiting:
            callback()

    def _end(self, death: Death) -> None:
        if self._state is _State.STARTING and not self.failure:
            said = self._stderr.last_words()
            self.failure = f"{death}" + (f"; it said: {said}" if said else "")
        self._state = _State.ENDED
        self.death = death
        self._timer.cancel()
        self._forget_control()
        self.supervision.close()
        self._log_end(death)
        self._stderr.close()
        self._owner.process_ended(self, death)
        self._note.close()
        questions, self._questions = self._questions, deque()
        for question in questions:
            question.answer(None)
        self._settle()

    def _log_end(self, death: Death) -> None:
        said = self._stderr.last_words()
        level = logging.WARNING if death.cause.is_crash else logging.INFO
        _logger.log(
            level, "GPU process %d (%s): %s%s", self.number, self.group, death, f"; it said: {said}" if said else ""
        )
        if report := self._note.crash_report():
            _logger.info("GPU process %d (%s) crashed here: %s", self.number, self.group, escape_label(report))

    def _forget_control(self) -> None:
        if self._control.fileno() >= 0:
            self._loop.forget(self._control)
            self._control.close()

    def control_group(self) -> Path | None:
        """Of its memory, to be removed by whoever outlives its launcher."""
        return Path(self.memory_group) if self.memory_group else None
