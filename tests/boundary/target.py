"""A real host with a real GPU process to attack, and what can be seen of that process from outside."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ipc.processes import python_command, python_environment
from tests.boundary.hostile_client import SECONDS, HostileRenderer

# Of files and tracebacks; what a reply may never contain.
_SECRETS = (b"Traceback", b'File "', b".py", b"site-packages", b"/tmp/", b"/usr/", b"/home/", os.getcwd().encode())


# The tests are one process, which plays many renderers.
_ARGUMENTS = ("--backend=reference", "--quota=renderer_sessions=64")


@dataclass(frozen=True)
class Footprint:
    """What a process holds."""

    descriptors: int
    shared_mappings: int
    threads: int
    resident: int

    def __str__(self) -> str:
        return (
            f"{self.descriptors} descriptors, {self.shared_mappings} shared mappings, {self.threads} threads, "
            f"{self.resident >> 20} MiB"
        )


class Target:
    """A host that a person would have started by hand; renderers come and go at its socket."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.path = folder / "host.sock"
        self._log = folder / "host.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                python_command("gpu_process", f"--socket={self.path}", *_ARGUMENTS, *arguments),
                env=python_environment(),
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        self._renderers: list[HostileRenderer] = []
        assert self.process.stdout is not None
        ready = self.process.stdout.readline().decode()
        assert ready.startswith("READY"), self.log()
        (process,) = self.status()["gpu_processes"]
        self.gpu_process = int(process["pid"])

    def renderer(self, *, greets: bool = True) -> HostileRenderer:
        renderer = HostileRenderer(self.path, greets=greets)
        self._renderers.append(renderer)
        return renderer

    def status(self) -> Any:
        with HostileRenderer(self.path) as renderer:
            return renderer.status()

    def sessions(self) -> list[Any]:
        """What the GPU process says of its sessions."""
        (process,) = self.status()["gpu_processes"]
        sessions: list[Any] = process["service"]["sessions"]
        return sessions

    def log(self) -> str:
        return self._log.read_text()

    def footprint(self) -> Footprint:
        """Read from the kernel, which needs the right to look into another process."""
        process = Path(f"/proc/{self.gpu_process}")
        try:
            descriptors = len(os.listdir(process / "fd"))
            mappings = process.joinpath("maps").read_text()
        except PermissionError:
            pytest.skip("only root can look into a process that is not dumpable")
        status = dict(line.split(":", 1) for line in process.joinpath("status").read_text().splitlines())
        return Footprint(
            descriptors,
            mappings.count("memfd:"),
            int(status["Threads"]),
            int(status["VmRSS"].split()[0]) << 10,
        )

    def assert_footprint(self, fits: Callable[[Footprint], bool], what: str) -> None:
        """Waits for it: threads end after whatever they did has been told."""
        deadline = time.monotonic() + SECONDS
        while not fits(now := self.footprint()):
            assert time.monotonic() < deadline, f"{what}: {now}"
            self.status()

    def assert_alive(self) -> None:
        (process,) = self.status()["gpu_processes"]
        assert process["pid"] == self.gpu_process, f"the GPU process died:\n{self.log()}"

    def assert_silent(self) -> None:
        """That nothing any renderer heard tells of the inside."""
        for renderer in self._renderers:
            for heard in renderer.heard:
                found = [secret for secret in _SECRETS if secret in heard]
                assert not found, heard

    def hang_up(self) -> None:
        """Let all renderers go."""
        for renderer in self._renderers:
            renderer.close()
        self._renderers.clear()

    def close(self) -> None:
        self.hang_up()
        self.process.terminate()
        self.process.communicate(timeout=SECONDS)
