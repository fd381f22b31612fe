"""What a confined process tried against its policy, as its supervisor sees it: from outside, told by the kernel.

The supervisor runs in a process that the confined one cannot reach, in a thread of its own: the caller waits for its
answer.
"""

from __future__ import annotations

import collections
import enum
import errno
import fcntl
import os
import select
import signal
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gpu_process.sandbox._filter import AUDIT_ARCH_X86_64, X32_CALL_BIT
from gpu_process.sandbox.levels import Mode, SandboxSpec
from gpu_process.sandbox.policy import DANGEROUS, Decision, Verdict, call_name, policy_for

_NOTIFICATION: Final = struct.Struct("QIIIIQ6Q")
_ANSWER: Final = struct.Struct("QqiI")
_ID: Final = struct.Struct("Q")
_IOCTL_RECEIVE: Final = 0xC0502100
_IOCTL_SEND: Final = 0xC0182101
_IOCTL_ID_VALID: Final = 0x40082102

UNKNOWN_CALLS_LIMIT: Final = 1000
"""Unknown calls after which a process is killed even where they only fail: they cost its supervisor time."""


class Outcome(enum.StrEnum):
    """What became of the call and its caller."""

    REFUSED = "refused"
    KILLED = "killed"


@dataclass(frozen=True, slots=True)
class Violation:
    """One call that was stopped.

    Attributes:
        call: its name.
        number: its number, as the processor's entry point gave it.
        arguments: six words, not followed where they are pointers.
        pid: the calling *thread*, as the supervisor numbers it.
        inner_pid: the same, as it numbers itself; None if it was gone before that could be read.
        decision: what the policy says of it.
        outcome: what became of it.
        errno: the error that the caller got, if it was refused.
    """

    call: str
    number: int
    arguments: tuple[int, ...]
    pid: int
    inner_pid: int | None
    decision: Decision
    outcome: Outcome
    errno: int | None

    def __str__(self) -> str:
        arguments = ", ".join(f"{argument:#x}" for argument in self.arguments)
        error = f" with {errno.errorcode[self.errno]}" if self.errno is not None else ""
        return f"{self.decision.value} {self.call}({arguments}) by thread {self.pid}: {self.outcome}{error}"


class Supervisor:
    """Judges the calls of one process. Not thread-safe: one thread calls `handle` or `run`.

    Attributes:
        counts: how often each call was stopped.
    """

    def __init__(self, listener: int, spec: SandboxSpec, inner_pid: int) -> None:
        """Takes over `listener`; it and `inner_pid` come from `receive_listener`."""
        self.counts: collections.Counter[str] = collections.Counter()
        self._listener = listener
        self._mode = spec.mode
        self._policy = policy_for(spec, inner_pid)
        self._unknown_calls = 0

    def fileno(self) -> int:
        """The listener: readable when a call waits, hung up when the process has ended."""
        return self._listener

    def run(self, on_violation: Callable[[Violation], None]) -> None:
        """Handles every call until the process has ended, then closes."""
        poll = select.poll()
        poll.register(self._listener, select.POLLIN)
        try:
            while True:
                for _, events in poll.poll():
                    if not events & select.POLLIN:
                        return
                    violation = self.handle()
                    if violation is not None:
                        on_violation(violation)
        finally:
            self.close()

    def handle(self) -> Violation | None:
        """Takes one call, which must be waiting, and answers it. None if its caller was gone before.

        A caller is killed before this returns; that it has ended, whoever waits for it will learn.
        """
        buffer = bytearray(_NOTIFICATION.size)
        try:
            fcntl.ioctl(self._listener, _IOCTL_RECEIVE, buffer)
        except FileNotFoundError:
            return None
        identifier, pid, _, number, architecture, _, *arguments = _NOTIFICATION.unpack(buffer)
        if architecture == AUDIT_ARCH_X86_64 and number < X32_CALL_BIT:
            call, verdict = call_name(number), self._policy.judge(number, arguments)
        else:
            call, verdict = f"foreign entry {architecture:#x}, call {number:#x}", DANGEROUS
        self.counts[call] += 1
        inner_pid = _number_inside(pid)
        killed = self._must_die(verdict) and self._kill(identifier, pid)
        if not killed:
            self._refuse(identifier, verdict.errno)
        return Violation(
            call=call,
            number=number,
            arguments=tuple(arguments),
            pid=pid,
            inner_pid=inner_pid,
            decision=verdict.decision,
            outcome=Outcome.KILLED if killed else Outcome.REFUSED,
            errno=None if killed else verdict.errno,
        )

    def close(self) -> None:
        """Lets go of the listener; if the process still lives, its stopped calls fail with ENOSYS from here on."""
        if self._listener >= 0:
            os.close(self._listener)
            self._listener = -1

    def _must_die(self, verdict: Verdict) -> bool:
        if self._mode is Mode.AUDIT:
            return False
        if verdict.decision is Decision.UNKNOWN:
            self._unknown_calls += 1
            return self._mode is Mode.REPORT or self._unknown_calls > UNKNOWN_CALLS_LIMIT
        return verdict.decision is Decision.DANGEROUS

    def _kill(self, identifier: int, pid: int) -> bool:
        """Kills the caller's process; False if the caller is gone, or is not ours to kill."""
        try:
            # While its call waits the thread exists, so that its number cannot have passed to anybody else.
            fcntl.ioctl(self._listener, _IOCTL_ID_VALID, _ID.pack(identifier))
            os.kill(pid, signal.SIGKILL)
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            return False
        return True

    def _refuse(self, identifier: int, number: int) -> None:
        try:
            fcntl.ioctl(self._listener, _IOCTL_SEND, _ANSWER.pack(identifier, 0, -number, 0))
        except FileNotFoundError:
            return  # the caller was killed by somebody else while this was being decided


def _number_inside(pid: int) -> int | None:
    """The number of thread `pid` in its own PID namespace."""
    try:
        status = Path(f"/proc/{pid}/status").read_bytes()
    except OSError:  # it has just been killed by somebody else
        return None
    return next(int(line.split()[-1]) for line in status.splitlines() if line.startswith(b"NSpid:"))
