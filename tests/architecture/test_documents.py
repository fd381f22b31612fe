"""The documents point at what exists."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def _documents() -> Iterator[Path]:
    yield from ROOT.glob("*.md")
    yield from (ROOT / "docs").rglob("*.md")


def test_relative_links_lead_somewhere() -> None:
    broken = [
        f"{document.relative_to(ROOT)}: {target}"
        for document in _documents()
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", document.read_text())
        if not re.match(r"[a-z]+:", target) and not (document.parent / target).exists()
    ]
    assert not broken


def test_files_named_in_documents_exist() -> None:
    """A path in code spans, where it begins with one of our rooms and has no placeholder."""
    rooms = "ipc|renderer|gpu_process|scripts|tests|docs|protos"
    broken = [
        f"{document.relative_to(ROOT)}: {path}"
        for document in _documents()
        for path in re.findall(rf"`((?:{rooms})/[\w./-]+)`", document.read_text())
        if not (ROOT / path).exists()
    ]
    assert not broken
