"""All GPU processes of a host, and the launchers that fork them."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from gpu_process.confinement import sandbox_spec
from gpu_process.event_loop import EventLoop
from gpu_process.launcher_handle import LauncherHandle
from gpu_process.launcher_process import LauncherProcess
from gpu_process.process_handle import Owner, ProcessHandle
from gpu_process.run_directory import RunDirectory
from gpu_process.sandbox import MemoryGroup
from ipc.options import HostOptions

_LAUNCHER_PATIENCE: Final = 3.0
_CLEANING_INTERVAL: Final = 0.05
_CLEANING_ATTEMPTS: Final = 40

_logger = logging.getLogger(__name__)


class Fleet:
    """Starts GPU processes on demand, one for each group of backends, or for each renderer where they are isolated."""

    def __init__(
        self,
        loop: EventLoop,
        options: HostOptions,
        run_directory: RunDirectory,
        numbers: itertools.count[int],
        owner: Owner,
        broker_sockets: Sequence[Path] = (),
    ) -> None:
        """Args:
        numbers: of everything that the host mints.
        owner: is told what becomes of each process.
        broker_sockets: removed by the launchers, should the host not come to it.
        """
        self._loop = loop
        self._options = options
        self._run_directory = run_directory
        self._numbers = numbers
        self._owner = owner
        self._broker_sockets = list(broker_sockets)
        self._launchers: list[LauncherHandle] = []
        self._shared: dict[tuple[tuple[str, ...], int], ProcessHandle] = {}
        self._others: set[ProcessHandle] = set()

    @property
    def shared(self) -> list[ProcessHandle]:
        """The processes that renderers have sessions with."""
        return list(self._shared.values())

    def describe(self) -> dict[str, Any]:
        """For diagnostics."""
        return {
            "launchers": [{"pid": it.pid, "backends": list(it.backends)} for it in self._launchers],
            "gpu_processes": [process.describe() for process in self._shared.values()],
        }

    def take(self, launcher: LauncherProcess) -> LauncherHandle:
        """Have GPU processes with its backends forked by a launcher that runs already."""
        handle = LauncherHandle(self._loop, launcher, on_end=self._launchers.remove)
        self._launchers.append(handle)
        return handle

    def process_for(self, backend: str, *, isolated_for: int) -> ProcessHandle:
        """The GPU process that serves `backend`, started if there is none.

        Args:
            isolated_for: number of the renderer that it is for, which counts where renderers are isolated; 0: the
                first who comes.

        Raises:
            OSError: no process or descriptor is left.
        """
        group = self._options.group_of(backend)
        key = (group, isolated_for if self._options.isolate else 0)
        if key not in self._shared:
            spare = self._shared.pop((group, 0), None)
            self._shared[key] = spare or self._start(group)
        return self._shared[key]

    def process_for_nobody(self, backend: str) -> ProcessHandle:
        """A new GPU process that no renderer will have a session with.

        Raises:
            OSError: no process or descriptor is left.
        """
        process = self._start((backend,))
        self._others.add(process)
        return process

    def serves_renderers(self, process: ProcessHandle) -> bool:
        """Whether it is not one of those for nobody."""
        return process not in self._others

    def let_go_of_isolated(self, renderer: int) -> None:
        """The renderer has gone for which some were isolated."""
        for (_, isolated_for), process in self._shared.items():
            if isolated_for == renderer:
                process.let_go()

    def ended(self, process: ProcessHandle, *, is_tainted: bool) -> None:
        """It has ended, or could not be started.

        Args:
            is_tainted: an attacker may know the address layout of all that its launcher forks.
        """
        self._shared = {key: it for key, it in self._shared.items() if it is not process}
        self._others.discard(process)
        if is_tainted:
            process.launcher.retire()
        self._clean_after(process, _CLEANING_ATTEMPTS)

    def reap(self) -> None:
        """Reap launchers that have ended; their end is told later."""
        for launcher in self._launchers:
            launcher.poll()

    def pids(self) -> set[int]:
        """Of the launchers, which are waited for by number."""
        return {launcher.pid for launcher in self._launchers}

    def close(self) -> None:
        """End all of them, and wait."""
        processes = [*self._shared.values(), *self._others]
        for process in processes:
            process.let_go()
        for launcher in self._launchers:
            launcher.let_go()
        for launcher in self._launchers:
            launcher.wait(_LAUNCHER_PATIENCE)
        for process in processes:
            if group := process.control_group():
                with contextlib.suppress(OSError):  # a launcher that had to be killed may have left members in it
                    MemoryGroup(group).remove()

    def _start(self, group: tuple[str, ...]) -> ProcessHandle:
        self._run_directory.hold(sandbox_spec(self._options, group, self._run_directory.path).identity[0])
        launcher = self._launcher_for(group)
        number = next(self._numbers)
        process = ProcessHandle(number, self._loop, launcher, self._run_directory, self._options, self._owner)
        self._options = dataclasses.replace(self._options, faults="")  # as its launcher does: they were for the first
        return process

    def _launcher_for(self, group: tuple[str, ...]) -> LauncherHandle:
        for launcher in self._launchers:
            if launcher.backends == group and not launcher.retired:
                return launcher
        return self.take(LauncherProcess.start(group, self._options, self._run_directory.path, self._broker_sockets))

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


def reap_all_but(pids: set[int]) -> None:
    """Reap what was left to this process by a child that was killed; its own children are waited for by number."""
    while True:
        try:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if ended is None or ended.si_pid in pids:
            return
        os.waitpid(ended.si_pid, 0)
