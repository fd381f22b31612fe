"""`python -m scripts.mutation`: remove each check of the boundary, one at a time, and name those that no test misses.

Works on copies of the tree. Exits with 1 if a mutant survives that is not in `equivalents.toml`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from scripts.mutation import equivalents
from scripts.mutation.campaign import Finding, try_out
from scripts.mutation.laboratory import Outcome
from scripts.mutation.mutants import mutants_of
from scripts.mutation.targets import targets

_ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    arguments = _parser().parse_args()
    chosen = {
        path: tests[:1] if arguments.quick else tests
        for path, tests in targets(_ROOT).items()
        if not arguments.only or any(only in path for only in arguments.only)
    }
    mutants = [mutant for path in chosen for mutant in mutants_of(_ROOT, path)]
    listed = equivalents.load()
    if arguments.list:
        print(*mutants, sep="\n")
        return 0
    judged = [mutant for mutant in mutants if not any(entry.matches(mutant) for entry in listed)]
    if arguments.again:
        earlier = {_identity(it) for it in json.loads(arguments.again.read_text())["survivors"]}
        judged = [mutant for mutant in judged if _identity(asdict(mutant)) in earlier]
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="webnn-mutation-") as folder:
        findings = _told(try_out(_ROOT, judged, chosen, Path(folder), arguments.jobs), len(judged))
    report = _report(findings, len(mutants) - len(judged), time.monotonic() - began)
    if not arguments.only and not arguments.again:
        report["stale"] = [asdict(entry) for entry in equivalents.stale(listed, mutants)]
    _show(report)
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=1) + "\n")
    return 1 if report["survivors"] or report.get("stale") else 0


def _identity(mutant: dict[str, Any]) -> tuple[str, ...]:
    """What a mutant is, wherever its lines have gone."""
    return tuple(mutant[name] for name in ("path", "function", "original", "changed"))


def _told(findings: Iterable[Finding], total: int) -> list[Finding]:
    """All of them, with a word of what happens."""
    told = []
    for finding in findings:
        told.append(finding)
        if finding.outcome is Outcome.SURVIVED:
            print(f"survived: {finding.mutant}", flush=True)
        if len(told) % 50 == 0:
            print(f"{len(told)} of {total}", file=sys.stderr, flush=True)
    return told


def _report(findings: list[Finding], equivalent: int, seconds: float) -> dict[str, Any]:
    survivors = sorted(it.mutant for it in findings if it.outcome is Outcome.SURVIVED)
    by_module: dict[str, dict[str, int]] = {}
    for finding in findings:
        counts = by_module.setdefault(finding.mutant.path, dict.fromkeys(Outcome, 0))
        counts[finding.outcome] += 1
    noticed = len(findings) - len(survivors)
    return {
        "mutants": len(findings) + equivalent,
        "noticed": noticed,
        "equivalent": equivalent,
        "score": round(noticed / len(findings), 4) if findings else 1.0,
        "seconds": round(seconds),
        "modules": dict(sorted(by_module.items())),
        "survivors": [{**asdict(it), "shown": str(it)} for it in survivors],
    }


def _show(report: dict[str, Any]) -> None:
    print()
    for path, counts in report["modules"].items():
        noticed = counts[Outcome.KILLED] + counts[Outcome.HUNG]
        print(f"{path:45} {noticed:4} of {noticed + counts[Outcome.SURVIVED]:4} noticed")
    for survivor in report["survivors"]:
        print(f"survived: {survivor['shown']}")
    for entry in report.get("stale", []):
        print(f"listed as equivalent, but not there: {entry['path']}: {entry['function']}: {entry['original']}")
    print(
        f"{report['noticed']} of {report['mutants'] - report['equivalent']} mutants noticed ({report['score']:.1%}), "
        f"{report['equivalent']} more are listed as equivalent; {report['seconds']} s"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m scripts.mutation", description=__doc__)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="mutants tried at once")
    parser.add_argument("--only", action="append", metavar="MODULE", help="modules whose path has this in it")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report there as well")
    parser.add_argument("--again", type=Path, metavar="FILE", help="try only what survived in an earlier report")
    parser.add_argument("--quick", action="store_true", help="try only the first group of each module's tests")
    parser.add_argument("--list", action="store_true", help="name the mutants and stop")
    return parser


if __name__ == "__main__":
    sys.exit(main())
