"""The engine: the same cases for the same seed, findings once each, a corpus that only keeps what is new."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gpu_process import validation as service
from scripts.fuzz import engine
from scripts.fuzz.corpus import Corpus
from scripts.fuzz.engine import RunOptions
from scripts.fuzz.findings import FindingError, load
from scripts.fuzz.known import KNOWN, reason_for
from scripts.fuzz.mode import ModeOptions, Problem
from scripts.fuzz.modes import open_mode


def test_the_number_of_workers_does_not_change_the_cases() -> None:
    one = engine.run(RunOptions(mode="validate", seconds=0, executions=60, seed=5)).statistics
    two = engine.run(RunOptions(mode="validate", seconds=0, executions=60, seed=5, jobs=2)).statistics
    assert (one.executions, one.verdicts, one.details, one.coverage) == (
        two.executions,
        two.verdicts,
        two.details,
        two.coverage,
    )


def test_a_finding_is_reduced_written_and_runs_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = RunOptions(mode="validate", seconds=0, executions=400, seed=1, findings=tmp_path, stop_at_first=True)
    with monkeypatch.context() as planted:
        planted.setattr(service, "_check_operation", lambda *_: None)
        result = engine.run(options)
        ((stored, path),) = result.findings
        assert path is not None
        again = load(path)
        mode = open_mode("validate", ModeOptions())
        case = mode.from_json(again.case)
        problem = mode.run(case).problem
        assert problem is not None
        assert stored.problem is not None
        assert problem.signature == stored.problem.signature
        assert len(case.graph.graph.operations) == 1
    assert mode.run(case).problem is None, "without the bug"
    assert stored.problem.signature in (path.parent / "report.md").read_text()


def test_a_corpus_keeps_what_is_new_and_can_be_made_smaller(tmp_path: Path) -> None:
    options = RunOptions(mode="validate", seconds=0, executions=150, seed=2, corpus=tmp_path / "one")
    engine.run(options)
    corpus = Corpus(tmp_path / "one")
    cases = list(corpus.cases("validate"))
    assert 0 < len(cases) < 150
    mode = open_mode("validate", ModeOptions())

    def reach(value: object) -> tuple[tuple[int, ...], set[tuple[str, ...]]]:
        case = mode.from_json(value)  # type: ignore[arg-type]
        return case.size, set(mode.coverage(case, mode.run(case)))

    everything = set().union(*(reach(stored.case)[1] for _, stored in cases))
    before, after = corpus.minimise("validate", reach)
    assert before == len(cases)
    assert after <= before
    left = list(corpus.cases("validate"))
    assert len(left) == after
    assert set().union(*(reach(stored.case)[1] for _, stored in left)) == everything
    other = Corpus(tmp_path / "two")
    assert other.merge(tmp_path / "one", "validate") == after
    assert len(list(other.cases("validate"))) == after


def test_the_cases_of_a_corpus_run_first(tmp_path: Path) -> None:
    options = RunOptions(mode="validate", seconds=0, executions=40, seed=2, corpus=tmp_path)
    engine.run(options)
    kept = len(list(Corpus(tmp_path).cases("validate")))
    assert engine.run(options).statistics.executions == 40 + kept


def test_a_file_that_is_no_case_says_so(tmp_path: Path) -> None:
    for content in ("", "{}", json.dumps({"format": 99}), "[1]"):
        path = tmp_path / "case.json"
        path.write_text(content)
        with pytest.raises(FindingError, match=r"case\.json"):
            load(path)


def test_what_is_known_is_known_by_kind_and_words() -> None:
    problem = Problem("legal graph refused", "x", "conv_transpose2d: 3 groups do not divide 4 input channels")
    assert reason_for(problem) is not None
    assert reason_for(Problem("crash", "x", problem.what)) is None
    assert all(entry.reason for entry in KNOWN)


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_run_that_is_interrupted_has_the_result_of_what_it_did(jobs: int) -> None:
    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    result = engine.run(RunOptions(mode="validate", seconds=0, seed=5, jobs=jobs), interrupt)
    assert result.statistics.executions > 0
    assert result.findings == []
