"""Chromium's crash policy, on a clock of the test's own."""

from __future__ import annotations

import pytest

from gpu_process.exit_status import Cause, Death
from gpu_process.restart_policy import RestartPolicy

CRASH = Death(Cause.MEMORY_SAFETY)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def policy(clock: Clock) -> RestartPolicy:
    return RestartPolicy(crash_limit=3, forgive_after=300, charge_limit=2, clock=clock)


def test_the_third_recent_crash_disables_the_backend_and_no_other(policy: RestartPolicy) -> None:
    for _ in range(2):
        policy.died("onnxruntime", CRASH, None)
    assert policy.refusal("onnxruntime", "a renderer") is None
    policy.died("onnxruntime", CRASH, None)
    assert "disabled after 3 recent crashes" in (policy.refusal("onnxruntime", "a renderer") or "")
    assert policy.refusal("reference", "a renderer") is None


def test_one_crash_is_forgiven_for_each_full_five_minutes(policy: RestartPolicy, clock: Clock) -> None:
    policy.died("x", CRASH, None)
    policy.died("x", CRASH, None)
    clock.now += 299
    assert policy.status()["recent_crashes"] == {"x": 2}
    clock.now += 1
    policy.died("x", CRASH, None)
    assert policy.status()["recent_crashes"] == {"x": 2}
    clock.now += 10_000
    policy.died("x", CRASH, None)
    assert policy.status()["recent_crashes"] == {"x": 1}


def test_what_is_disabled_stays_so(policy: RestartPolicy, clock: Clock) -> None:
    for _ in range(3):
        policy.died("x", CRASH, None)
    clock.now += 1e9
    assert policy.refusal("x", "a renderer")


def test_a_crash_that_someone_caused_is_charged_to_them_alone(policy: RestartPolicy) -> None:
    policy.died("x", CRASH, "attacker")
    assert policy.refusal("x", "attacker") is None
    policy.died("y", CRASH, "attacker")
    assert "gets no more sessions" in (policy.refusal("z", "attacker") or "")
    for _ in range(10):
        policy.died("x", CRASH, "attacker")
    assert policy.refusal("x", "honest") is None


@pytest.mark.parametrize("cause", [Cause.CLEAN, Cause.KILLED, Cause.START_FAILED])
def test_an_end_that_is_no_crash_counts_for_nothing_but_statistics(policy: RestartPolicy, cause: Cause) -> None:
    for _ in range(10):
        policy.died("x", Death(cause), "renderer")
        policy.died("x", Death(cause), None)
    assert policy.refusal("x", "renderer") is None
    assert policy.status()["deaths"] == {cause: 20}
