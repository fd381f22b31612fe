"""What a run has done so far: counts that merge, a summary for people, and one for machines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table

from scripts.fuzz.mode import CoverageKey, Verdict

_SHOWN_MISSING = 12
_SHOWN_DETAILS = 8


@dataclass(slots=True)
class Statistics:
    """Counts of one worker, or of all.

    Attributes:
        executions: cases that ran.
        seconds: of the run; that of the longest worker when merged.
        verdicts: by outcome.
        details: by outcome and what was named.
        coverage: how often each key was reached.
        findings: by signature.
    """

    executions: int = 0
    seconds: float = 0.0
    verdicts: Counter[str] = field(default_factory=Counter)
    details: Counter[tuple[str, str]] = field(default_factory=Counter)
    coverage: Counter[CoverageKey] = field(default_factory=Counter)
    findings: Counter[str] = field(default_factory=Counter)

    def add(self, verdict: Verdict, reached: Iterable[CoverageKey]) -> None:
        self.executions += 1
        self.verdicts[verdict.outcome] += 1
        if verdict.detail:
            self.details[verdict.outcome, verdict.detail] += 1
        self.coverage.update(reached)
        if verdict.problem is not None:
            self.findings[verdict.problem.signature] += 1

    def merge(self, other: Statistics) -> None:
        """Add what another has counted since it was merged last."""
        self.executions += other.executions
        self.seconds = max(self.seconds, other.seconds)
        self.verdicts.update(other.verdicts)
        self.details.update(other.details)
        self.coverage.update(other.coverage)
        self.findings.update(other.findings)

    @property
    def per_second(self) -> float:
        return self.executions / self.seconds if self.seconds else 0.0

    def to_json(self, universe: Iterable[CoverageKey]) -> dict[str, Any]:
        """JSON-ready: `executions`, `per_second`, `verdicts`, `coverage`, `findings`."""
        return {
            "executions": self.executions,
            "seconds": round(self.seconds, 3),
            "per_second": round(self.per_second, 1),
            "verdicts": dict(sorted(self.verdicts.items())),
            "details": {f"{outcome}: {detail}": count for (outcome, detail), count in sorted(self.details.items())},
            "coverage": self.coverage_by_kind(universe),
            "findings": dict(self.findings.most_common()),
        }

    def coverage_by_kind(self, universe: Iterable[CoverageKey]) -> dict[str, Any]:
        """Per kind: how many keys were reached, of how many that are known, and which were not."""
        known: dict[str, set[CoverageKey]] = {}
        for key in universe:
            known.setdefault(key[0], set()).add(key)
        for key in self.coverage:
            known.setdefault(key[0], set())
        summary = {}
        for kind, keys in sorted(known.items()):
            hit = {key for key in self.coverage if key[0] == kind}
            summary[kind] = {
                "hit": len(hit & keys) if keys else len(hit),
                "of": len(keys) or None,
                "missing": sorted(" ".join(key[1:]) for key in keys - hit),
            }
        return summary

    def table(self, title: str, universe: Iterable[CoverageKey]) -> RenderableType:
        """The live view."""
        table = Table(title=title, title_justify="left", show_header=False)
        table.add_row("executions", f"{self.executions:,} in {self.seconds:.0f} s, {self.per_second:,.0f} per second")
        table.add_row("verdicts", ", ".join(f"{name} {count:,}" for name, count in self.verdicts.most_common()))
        for kind, entry in self.coverage_by_kind(universe).items():
            table.add_row(kind, _coverage_line(entry))
        if self.findings:
            shown = "\n".join(
                f"{count:,} x {escape(signature)}" for signature, count in self.findings.most_common(_SHOWN_DETAILS)
            )
            table.add_row("[red]findings[/red]", shown)
        else:
            table.add_row("findings", "[green]none[/green]")
        return table


def _coverage_line(entry: dict[str, Any]) -> str:
    if not entry["of"]:
        return f"{entry['hit']:,}"
    line, missing = f"{entry['hit']:,} of {entry['of']:,}", entry["missing"]
    if 0 < len(missing) <= 4 * _SHOWN_MISSING:
        line += f"; not {escape(', '.join(missing[:_SHOWN_MISSING]))}{' ...' if len(missing) > _SHOWN_MISSING else ''}"
    return line
