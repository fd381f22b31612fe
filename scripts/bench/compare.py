"""`webnn-sim bench compare`: what changed between two runs, beyond what the runs themselves are uncertain of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scripts.bench.statistics import Estimate, change_estimate

NOISE = 0.02
"""Relative; changes within it are none, whatever the intervals say: two runs never have the very same machine."""

_LARGER_IS_BETTER = frozenset({"calls/s"})


class ReportError(Exception):
    """A file is no report of this program's; the message names it."""


@dataclass(frozen=True, slots=True)
class Change:
    """One measurement in both runs.

    Attributes:
        before, after: its p50s.
        ratio: after / before.
        verdict: `better`, `worse`, `same`, or `unknown` where a run has one round only.
    """

    key: str
    unit: str
    before: float
    after: float
    ratio: Estimate
    verdict: str

    def to_json(self) -> dict[str, Any]:
        return {
            "key": self.key,
            "unit": self.unit,
            "before": self.before,
            "after": self.after,
            "ratio": self.ratio.to_json(),
            "verdict": self.verdict,
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs.

    Attributes:
        environment: what differs between the machines or the options, by name: (before, after).
        targets: verdicts that differ, by target: (before, after).
        changes: of every measurement that both have.
        only: keys that one of them has: (before, after).
    """

    environment: Mapping[str, tuple[Any, Any]]
    targets: Mapping[str, tuple[str, str]]
    changes: tuple[Change, ...]
    only: tuple[tuple[str, ...], tuple[str, ...]]

    def to_json(self) -> dict[str, Any]:
        return {
            "environment": {name: list(values) for name, values in self.environment.items()},
            "targets": {name: list(values) for name, values in self.targets.items()},
            "changes": [change.to_json() for change in self.changes],
            "only": {"before": list(self.only[0]), "after": list(self.only[1])},
        }


def load(path: Path) -> dict[str, Any]:
    """A report that was written with `--json`.

    Raises:
        ReportError: it isn't one.
    """
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ReportError(f"{path}: {error}") from error
    if not isinstance(report, dict) or report.get("format") != 1 or "measurements" not in report:
        raise ReportError(f"{path} is no report of `webnn-sim bench`")
    return report


def compare(before: Mapping[str, Any], after: Mapping[str, Any]) -> Comparison:
    """What changed from one report to the other."""
    first, second = ({item["key"]: item for item in report["measurements"]} for report in (before, after))
    both = [key for key in first if key in second]
    facts = {**_differences(before, after, "environment"), **_differences(before, after, "options")}
    was, now = (
        {_name(target): str(target["verdict"]) for target in report.get("targets", [])} for report in (before, after)
    )
    return Comparison(
        facts,
        {name: (verdict, now[name]) for name, verdict in was.items() if now.get(name, verdict) != verdict},
        tuple(_change(key, first[key], second[key]) for key in both),
        (tuple(key for key in first if key not in second), tuple(key for key in second if key not in first)),
    )


def _change(key: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Change:
    rounds = [[np.array([value]) for value in report["round_p50"]] for report in (before, after)]
    ratio = change_estimate(rounds[0], rounds[1])
    if min(map(len, rounds)) < 2:
        verdict = "unknown"
    elif ratio.low <= 1 + NOISE and ratio.high >= 1 - NOISE:
        verdict = "same"
    else:
        verdict = "better" if (ratio.value < 1) != (before["unit"] in _LARGER_IS_BETTER) else "worse"
    return Change(key, before["unit"], before["p50"], after["p50"], ratio, verdict)


def _differences(before: Mapping[str, Any], after: Mapping[str, Any], part: str) -> dict[str, tuple[Any, Any]]:
    names = {**before[part], **after[part]}
    values = {name: (before[part].get(name), after[part].get(name)) for name in names}
    return {name: pair for name, pair in values.items() if pair[0] != pair[1]}


def _name(target: Mapping[str, Any]) -> str:
    given = ", ".join(f"{name} {value}" for name, value in target["parameters"].items())
    return f"{target['name']} ({given})" if given else str(target["name"])
