"""Mode `validate` is clean on the product, and finds what is taken out of it."""

from __future__ import annotations

import pytest

from gpu_process import validation as service
from ipc.operators import REGISTRY
from scripts.fuzz.engine import RunOptions, run
from scripts.fuzz.mode import ModeOptions, random_of
from scripts.fuzz.validation import ValidateMode


@pytest.fixture(scope="module")
def mode() -> ValidateMode:
    return ValidateMode(ModeOptions())


def _first_problem(mode: ValidateMode, executions: int, seed: int = 1) -> str | None:
    for number in range(executions):
        problem = mode.run(mode.generate(random_of(mode.name, seed, number))).problem
        if problem is not None:
            return problem.signature
    return None


def test_the_validators_agree(mode: ValidateMode) -> None:
    result = run(RunOptions(mode="validate", executions=1500, seconds=0))
    assert not result.findings
    summary = result.statistics.to_json(result.universe)
    assert summary["coverage"]["operator"]["hit"] > 0.9 * len(REGISTRY)
    assert {"accepted", "bad_message", "refused"} <= summary["verdicts"].keys()


@pytest.mark.parametrize("check", ["_check_operation", "_is_unchanged"])
def test_a_check_that_is_taken_out_of_the_service_is_missed(
    mode: ValidateMode, monkeypatch: pytest.MonkeyPatch, check: str
) -> None:
    monkeypatch.setattr(service, check, lambda *_: check == "_is_unchanged" and False)
    assert _first_problem(mode, 600) is not None


def test_a_rule_that_is_taken_out_of_a_declaration_is_missed(
    mode: ValidateMode, monkeypatch: pytest.MonkeyPatch
) -> None:
    from scripts.fuzz.almost import breakable

    breakable("matmul")  # learned from the right declaration
    from ipc.operators import matrix

    monkeypatch.setattr(matrix, "broadcast_shapes", lambda a, _: tuple(a))
    only = ValidateMode(ModeOptions(profile={"operators": ("matmul",), "operations": (1, 1)}))
    found = _first_problem(only, 300)
    assert found is not None
    assert "exception" in found


def test_a_case_of_every_kind_survives_its_file(mode: ValidateMode) -> None:
    kinds = set()
    for number in range(120):
        case = mode.generate(random_of("validate", 3, number))
        assert repr(mode.from_json(case.to_json())) == repr(case)
        kinds.add((bool(case.graph.rule), case.cut is not None, case.misuse is not None))
    assert len(kinds) == 4
