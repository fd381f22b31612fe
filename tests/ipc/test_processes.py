"""Children run the same packages as their parent, and know nothing that is not their business."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import ipc
from ipc.processes import python_command, python_environment


def test_a_child_runs_the_same_packages_even_beside_a_folder_of_their_name(tmp_path: Path) -> None:
    (tmp_path / "ipc").mkdir()
    (tmp_path / "ipc" / "__init__.py").write_text("raise SystemExit('the wrong one')")
    command = [sys.executable, "-P", "-c", "import ipc; print(ipc.__file__)"]
    output = subprocess.check_output(command, env=python_environment(), cwd=tmp_path, text=True)
    assert Path(output.strip()) == Path(ipc.__file__).resolve()
    assert python_command("m", "a")[:2] == [sys.executable, "-P"]


def test_a_childs_environment_holds_no_secrets_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    assert "AWS_SECRET_ACCESS_KEY" not in python_environment()
