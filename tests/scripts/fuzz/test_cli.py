"""`webnn-sim fuzz` at the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gpu_process import validation as service
from scripts.cli.fuzz import app
from scripts.fuzz.modes import MODE_NAMES

RUNNER = CliRunner()


def _run(*arguments: str) -> int:
    return RUNNER.invoke(app, arguments).exit_code


def test_a_clean_run_exits_with_0_and_writes_what_it_did(tmp_path: Path) -> None:
    target = tmp_path / "result.json"
    limits = ("--time", "0", "--executions", "80", "--jobs", "1", "--seed", "4")
    assert _run("validate", *limits, "--json", str(target), "--findings", str(tmp_path)) == 0
    written = json.loads(target.read_text())
    assert written["executions"] == 80
    assert written["per_second"] > 0
    assert sum(written["verdicts"].values()) == 80
    assert written["coverage"]["operator"]["of"] == 95


def test_a_finding_exits_with_1_and_can_be_run_again_and_reduced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = ("--time", "0", "--executions", "60", "--jobs", "1", "--no-reduce")
    with monkeypatch.context() as planted:
        planted.setattr(service, "_check_operation", lambda *_: None)
        assert _run("validate", *limits, "--findings", str(tmp_path)) == 1
        case = str(next(tmp_path.glob("*/case.json")))
        assert _run("repro", case) == 1
        assert _run("reduce", case, "--output", str(tmp_path / "smaller"), "--time", "5") == 0
        assert list(tmp_path.glob("smaller/*/case.json"))
    assert _run("repro", case) == 0
    assert _run("reduce", case) == 1


def test_a_corpus_says_what_it_reaches(tmp_path: Path) -> None:
    limits = ("--time", "0", "--executions", "40", "--jobs", "1")
    assert _run("validate", *limits, "--corpus", str(tmp_path), "--findings", str(tmp_path / "found")) == 0
    shown = RUNNER.invoke(app, ("coverage", str(tmp_path), "--minimise", "--json"))
    assert shown.exit_code == 0
    assert json.loads(shown.stdout[shown.stdout.index("{") :])["validate"]["coverage"]["operator"]["hit"] > 0


def test_every_mode_is_a_command() -> None:
    for name in MODE_NAMES:
        assert _run(name, "--help") == 0


def test_a_file_that_is_no_case_is_wrong_usage(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text("{}")
    assert _run("repro", str(path)) == 2
