"""The host's side of a renderer that it has started: confined, supervised, and ended with the host."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from gpu_process.confinement import renderer_spec
from gpu_process.event_loop import EventLoop
from gpu_process.exit_status import EXIT_START_FAILED
from gpu_process.run_directory import RunDirectory
from gpu_process.sandbox import Level, MemoryGroup
from gpu_process.supervision import Supervision, look_from_outside
from ipc.channel import ChannelClosed, ChannelError, MessageSocket, pair
from ipc.errors import escape_label
from ipc.generated.webnn.v1.session_pb2 import HostRequest, LaunchRenderer, RendererStart
from ipc.options import HostOptions
from ipc.processes import python_command, python_environment

_REMOVAL_ATTEMPTS: Final = 40
_REMOVAL_INTERVAL: Final = 0.05

_logger = logging.getLogger(__name__)


class Audience(Protocol):
    """Whom a launched renderer's handle tells what happens."""

    def renderer_started(self, renderer: LaunchedRenderer) -> None:
        """It is confined; `pid` and `sandbox` are known."""

    def renderer_ended(self, renderer: LaunchedRenderer, wait_status: int) -> None: ...


class LaunchedRenderer:
    """One renderer, from its start to its end.

    Attributes:
        number: minted by the host, never reused.
        identity: user and group it runs as.
        pid: of the confined process itself, in the host's numbering; None until it is confined.
        sandbox: its layers, as it read them back from the kernel.
        failure: why it could not be confined; empty otherwise.
        reason: why it was killed; empty otherwise.
    """

    def __init__(
        self,
        number: int,
        loop: EventLoop,
        request: LaunchRenderer,
        streams: Sequence[int],
        arguments: Sequence[str],
        run_directory: RunDirectory,
        options: HostOptions,
        audience: Audience,
    ) -> None:
        """Starts it.

        Args:
            streams: standard input, output and error; they stay open here.
            arguments: of the program.

        Raises:
            ValueError: the level has no such name, or a path is not absolute.
            OSError: no process or descriptor is left.
        """
        level = Level(request.sandbox)
        read_paths = [_absolute(path) for path in request.read_paths]
        spec = renderer_spec(options, level, run_directory.path, read_paths)
        self.number = number
        self.identity = spec.identity
        self.pid: int | None = None
        self.sandbox: dict[str, Any] = {}
        self.failure = ""
        self.reason = ""
        self._loop = loop
        self._audience = audience
        self._group = _memory_group(f"{run_directory.path.name}-renderer-{number}", level, options.memory_limit)
        with contextlib.ExitStack() as undo, contextlib.ExitStack() as theirs:
            undo.callback(self._remove_group)
            (control, their_control), (handover, their_handover) = pair(), pair()
            lifeline, self._lifeline = os.pipe()
            for end in (control, handover):
                undo.callback(end.close)
            for end in (their_control, their_handover):
                theirs.callback(end.close)
            undo.callback(os.close, self._lifeline)
            theirs.callback(os.close, lifeline)
            inherited = [their_control.fileno(), their_handover.fileno(), lifeline]
            self._process = subprocess.Popen(
                python_command(
                    "gpu_process.renderer_process",
                    f"--host={os.getpid()}",
                    f"--control-fd={inherited[0]}",
                    f"--supervisor-fd={inherited[1]}",
                    f"--lifeline-fd={inherited[2]}",
                    f"--options={options.to_json()}",
                    f"--level={level}",
                    f"--run-directory={run_directory.path}",
                    *([f"--memory-group={self._group.directory}"] if self._group else []),
                    *(f"--read={path}" for path in read_paths),
                    f"--directory={request.directory or '/'}",
                    *(f"--attempt={name}" for name in request.attempts),
                    "--",
                    *arguments,
                ),
                env=python_environment(),
                stdin=streams[0],
                stdout=streams[1],
                stderr=streams[2],
                pass_fds=[*inherited, *filter(None, [options.trace])],
                start_new_session=True,
            )
            undo.pop_all()
        self._control = MessageSocket(control, RendererStart, HostRequest)
        self._control.learn_peer_pid()
        self._exit = os.pidfd_open(self._process.pid)
        self._supervision = Supervision(loop, handover, spec, f"renderer {number}", on_kill=self._killed_by_sandbox)
        loop.watch(self._control, self.hear)
        loop.watch(self._exit, self._reap)

    @property
    def outer_pid(self) -> int:
        """Of the process that the host has started, which ends as the confined one does."""
        return self._process.pid

    def hear(self) -> None:
        """Take what it says while it starts, if it has said it."""
        if self._control.fileno() < 0:
            return
        try:
            received = self._control.receive_nowait()
        except (ChannelClosed, ChannelError):
            self._forget_control()
            return
        if received is None:
            return
        start = received[0]
        self._forget_control()
        if start.HasField("start_failed"):
            self.failure = escape_label(start.start_failed.reason)
            return
        self.pid = self._control.peer_pid
        with contextlib.suppress(ValueError, RecursionError, AttributeError):
            self.sandbox = json.loads(start.ready.status_json).get("sandbox", {})
        if self.pid is not None:
            look_from_outside(self.sandbox, self.pid)
        self._audience.renderer_started(self)

    def send_signal(self, number: int) -> None:
        """As a terminal would send it, to the confined process."""
        if self._exit >= 0 and self.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self, reason: str) -> None:
        """End it by force."""
        if self._exit >= 0:
            self.reason = self.reason or reason
            self._process.kill()

    def poll(self) -> None:
        """Reap it if it has ended; its end is told later."""
        self._process.poll()

    def close(self) -> None:
        """At the host's own end: end it, and wait."""
        self._forget_exit()
        self._process.kill()
        self._process.wait()
        self._let_go()

    def _killed_by_sandbox(self) -> None:
        killer = self._supervision.killer
        assert killer is not None
        self.reason = f"killed for a system call that its sandbox forbids: {killer}"

    def _reap(self) -> None:
        status = self._process.wait()
        self.hear()
        self._forget_exit()
        if self._group and self._group.kills():
            self.reason = self.reason or "killed because memory ran out"
        self._let_go()
        if status == EXIT_START_FAILED and self.pid is None and not self.failure:
            self.failure = "it could not start; its standard error says why"
        self._audience.renderer_ended(self, -status if status < 0 else status << 8)  # as waitpid(2) has it

    def _let_go(self) -> None:
        self._forget_control()
        self._supervision.close()
        os.close(self._lifeline)
        self._remove_group()

    def _forget_control(self) -> None:
        if self._control.fileno() >= 0:
            self._loop.forget(self._control)
            self._control.close()

    def _forget_exit(self) -> None:
        if self._exit >= 0:
            self._loop.forget(self._exit)
            os.close(self._exit)
            self._exit = -1

    def _remove_group(self, attempts: int = _REMOVAL_ATTEMPTS) -> None:
        if self._group is None:
            return
        try:
            self._group.remove()
        except OSError as error:  # its last process is still being taken apart
            if attempts:
                self._loop.call_later(_REMOVAL_INTERVAL, lambda: self._remove_group(attempts - 1))
            else:
                _logger.warning("control group %s cannot be removed: %s", self._group.directory, error)


def _absolute(path: str) -> Path:
    if not os.path.isabs(path):
        raise ValueError(f"{path} is not an absolute path")
    return Path(path)


def _memory_group(name: str, level: Level, limit: int) -> MemoryGroup | None:
    if level is Level.OFF:
        return None
    try:
        return MemoryGroup.create(name, limit)
    except OSError:  # usual for an ordinary user; the layer is optional, and reported as not held
        return None
