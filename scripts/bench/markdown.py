"""A report's targets as a table for docs/benchmarks.md: `python -m scripts.bench.markdown REPORT.json`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scripts.bench.compare import ReportError, load


def table(report: Mapping[str, Any]) -> str:
    """One row per target; where it was run, with the interval whose worse end decides."""
    rows = ["| # | what | | value | 95 % interval | gate | aim | verdict |", "| --- " * 8 + "|"]
    for target in report["targets"]:
        given = ", ".join(f"{name} {value}" for name, value in target["parameters"].items())
        value, interval = "", target["why"]
        if target["value"] is not None:
            value, interval = f"{target['value']:.2f}", " to ".join(f"{end:.2f}" for end in target["interval"])
        bounds = ["" if target[bound] is None else f"{target[bound]:g}" for bound in ("gate", "aim")]
        cells = [target["name"], target["what"], given, value, interval, *bounds, target["verdict"]]
        rows.append("| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows)


def machine(report: Mapping[str, Any]) -> str:
    """A sentence about where and how it was measured."""
    facts = report["environment"]
    versions = ", ".join(f"{name} {version}" for name, version in facts["packages"].items())
    return (
        f"{facts['processor']}, {facts['cores']} cores, {facts['memory']}, Linux {facts['kernel']}, "
        f"Python {facts['python']}; {versions}. Load average at the end: {', '.join(map(str, facts['load']))}."
    )


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m scripts.bench.markdown REPORT.json")
    try:
        chosen = load(Path(sys.argv[1]))
    except ReportError as error:
        sys.exit(f"error: {error}")
    print(machine(chosen), table(chosen), sep="\n\n")
