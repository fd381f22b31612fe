"""Confidence intervals hold what they promise."""

from __future__ import annotations

import numpy as np
import pytest

from scripts.bench.statistics import Estimate, Rounds, change_estimate, quantile_estimate, ratio_estimate

_TRIALS = 30


def _rounds(seed: int, median: float, count: int = 12) -> Rounds:
    generator = np.random.default_rng(seed)
    return [median * generator.lognormal(0, 0.2, 60) for _ in range(count)]


def test_a_ratio_of_medians_is_the_ratio_of_the_medians() -> None:
    ours, theirs = _rounds(1, 20.0), _rounds(2, 100.0)
    estimate = ratio_estimate(ours, theirs)
    assert estimate.value == pytest.approx(np.median(np.concatenate(ours)) / np.median(np.concatenate(theirs)))
    assert estimate.low <= estimate.value <= estimate.high
    assert estimate.high - estimate.low < 0.05


def test_the_interval_of_a_ratio_holds_the_truth_about_as_often_as_it_says() -> None:
    estimates = [ratio_estimate(_rounds(2 * i, 50.0), _rounds(2 * i + 1, 100.0)) for i in range(_TRIALS)]
    held = sum(estimate.low <= 0.5 <= estimate.high for estimate in estimates)
    assert held >= 0.8 * _TRIALS, f"the interval of 95 % held the truth {held} times of {_TRIALS}"


def test_what_disturbs_both_halves_of_a_round_does_not_disturb_their_ratio() -> None:
    generator = np.random.default_rng(3)
    disturbance = generator.uniform(1, 10, 12)
    ours = [samples * factor for samples, factor in zip(_rounds(4, 10.0), disturbance, strict=True)]
    theirs = [samples * factor for samples, factor in zip(_rounds(5, 20.0), disturbance, strict=True)]
    paired, unpaired = ratio_estimate(ours, theirs), change_estimate(theirs, ours)
    assert paired.high - paired.low < 0.5 * (unpaired.high - unpaired.low)
    assert paired.low <= 0.5 <= paired.high


def test_a_quantile_in_the_tail_is_that_of_all_samples() -> None:
    rounds = _rounds(6, 10.0)
    assert quantile_estimate(rounds, 0.99).value == pytest.approx(np.quantile(np.concatenate(rounds), 0.99))


def test_one_round_knows_nothing_of_its_uncertainty() -> None:
    estimate = quantile_estimate([np.array([3.0, 5.0])])
    assert estimate == Estimate(4.0, 4.0, 4.0)


@pytest.mark.parametrize(
    ("ours", "theirs", "complaint"),
    [
        ([np.ones(3)], [np.ones(3)] * 2, "not pairs"),
        ([], [], "no quantile"),
        ([np.ones(0)], [np.ones(1)], "no quantile"),
    ],
)
def test_what_can_not_be_compared_is_refused(ours: Rounds, theirs: Rounds, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        ratio_estimate(ours, theirs)


def test_estimates_are_the_same_every_time() -> None:
    assert ratio_estimate(_rounds(7, 1.0), _rounds(8, 2.0)) == ratio_estimate(_rounds(7, 1.0), _rounds(8, 2.0))
