"""The documents point at what exists, and their listings do what they say."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ipc.processes import python_environment

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


def _listings(document: str) -> Iterator[tuple[str, int, str, str]]:
    """The scripts of a document with what it shows below them, and the line where each begins."""
    text = (ROOT / document).read_text()
    found = list(re.finditer(r"```python\n(.*?)```\n\n```text\n(.*?)```", text, re.DOTALL))
    assert len(found) == text.count("```python"), f"{document}: a script without its output"
    for listing in found:
        yield document, text.count("\n", 0, listing.start()) + 1, listing[1], listing[2]


@pytest.mark.parametrize(
    ("document", "line", "script", "shown"),
    [
        pytest.param(*listing, id=f"{listing[0]}:{listing[1]}")
        for document in ("README.md", "docs/api.md")
        for listing in _listings(document)
    ],
)
def test_a_script_in_a_document_prints_what_is_shown_below_it(
    document: str, line: int, script: str, shown: str
) -> None:
    command = [sys.executable, "-P", "-c", script]
    result = subprocess.run(command, capture_output=True, text=True, env=python_environment(), check=False, timeout=50)
    assert result.stderr == ""
    assert result.stdout == shown
