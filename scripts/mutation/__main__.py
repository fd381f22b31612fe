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
from scripts.mutation.campaign import Campaign, Finding
from scripts.mutation.laboratory import Outcome, copy_tree
from scripts.mutation.mutants import Mutant, mutants_of
from scripts.mutation.targets import targets

_ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    arguments = _parser().parse_args()
    with tempfile.TemporaryDirectory(prefix="webnn-mutation-") as folder:
        tree = Path(folder) / "tree"
        copy_tree(_ROOT, tree)  # as it is now, whoever goes on to work on it
        return _run(arguments, tree, Path(folder))


def _run(arguments: argparse.Namespace, tree: Path, folder: Path) -> int:
    without = tuple(arguments.without or ())
    chosen = {
        path: tuple(test for test in tests if not test.startswith(without))
        for path, tests in targets(tree).items()
        if not arguments.only or any(only in path for only in arguments.only)
    }
    mutants = [mutant for path in chosen for mutant in mutants_of(tree, path)]
    if arguments.list:
        print(*mutants, sep="\n")
        return 0
    listed = equivalents.load()
    alike = {mutant for mutant in mutants if any(entry.matches(mutant) for entry in listed)}
    judged = [mutant for mutant in mutants if mutant not in alike]
    if arguments.again:
        earlier = {_identity(it) for it in json.loads(arguments.again.read_text())["survivors"]}
        judged = [mutant for mutant in judged if _identity(asdict(mutant)) in earlier]
    began = time.monotonic()
    campaign = Campaign(tree, chosen, folder, jobs=arguments.jobs, quick=arguments.quick)
    findings = _told(campaign.try_out(judged), len(judged))
    report = _report(findings, alike, time.monotonic() - began)
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


def _report(findings: list[Finding], alike: set[Mutant], seconds: float) -> dict[str, Any]:
    survivors = sorted(it.mutant for it in findings if it.outcome is Outcome.SURVIVED)
    paths = sorted({it.path for it in alike} | {it.mutant.path for it in findings})
    modules = {
        path: {
            "noticed": sum(it.mutant.path == path and it.outcome is not Outcome.SURVIVED for it in findings),
            "survived": sum(it.path == path for it in survivors),
            "equivalent": sum(it.path == path for it in alike),
        }
        for path in paths
    }
    noticed = len(findings) - len(survivors)
    return {
        "mutants": len(findings) + len(alike),
        "noticed": noticed,
        "equivalent": len(alike),
        "score": round(noticed / len(findings), 4) if findings else 1.0,
        "seconds": round(seconds),
        "modules": modules,
        "survivors": [{**asdict(it), "shown": str(it)} for it in survivors],
    }


def _show(report: dict[str, Any]) -> None:
    print()
    for path, counts in report["modules"].items():
        alike = f", {counts['equivalent']} equivalent" if counts["equivalent"] else ""
        print(f"{path:45} {counts['noticed']:4} of {counts['noticed'] + counts['survived']:4} noticed{alike}")
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
    parser.add_argument("--without", action="append", metavar="FOLDER", help="tests to do without, as tests/boundary")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report there as well")
    parser.add_argument("--again", type=Path, metavar="FILE", help="try only what survived in an earlier report")
    parser.add_argument("--quick", action="store_true", help="try only some of the tests that run a mutant's lines")
    parser.add_argument("--list", action="store_true", help="name the mutants and stop")
    return parser


if __name__ == "__main__":
    sys.exit(main())
