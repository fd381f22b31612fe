"""The host's side of a launcher."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from typing import Protocol

from gpu_process.event_loop import EventLoop
from gpu_process.launcher_process import LauncherProcess
from gpu_process.stderr_tail import StderrTail
from ipc.channel import ChannelClosed, MessageSocket
from ipc.generated.webnn.v1.launcher_pb2 import ForkGpuProcess, KillGpuProcess, LauncherReply, LauncherRequest

_logger = logging.getLogger(__name__)


class Forkee(Protocol):
    """What a launcher's handle tells of one of its GPU processes."""

    def forked(self, memory_group: str) -> None: ...

    def never_forked(self, reason: str) -> None: ...

    def exited(self, wait_status: int, memory_kills: int) -> None: ...

    def orphaned(self, reason: str) -> None: ...


class LauncherHandle:
    """One launcher process, from its start to its end.

    Attributes:
        backends: that it has imported.
        retired: it forks no more: its address layout may be known, or it has ended.
    """

    def __init__(self, loop: EventLoop, launcher: LauncherProcess, on_end: Callable[[LauncherHandle], None]) -> None:
        self.backends = launcher.backends
        self.retired = False
        self._loop = loop
        self._on_end = on_end
        self._children: dict[int, Forkee] = {}
        self._failure = ""
        self._process = launcher.process
        self._stderr = StderrTail(loop, f"launcher of {', '.join(launcher.backends)}", launcher.stderr)
        self._control = MessageSocket(launcher.control, LauncherReply, LauncherRequest)
        self._exit = os.pidfd_open(self._process.pid)
        loop.watch(self._control, self._hear)
        loop.watch(self._exit, self._reap)

    @property
    def pid(self) -> int:
        return self._process.pid

    def fork(self, number: int, child: Forkee, fds: Sequence[int]) -> None:
        """Ask for GPU process `number`; `child` is told what becomes of it. The descriptors stay open here."""
        self._children[number] = child
        request = ForkGpuProcess(process=number)
        self._send(LauncherRequest(fork_gpu_process=request), fds)

    def kill(self, number: int) -> None:
        """End a GPU process with SIGKILL, if it has not ended."""
        self._send(LauncherRequest(kill_gpu_process=KillGpuProcess(process=number)))

    def retire(self) -> None:
        """Fork no more, and end once the last child has."""
        self.retired = True
        self._close_if_idle()

    def kill_launcher(self) -> None:
        """End it by force, and its children with it; the host cleans up."""
        self.retired = True
        self._process.kill()

    def poll(self) -> None:
        """Reap it if it has ended; its end is told later."""
        self._process.poll()

    def let_go(self) -> None:
        """Close its lifeline: it ends its children, removes their files, and ends."""
        self._forget_control()

    def wait(self, timeout: float) -> None:
        """After `let_go`, at the host's own end: wait, and after `timeout` seconds end it by force."""
        self._forget_exit()
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            _logger.warning("launcher %d did not end in %g s and is killed", self.pid, timeout)
            self._process.kill()
            self._process.wait()
        self._stderr.close()

    def _send(self, request: LauncherRequest, fds: Sequence[int] = ()) -> None:
        with contextlib.suppress(ChannelClosed):  # its end is told by its exit
            self._control.send(request, fds, timeout=0)

    def _hear(self) -> bool:
        """Takes one message; False where there is none now, or none ever again."""
        try:
            received = self._control.receive_nowait()
        except ChannelClosed:
            self._forget_control()
            return False
        if received is None:
            return False
        reply, _ = received
        match reply.WhichOneof("message"):
            case "import_failed":
                self._failure = reply.import_failed.reason
            case "forked":
                self._children[reply.forked.process].forked(reply.forked.memory_group)
            case "fork_failed":
                self._children.pop(reply.fork_failed.process).never_forked(reply.fork_failed.reason)
            case "exited":
                exited = reply.exited
                self._children.pop(exited.process).exited(exited.wait_status, exited.memory_kills)
                self._close_if_idle()
        return True

    def _close_if_idle(self) -> None:
        if self.retired and not self._children:
            self.let_go()

    def _reap(self) -> None:
        status = self._process.wait()
        while self._control.fileno() >= 0 and self._hear():  # what it said before it died
            pass
        self._forget_control()
        self._forget_exit()
        self.retired = True
        said = self._stderr.last_words()
        self._stderr.close()
        how = f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
        reason = self._failure or f"the launcher ended with {how}" + (f": {said}" if said else "")
        if self._children:
            _logger.warning("launcher %d of %s: %s", self.pid, ", ".join(self.backends), reason)
        for child in self._children.values():
            child.orphaned(reason)
        self._children.clear()
        self._on_end(self)

    def _forget_control(self) -> None:
        if self._control.fileno() >= 0:
            self._loop.forget(self._control)
            self._control.close()

    def _forget_exit(self) -> None:
        if self._exit >= 0:
            self._loop.forget(self._exit)
            os.close(self._exit)
            self._exit = -1
