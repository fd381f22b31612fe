"""Checked-in generated files are what their generators make today."""

from __future__ import annotations

from pathlib import Path

from scripts import generate_operator_docs
from scripts.generate_protos import ROOT, generate


def test_generated_protos_are_current(tmp_path: Path) -> None:
    generate(tmp_path)
    fresh = {path.relative_to(tmp_path): path.read_text() for path in _sources(tmp_path)}
    kept = {path.relative_to(ROOT): path.read_text() for path in _sources(ROOT)}
    assert fresh == kept


def test_operator_pages_are_current(tmp_path: Path) -> None:
    generate_operator_docs.generate(tmp_path)
    fresh, kept = (
        {path.name: path.read_text() for path in (root / "docs/operators").iterdir()} for root in (tmp_path, ROOT)
    )
    assert fresh == kept


def _sources(root: Path) -> list[Path]:
    return [path for path in (root / "ipc/generated").rglob("*.py*") if path.suffix in (".py", ".pyi")]
