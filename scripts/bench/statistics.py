"""What a number is worth: quantiles, and bootstrap confidence intervals of them and of their ratios.

Samples come in rounds, and what disturbs a machine disturbs a whole round. So rounds are what the bootstrap draws, and
where two things are compared, both halves of a round are drawn together: they ran within the same moments.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float64]
Rounds = Sequence[Samples]

CONFIDENCE = 0.95
_DRAWS = 1000
_MOST_POOLED = 20_000_000  # values that all draws together look at; of more, every round gives a random part


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its confidence interval.

    Attributes:
        low, high: ends of the 95 % interval; equal to `value` where there was one round only.
    """

    value: float
    low: float
    high: float

    def to_json(self) -> dict[str, object]:
        return {"value": self.value, "interval": [self.low, self.high]}


def quantile_estimate(rounds: Rounds, quantile: float = 0.5) -> Estimate:
    """A quantile of all samples.

    Raises:
        ValueError: there are no samples.
    """
    return _bootstrap([rounds], lambda pooled: float(np.quantile(pooled[0], quantile)))


def ratio_estimate(ours: Rounds, theirs: Rounds, quantile: float = 0.5) -> Estimate:
    """The ratio of a quantile of `ours` to that of `theirs`; round i of both ran side by side.

    Raises:
        ValueError: there are no samples, or not the same number of rounds.
    """
    if len(ours) != len(theirs):
        raise ValueError(f"{len(ours)} rounds of one and {len(theirs)} of the other are not pairs")
    return _bootstrap([ours, theirs], _ratio_of_quantiles(quantile))


def change_estimate(before: Rounds, after: Rounds, quantile: float = 0.5) -> Estimate:
    """The ratio of `after` to `before` from two runs, whose rounds are no pairs.

    Raises:
        ValueError: there are no samples.
    """
    return _bootstrap([after, before], _ratio_of_quantiles(quantile), paired=False)


def _ratio_of_quantiles(quantile: float) -> Callable[[Sequence[Samples]], float]:
    return lambda pooled: float(np.quantile(pooled[0], quantile) / np.quantile(pooled[1], quantile))


def _bootstrap(
    groups: Sequence[Rounds], statistic: Callable[[Sequence[Samples]], float], *, paired: bool = True
) -> Estimate:
    if any(not rounds or any(not len(samples) for samples in rounds) for rounds in groups):
        raise ValueError("a round without samples has no quantile")
    value = statistic([np.concatenate(rounds) for rounds in groups])
    generator = np.random.default_rng(0)
    kept = [_thinned(rounds, generator) for rounds in groups]
    draws = np.empty(_DRAWS)
    for i in range(_DRAWS):
        indices = generator.integers(0, len(kept[0]), len(kept[0]))
        pooled = []
        for rounds in kept:
            if not paired:
                indices = generator.integers(0, len(rounds), len(rounds))
            pooled.append(np.concatenate([rounds[index] for index in indices]))
        draws[i] = statistic(pooled)
    low, high = np.quantile(draws, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Estimate(value, float(min(low, value)), float(max(high, value)))


def _thinned(rounds: Rounds, generator: np.random.Generator) -> Rounds:
    most = max(200, _MOST_POOLED // (_DRAWS * len(rounds)))
    return [samples if len(samples) <= most else generator.choice(samples, most, replace=False) for samples in rounds]
