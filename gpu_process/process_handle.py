"""The host's side of a GPU process."""

from __future__ import annotations

import contextlib
import enum
import json
import logging
import select
import socket
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from gpu_process import exit_status
from gpu_process.confinement import sandbox_spec
from gpu_process.event_loop import EventLoop
from gpu_process.exit_status import Cause, Death
from gpu_process.launcher_handle import LauncherHandle
from gpu_process.run_directory import RunDirectory
from gpu_process.running_note import RunningNote
from gpu_process.sandbox import Outcome, Supervisor, held_layers, receive_listener
from gpu_process.stderr_tail import StderrTail
from ipc import trace
from ipc.channel import ChannelClosed, ChannelError, MessageSocket, pair
from ipc.errors import escape_label
from ipc.generated.webnn.v1.session_pb2 import AdoptSession, EndSession, GpuReply, GpuRequest, StatusRequest
from ipc.options import HostOptions

# Between a closed control socket and the exit status that explains it.
_EXIT_PATIENCE = 0.5

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
    """A status request on its way."""

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
        self.pid: int | None = None
        self.failure = ""
        self.layers: dict[str, Any] = {}
        self.memory_group = ""
        self._began = trace.now()
        self._loop = loop
        self._options = options
        self._owner = owner
        self._state = _State.STARTING
        self._is_forked = False
        self._waiting: list[Callable[[], None]] = []
        self._questions: deque[_Question] = deque()
        self._killed_for: Cause | None = None
        self._violations: Counter[str] = Counter()
        self._last_violation = ""
        self._memory_kills = exit_status.read_memory_kills()
        self._spec = sandbox_spec(options, launcher.backends, run_directory.path / str(number))
        self._supervisor: Supervisor | None = None

        with contextlib.ExitStack() as undo, contextlib.ExitStack() as theirs:
            control, their_control = pair()
            undo.callback(control.close)
            theirs.callback(their_control.close)
            self._handover, their_handover = pair()
            undo.callback(self._handover.close)
            theirs.callback(their_handover.close)
            self._stderr = StderrTail(loop, f"GPU process {number} ({self.group})")
            undo.callback(self._stderr.close)
            theirs.callback(self._stderr.close_writer)
            self._note = RunningNote.create()
            undo.callback(self._note.close)
            ends = (their_control.fileno(), self._stderr.writer, self._note.descriptor, their_handover.fileno())
            launcher.fork(number, self, ends)
            undo.pop_all()
        self._control = MessageSocket(control, GpuReply, GpuRequest)
        self._control.learn_peer_pid()
        loop.watch(self._control, self._hear)
        loop.watch(self._handover, self._receive_listener)
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
        if self._state is not _State.READY:
            answer(None)
            return
        self._questions.append(_Question(self._loop.clock(), answer))
        self._send(GpuRequest(status=StatusRequest()))

    def adopt(self, session: int, renderer_pid: int, sock: socket.socket) -> None:
        """Hand it its end of a session's socket pair, which is closed here."""
        with sock:
            self.sessions.add(session)
            request = AdoptSession(session=session, renderer_pid=renderer_pid)
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

    def culprit(self) -> int | None:
        """The session whose command was running when it died; None where that was none or may have been several."""
        suspects = self._note.read() & self.sessions
        return next(iter(suspects)) if len(suspects) == 1 else None

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
            "violations": dict(self._violations),
        }

    # --- What the launcher tells --------------------------------------------------------------------------------------

    def forked(self, memory_group: str) -> None:
        self._is_forked = True
        self.memory_group = memory_group

    def never_forked(self, reason: str) -> None:
        if self._state is not _State.ENDED:
            self.failure = reason
            self._end(Death(Cause.START_FAILED))

    def exited(self, wait_status: int) -> None:
        if self._state is not _State.ENDED:
            self._hear_everything()
            ran_out = exit_status.read_memory_kills() > self._memory_kills
            death = exit_status.classify(wait_status, killed_for=self._killed_for, memory_ran_out=ran_out)
            if death.cause is Cause.SANDBOX_VIOLATION and self._last_violation:
                death = Death(death.cause, self._last_violation)
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
            case "status" if self._questions:
                self._questions.popleft().answer(self._decoded(reply.status.json))
            case unexpected:
                self._distrust(f"sent {unexpected} unasked")

    def _become_ready(self, status: str) -> None:
        self.pid = self._control.peer_pid
        self.layers = self._decoded(status).get("sandbox", {})
        self._look_from_outside()
        self._state = _State.READY
        if trace.recorder is not None:
            trace.recorder.span(trace.Stage.START, self._began)
        self._timer.cancel()
        if self._options.hang_timeout:
            self._watch_for_hangs()
        self._settle()

    def _look_from_outside(self) -> None:
        """Fill in the layers that the process cannot see itself."""
        with contextlib.suppress(OSError):  # it has ended, or this user may not look
            for layer, (held, detail) in held_layers(self.pid).items():
                entry = self.layers.get("layers", {}).get(layer.value)
                if entry is not None and entry["held"] is None:
                    entry.update(held=held, detail=detail)

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

    # --- Its sandbox --------------------------------------------------------------------------------------------------

    def _receive_listener(self) -> None:
        self._loop.forget(self._handover)
        with self._handover:
            try:
                listener, inner_pid = receive_listener(self._handover)
            except EOFError:  # it has no filter, or ended before
                return
        self._supervisor = Supervisor(listener, self._spec, inner_pid)
        self._loop.watch(self._supervisor, self._supervise)

    def _supervise(self) -> None:
        assert self._supervisor is not None
        if not _has_input(self._supervisor.fileno()):  # hung up: the last process under the filter has ended
            self._forget_supervisor()
            return
        if (violation := self._supervisor.handle()) is None:
            return
        self._violations[violation.call] += 1
        if violation.outcome is Outcome.KILLED:
            self._killed_for = Cause.SANDBOX_VIOLATION
            self._last_violation = violation.call  # no more: renderers are told, and arguments are addresses
        level = logging.WARNING if self._violations[violation.call] == 1 else logging.DEBUG
        _logger.log(level, "GPU process %d (%s): %s", self.number, self.group, violation)

    # --- Time ---------------------------------------------------------------------------------------------------------

    def _start_timed_out(self) -> None:
        said = self._stderr.last_words()
        self.failure = f"not ready within {self._options.start_timeout:g} s" + (f"; it said: {said}" if said else "")
        self.kill(Cause.START_FAILED)
        if not self._is_forked:
            self.launcher.kill_launcher()
        self._end(Death(Cause.START_FAILED))  # whoever waits has waited long enough

    def _watch_for_hangs(self) -> None:
        limit = self._options.hang_timeout
        if self._questions and self._loop.clock() - self._questions[0].asked_at >= limit:
            self.kill(Cause.HANG)
            return
        if not self._questions:
            self.ask(lambda _: None)
        self._timer = self._loop.call_later(limit / 4, self._watch_for_hangs)

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
        self._timer.cancel()
        self._forget_control()
        self._forget_supervisor()
        if self._handover.fileno() >= 0:
            self._loop.forget(self._handover)
            self._handover.close()
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

    def _forget_control(self) -> None:
        if self._control.fileno() >= 0:
            self._loop.forget(self._control)
            self._control.close()

    def _forget_supervisor(self) -> None:
        if self._supervisor is not None:
            self._loop.forget(self._supervisor)
            self._supervisor.close()
            self._supervisor = None

    def control_group(self) -> Path | None:
        """Of its memory, to be removed by whoever outlives its launcher."""
        return Path(self.memory_group) if self.memory_group else None


def _has_input(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return any(events & select.POLLIN for _, events in poll.poll(0))
