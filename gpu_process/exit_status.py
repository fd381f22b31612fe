"""Why a GPU process ended, told from how it ended."""

from __future__ import annotations

import enum
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

EXIT_INTERNAL_ERROR: Final = 70  # EX_SOFTWARE of sysexits.h
"""With which a GPU process ends that could not go on without doubt; its standard error says why."""

EXIT_START_FAILED: Final = 71  # EX_OSERR
"""With which a GPU process ends that has told the host why it cannot start."""


class Cause(enum.StrEnum):
    """The ways of dying that are told apart."""

    CLEAN = "clean"
    SANDBOX_VIOLATION = "sandbox-violation"
    MEMORY_SAFETY = "memory-safety"
    ABORT = "abort"
    INTERNAL_ERROR = "internal-error"
    OUT_OF_MEMORY = "out-of-memory"
    HANG = "hang"
    KILLED = "killed"
    PROTOCOL = "protocol"
    START_FAILED = "start-failed"

    @property
    def is_crash(self) -> bool:
        """Whether it counts against whoever caused it.

        A plain SIGKILL does not: it is sent by someone with the right to, and refusing service would protect nobody.
        """
        return self not in (Cause.CLEAN, Cause.KILLED, Cause.START_FAILED)

    @property
    def taints_zygote(self) -> bool:
        """Whether an attacker may have learnt the address layout, which all children of a zygote share."""
        return self is Cause.MEMORY_SAFETY


_SENTENCES: Final = {
    Cause.CLEAN: "the GPU process ended",
    Cause.SANDBOX_VIOLATION: "the GPU process was killed for a system call that its sandbox forbids",
    Cause.MEMORY_SAFETY: "the GPU process crashed",
    Cause.ABORT: "the GPU process aborted",
    Cause.INTERNAL_ERROR: "the GPU process gave up after an internal error",
    Cause.OUT_OF_MEMORY: "the GPU process was killed because memory ran out",
    Cause.HANG: "the GPU process was killed because it did not come to an end",
    Cause.KILLED: "the GPU process was killed",
    Cause.PROTOCOL: "the GPU process was killed because it broke the host's protocol",
    Cause.START_FAILED: "the GPU process could not start",
}

_CAUSE_OF_SIGNAL: Final[Mapping[int, Cause]] = {
    signal.SIGSYS: Cause.SANDBOX_VIOLATION,
    signal.SIGSEGV: Cause.MEMORY_SAFETY,
    signal.SIGBUS: Cause.MEMORY_SAFETY,
    signal.SIGFPE: Cause.MEMORY_SAFETY,
    signal.SIGILL: Cause.MEMORY_SAFETY,
    signal.SIGTRAP: Cause.MEMORY_SAFETY,
    signal.SIGABRT: Cause.ABORT,
}


@dataclass(frozen=True, slots=True)
class Death:
    """One end of a GPU process.

    Attributes:
        cause: the class it belongs to.
        detail: signal or exit status, for people; empty where nothing is known.
    """

    cause: Cause
    detail: str = ""

    def __str__(self) -> str:
        detail = f"{self.detail}, " if self.detail else ""
        return f"{_SENTENCES[self.cause]} ({detail}{self.cause})"


def classify(wait_status: int, *, killed_for: Cause | None = None, memory_ran_out: bool = False) -> Death:
    """What `wait_status`, as waitpid(2) gives it, means.

    Args:
        killed_for: why the host sent SIGKILL, if it did.
        memory_ran_out: the kernel has killed a process for lack of memory meanwhile.
    """
    code = os.waitstatus_to_exitcode(wait_status)
    if code >= 0:
        causes = {0: Cause.CLEAN, EXIT_START_FAILED: Cause.START_FAILED}
        return Death(causes.get(code, Cause.INTERNAL_ERROR), f"exit status {code}")
    detail = _signal_name(-code)
    if -code == signal.SIGKILL:
        return Death(killed_for or (Cause.OUT_OF_MEMORY if memory_ran_out else Cause.KILLED), detail)
    return Death(_CAUSE_OF_SIGNAL.get(-code, Cause.KILLED), detail)


def read_memory_kills() -> int:
    """How many processes of this machine the kernel has killed for lack of memory; 0 where it does not count them."""
    for line in Path("/proc/vmstat").read_text().splitlines():
        if line.startswith("oom_kill "):
            return int(line.split()[1])
    return 0


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"
