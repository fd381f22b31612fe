"""What a stopped call means in each mode, and what the host learns of it."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable

import pytest

from gpu_process.sandbox import Layer, Mode, Outcome, attack
from gpu_process.sandbox.policy import Decision
from gpu_process.sandbox.violations import UNKNOWN_CALLS_LIMIT
from tests.gpu_process.sandbox.conftest import Confined

Confine = Callable[..., Confined]


def test_the_host_learns_which_call_with_which_arguments_by_which_process(confined: Confine) -> None:
    process = confined()
    process.attempt("keyring")
    assert os.WTERMSIG(process.status()) == signal.SIGKILL
    (violation,) = process.violations
    assert (violation.call, violation.number) == ("keyctl", 250)
    assert violation.arguments[:2] == (0, (1 << 64) - 4)
    assert violation.decision is Decision.DANGEROUS
    assert violation.outcome is Outcome.KILLED
    assert "keyctl(0x0, 0xfffffffffffffffc" in str(violation)


def test_enforce_refuses_and_counts_unknown_calls(confined: Confine) -> None:
    process = confined()
    for _ in range(3):
        outcome = process.attempt("unknown-call")
        assert (outcome.fate, outcome.error) == (attack.Fate.REFUSED, "EPERM")
    assert process.status() == 0
    assert [violation.call for violation in process.violations] == ["setpgid"] * 3
    assert {violation.errno for violation in process.violations} == {errno.EPERM}


def test_report_kills_for_an_unknown_call(confined: Confine) -> None:
    process = confined(mode=Mode.REPORT)
    assert process.attempt("unknown-call").fate is attack.Fate.KILLED
    assert os.WTERMSIG(process.status()) == signal.SIGKILL
    assert process.violations[0].outcome is Outcome.KILLED


def test_audit_logs_everything_and_lets_nothing_through(confined: Confine) -> None:
    process = confined(mode=Mode.AUDIT)
    observed = {name: process.attempt(name).error for name in ("bpf", "unknown-call", "read-file", "io-uring")}
    assert observed == {"bpf": "EPERM", "unknown-call": "EPERM", "read-file": "EACCES", "io-uring": "ENOSYS"}
    assert process.status() == 0
    assert {"bpf", "setpgid", "openat", "io_uring_setup"} <= {violation.call for violation in process.violations}


def test_a_foreign_entry_is_reported_as_such_and_kills(confined: Confine) -> None:
    process = confined()
    assert process.attempt("x32-entry").fate is attack.Fate.KILLED
    assert os.WTERMSIG(process.status()) == signal.SIGKILL
    assert process.violations[0].call.startswith("foreign entry")


def test_a_flood_of_unknown_calls_ends(confined: Confine) -> None:
    process = confined()
    for _ in range(UNKNOWN_CALLS_LIMIT):
        assert process.attempt("unknown-call").fate is attack.Fate.REFUSED
    assert process.attempt("unknown-call").fate is attack.Fate.KILLED
    assert os.WTERMSIG(process.status()) == signal.SIGKILL


@pytest.mark.parametrize("mode", [Mode.REPORT, Mode.AUDIT])
def test_a_mode_that_reports_does_not_start_without_a_supervisor(confined: Confine, mode: Mode) -> None:
    process = confined(mode=mode, fork={"supervised": False})
    assert process.start["ready"] is False
    assert process.start["layer"] == Layer.SECCOMP
    assert "--sandbox-mode=enforce" in process.start["error"]


def test_without_a_supervisor_unknown_calls_fail(confined: Confine) -> None:
    process = confined(fork={"supervised": False})
    assert process.attempt("unknown-call").error == "EPERM"
    assert process.status() == 0


def test_the_confined_process_keeps_no_copy_of_the_listener(confined: Confine) -> None:
    process = confined()
    # The standard streams, its orders, and nothing else.
    assert len([fd for fd in process.order("descriptors")["open"] if fd > 2]) == 1


def test_a_call_can_be_denied_to_inject_a_fault(confined: Confine) -> None:
    process = confined(deny=("memfd_create",))
    assert process.attempt("exhaust-region").error == "EPERM"
    assert process.status() == 0
