"""Checked-in generated files are what their generators make today."""

from __future__ import annotations

from pathlib import Path

from scripts.generate_protos import ROOT, generate


def test_generated_protos_are_current(tmp_path: Path) -> None:
    generate(tmp_path)
    fresh = {path.relative_to(tmp_path): path.read_text() for path in _sources(tmp_path)}
    kept = {path.relative_to(ROOT): path.read_text() for path in _sources(ROOT)}
    assert fresh == kept


def _sources(root: Path) -> list[Path]:
    return [path for path in (root / "ipc/generated").rglob("*.py*") if path.suffix in (".py", ".pyi")]
