"""Findings on disk: a case that can be run again, why it is one, and how it can be seen elsewhere."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.fuzz.mode import Case, Mode, ModeOptions, Problem

FORMAT = 1


class FindingError(ValueError):
    """A file is no case or finding of this version; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A case in a file.

    Attributes:
        mode: that runs it.
        case: as the mode writes it.
        options: of the mode, where they matter.
        seed, number: it was generated from, -1 for one that was made otherwise.
        problem: why it is a finding; None for one of a corpus.
    """

    mode: str
    case: Mapping[str, Any]
    options: ModeOptions
    seed: int = -1
    number: int = -1
    problem: Problem | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "mode": self.mode,
            "seed": self.seed,
            "number": self.number,
            "backend": self.options.backend,
            "problem": None
            if self.problem is None
            else {"kind": self.problem.kind, "where": self.problem.where, "what": self.problem.what},
            "case": self.case,
        }


def load(path: Path, options: ModeOptions | None = None) -> Stored:
    """The case in a file.

    Raises:
        FindingError: it can't be read, or is none.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        if value["format"] != FORMAT:
            raise FindingError(f"{path}: format {value['format']}, this version reads {FORMAT}")
        problem = None if value["problem"] is None else Problem(**value["problem"])
        options = options or ModeOptions(backend=value["backend"])
        return Stored(value["mode"], value["case"], options, value["seed"], value["number"], problem)
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError) as error:
        raise FindingError(f"{path}: not a case: {error!r}") from error


def save(folder: Path, stored: Stored, mode: Mode[Any], case: Case) -> Path:
    """Write a finding with its report into a folder of its own; the path of the case."""
    assert stored.problem is not None
    digest = hashlib.sha256(stored.problem.signature.encode()).hexdigest()[:12]
    place = folder / f"{stored.mode}-{digest}"
    place.mkdir(parents=True, exist_ok=True)
    target = place / "case.json"
    write_json(target, stored.to_json())
    files = dict(mode.files(case, stored.problem))
    for name, text in files.items():
        (place / name).write_text(text, encoding="utf-8", errors="backslashreplace")
    (place / "report.md").write_text(_report(stored, mode, files), encoding="utf-8", errors="backslashreplace")
    return target


def write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def _report(stored: Stored, mode: Mode[Any], files: Mapping[str, str]) -> str:
    problem = stored.problem
    assert problem is not None
    preload = "".join(f" --preload {module}" for module in stored.options.preload)
    versions = {"python": platform.python_version(), "platform": platform.platform(), **mode.versions()}
    origin = f"seed {stored.seed}, case {stored.number}" if stored.seed >= 0 else "a stored case"
    lines = [
        f"# {problem.signature}",
        "",
        f"- mode: {stored.mode}, backend {stored.options.backend}, from {origin}",
        *(f"- {name}: {version}" for name, version in versions.items()),
        f"- run it again: `webnn-sim fuzz repro case.json{preload}`",
        f"- make it smaller: `webnn-sim fuzz reduce case.json{preload}`",
        "",
        "```",
        problem.what,
        "```",
        "",
    ]
    for name, text in files.items():
        if not name.endswith(".html"):
            lines += [f"## {name}", "", "```", text.rstrip(), "```", ""]
        else:
            lines += [f"`{name}` shows it in a browser with WebNN.", ""]
    return "\n".join(lines)
