"""The processes under attack, and what must be true of them when nothing is under way."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.fuzz.mode import ModeOptions, Problem
from scripts.simulator import Simulator, simulator

_MEMORY_SLACK = 96 << 20  # bytes; allocators keep what they had
_LOG_BYTES, _LOG_SHOWN = 64 << 10, 4000
_REST_SECONDS = 3.0
_THREAD_SLACK = 8  # gRPC's pools breathe


class Target:
    """A host with GPU processes of its own; started again after a death.

    Attributes:
        socket: of the broker.
        generation: how often it was started.
    """

    def __init__(self, options: ModeOptions, backends: Sequence[str], extra: Sequence[str] = ()) -> None:
        self._arguments = [argument for backend in backends for argument in ("--backend", backend)]
        self._arguments += extra
        self._arguments += ["--sandbox", options.sandbox]
        self._arguments += [argument for module in options.preload for argument in ("--preload", module)]
        self._running = contextlib.ExitStack()
        self._log = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - closed with the target
        self._simulator: Simulator
        self._baseline: dict[int, _Usage] = {}
        self.generation = 0
        try:
            self.restart()
        except BaseException:
            self._log.close()
            raise

    @property
    def socket(self) -> Path:
        return self._simulator.socket

    def restart(self) -> None:
        """Everything anew: a crash may have been charged to us, and leaves nothing to be trusted."""
        self._running.close()
        self._running = contextlib.ExitStack()
        self._log.truncate(0)
        self._simulator = self._running.enter_context(simulator(self._arguments, stderr=self._log))
        self._baseline = {}
        self.generation += 1

    def death(self, otherwise: str) -> tuple[str, str]:
        """Where the last GPU process died, told by its traceback if it left one, and what it said.

        Args:
            otherwise: the place, if nothing is known.
        """
        size = self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, size - _LOG_BYTES))
        said = self._log.read().decode(errors="backslashreplace").rpartition("internal error")[2]
        frames = re.findall(r'File "[^"]*/([^"/]+)", line \d+, in (\w+)', said)
        errors = re.findall(r"\| (\w*(?:Error|Exception))\b", said)
        if not frames:
            return otherwise, said[-_LOG_SHOWN:]
        return f"{errors[-1] if errors else 'error'} in {':'.join(frames[-1])}", said[-_LOG_SHOWN:]

    def status(self) -> dict[str, Any]:
        """As the host tells it."""
        return self._simulator.status()

    def unrest(self) -> Problem | None:
        """What is not as it was: call it when all objects were destroyed; the first call sets the baseline.

        What was destroyed a moment ago has a moment to go.
        """
        end = time.monotonic() + _REST_SECONDS
        while (problem := self._unrest()) is not None and problem.kind == "rest" and time.monotonic() < end:
            time.sleep(_REST_SECONDS / 50)
        return problem

    def _unrest(self) -> Problem | None:
        self._log.truncate(0)
        status = self.status()
        if status["deaths"]:
            return Problem("crash", "noticed at rest", str(status["deaths"]))
        for process in status["gpu_processes"]:
            where = "+".join(process["backends"])
            if process["sandbox"].get("violations") or process.get("violations"):
                return Problem("sandbox", where, f"violations: {process}")
            for session in process["service"].get("sessions", []):
                left = {name: session[name] for name in ("tensors", "graphs", "tensor_bytes") if session[name]}
                if left:
                    return Problem(
                        "rest", f"{where}: {', '.join(left)}", f"still there after all was destroyed: {left}"
                    )
            problem = self._compared(where, process["pid"])
            if problem is not None:
                return problem
        return None

    def _compared(self, where: str, pid: int) -> Problem | None:
        now = _usage(pid)
        before = self._baseline.setdefault(pid, now)
        for name, grown, slack in (
            ("memory", now.memory - before.memory, _MEMORY_SLACK),
            ("threads", now.threads - before.threads, _THREAD_SLACK),
            ("descriptors", now.descriptors - before.descriptors, _THREAD_SLACK),
        ):
            if grown > slack:
                return Problem("rest", f"{where}: {name}", f"{name} grew by {grown}: {before} -> {now}")
        return None

    def close(self) -> None:
        self._running.close()
        self._log.close()


@dataclass(frozen=True, slots=True)
class _Usage:
    """Of a process: resident bytes, threads, open descriptors (0 where they can't be seen)."""

    memory: int
    threads: int
    descriptors: int


def _usage(pid: int) -> _Usage:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines()
    entries = dict(line.split(":", 1) for line in lines if ":" in line)
    try:
        descriptors = sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:  # it is not dumpable, and we are not its ruler
        descriptors = 0
    return _Usage(int(entries["VmRSS"].split()[0]) * 1024, int(entries["Threads"]), descriptors)
