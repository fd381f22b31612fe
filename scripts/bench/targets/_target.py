"""A target: a ratio, how good it must be, and how good we want it. The worse end of its interval decides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from scripts.bench.quantities import quantity
from scripts.bench.statistics import Estimate

Verdict = Literal["aim", "gate", "missed", "reported", "not run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One row of the table of targets.

    Attributes:
        name: P1 to P21.
        what: in a sentence.
        gate: what must be met; None where the value is reported only.
        aim: what is wanted.
        at_least: whether larger is better.
    """

    name: str
    what: str
    gate: float | None
    aim: float | None
    at_least: bool = False

    def verdict(self, estimate: Estimate) -> Verdict:
        """By the worse end of the interval."""
        worst = estimate.low if self.at_least else estimate.high
        if self._meets(worst, self.aim):
            return "aim"
        if self.gate is None:
            return "reported"
        return "gate" if self._meets(worst, self.gate) else "missed"

    def _meets(self, value: float, bound: float | None) -> bool:
        if bound is None:
            return False
        return value >= bound if self.at_least else value <= bound


@dataclass(frozen=True, slots=True)
class Result:
    """A target as it was met, or not.

    Attributes:
        parameters: which of several: a backend, a size, a model.
        estimate: None where it was not run.
        why: it was not run.
        figures: what the ratio is made of, in words.
        binds: whether the gate binds here: for the default backend, where it is the default tensor memory.
    """

    target: Target
    parameters: Mapping[str, Any] = field(default_factory=dict)
    estimate: Estimate | None = None
    why: str = ""
    figures: str = ""
    binds: bool = True

    @property
    def verdict(self) -> Verdict:
        return "not run" if self.estimate is None else self.target.verdict(self.estimate)

    def to_json(self) -> dict[str, Any]:
        value = {"value": None, "interval": None} if self.estimate is None else self.estimate.to_json()
        return {
            "name": self.target.name,
            "what": self.target.what,
            "parameters": dict(self.parameters),
            **value,
            "gate": self.target.gate,
            "aim": self.target.aim,
            "better": "larger" if self.target.at_least else "smaller",
            "verdict": self.verdict,
            "why": self.why,
            "figures": self.figures,
            "binds": self.binds,
        }


def all_met(results: Iterable[Result]) -> bool:
    """Whether no binding gate was missed; what was not run was not met."""
    return not any(result.binds and result.verdict in ("missed", "not run") for result in results)


def figures(unit: str, **values: float) -> str:
    """Numbers with their names."""
    return ", ".join(f"{name.replace('_', ' ')} {quantity(value, unit)}" for name, value in values.items())
