"""Every way of dying has its name."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest

from gpu_process.exit_status import EXIT_START_FAILED, Cause, classify, read_memory_kills


def status_of(end: Callable[[], object]) -> int:
    """The wait status of a child that ends so."""
    child = os.fork()
    if child == 0:
        end()
        os._exit(99)
    return os.waitpid(child, 0)[1]


def by(number: int) -> int:
    def end() -> None:
        signal.signal(number, signal.SIG_DFL) if number != signal.SIGKILL else None
        os.kill(os.getpid(), number)

    return status_of(end)


@pytest.mark.parametrize(
    ("number", "cause"),
    [
        (signal.SIGSYS, Cause.SANDBOX_VIOLATION),
        (signal.SIGSEGV, Cause.MEMORY_SAFETY),
        (signal.SIGBUS, Cause.MEMORY_SAFETY),
        (signal.SIGFPE, Cause.MEMORY_SAFETY),
        (signal.SIGILL, Cause.MEMORY_SAFETY),
        (signal.SIGABRT, Cause.ABORT),
        (signal.SIGKILL, Cause.KILLED),
        (signal.SIGTERM, Cause.KILLED),
        (40, Cause.KILLED),
    ],
)
def test_a_signal_tells_the_cause(number: int, cause: Cause) -> None:
    assert classify(by(number)).cause is cause


@pytest.mark.parametrize(
    ("code", "cause"), [(0, Cause.CLEAN), (1, Cause.INTERNAL_ERROR), (EXIT_START_FAILED, Cause.START_FAILED)]
)
def test_an_exit_code_tells_the_cause(code: int, cause: Cause) -> None:
    assert classify(status_of(lambda: os._exit(code))).cause is cause


def test_sigkill_is_explained_by_whoever_sent_it() -> None:
    killed = by(signal.SIGKILL)
    assert classify(killed, killed_for=Cause.HANG).cause is Cause.HANG
    assert classify(killed, memory_ran_out=True).cause is Cause.OUT_OF_MEMORY
    assert classify(killed, killed_for=Cause.HANG, memory_ran_out=True).cause is Cause.HANG


def test_a_crash_before_the_hosts_sigkill_arrived_is_still_a_crash() -> None:
    assert classify(by(signal.SIGSEGV), killed_for=Cause.HANG).cause is Cause.MEMORY_SAFETY


def test_every_cause_has_a_sentence_of_its_own() -> None:
    from gpu_process.exit_status import Death

    assert len({str(Death(cause)) for cause in Cause}) == len(Cause)


def test_the_kernel_counts_what_it_kills_for_memory() -> None:
    assert read_memory_kills() >= 0
