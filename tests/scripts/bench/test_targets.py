"""The worse end of the interval decides, and what did not run was not met."""

from __future__ import annotations

import pytest

from scripts.bench.statistics import Estimate
from scripts.bench.targets import Result, Target, all_met

_SMALL = Target(name="P0", what="smaller is better", gate=1.0, aim=0.5)
_LARGE = Target(name="P0", what="larger is better", gate=0.7, aim=0.9, at_least=True)
_REPORTED = Target(name="P0", what="has no gate", gate=None, aim=1.02)


@pytest.mark.parametrize(
    ("target", "low", "high", "verdict"),
    [
        (_SMALL, 0.3, 0.5, "aim"),
        (_SMALL, 0.3, 0.6, "gate"),
        (_SMALL, 0.3, 1.1, "missed"),
        (_LARGE, 0.9, 1.5, "aim"),
        (_LARGE, 0.8, 1.5, "gate"),
        (_LARGE, 0.6, 1.5, "missed"),
        (_REPORTED, 0.9, 1.3, "reported"),
        (_REPORTED, 0.9, 1.01, "aim"),
    ],
)
def test_the_worse_end_of_the_interval_decides(target: Target, low: float, high: float, verdict: str) -> None:
    assert Result(target, estimate=Estimate((low + high) / 2, low, high)).verdict == verdict


def test_what_did_not_run_says_why_and_has_no_number() -> None:
    result = Result(_SMALL, why="no Chromium was given")
    told = result.to_json()
    assert told["verdict"] == "not run"
    assert told["why"] == "no Chromium was given"
    assert told["value"] is None
    assert told["interval"] is None
    assert not all_met([result])


def test_a_missed_gate_that_does_not_bind_is_reported_only() -> None:
    missed = Estimate(2.0, 1.9, 2.1)
    assert all_met([Result(_SMALL, estimate=missed, binds=False)])
    assert not all_met([Result(_SMALL, estimate=missed)])
