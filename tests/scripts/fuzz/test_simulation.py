"""Mode `simulate`: clean on the product, the same for the same seed, and what it has found stays found."""

from __future__ import annotations

import gc
import os
from dataclasses import replace

import pytest

from scripts.fuzz.mode import ModeOptions, random_of
from scripts.fuzz.simulation.case import ContextProgram, Operation, SimulationCase
from scripts.fuzz.simulation.mode import SimulateMode
from scripts.fuzz.simulation.model import ModelContext
from scripts.fuzz.simulation.simulate import simulate


def _alone(carrier: str, *operations: Operation, seed: int = 0, lines: bool = False) -> SimulationCase:
    return SimulationCase(((ContextProgram(carrier, operations),),), seed=seed, lines=lines)


def test_random_programs_under_random_schedules_keep_their_promises() -> None:
    mode = SimulateMode(ModeOptions())
    for number in range(60):
        verdict = mode.run(mode.generate(random_of(mode.name, 7, number)))
        assert verdict.problem is None, verdict.problem.what


def test_a_seed_is_one_schedule_and_its_answers_make_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ModelContext, "write", lambda *_: None)  # so that the product is wrong in any schedule
    case = _alone("ring", ("tensor", 0), ("write", 0, 1), ("read", 0), seed=3, lines=True)
    found = simulate(case).violation
    assert found is not None
    assert simulate(case).violation == found
    assert simulate(replace(case, answers=found.answers)).violation == found


def test_every_small_program_is_tried_under_every_schedule() -> None:
    case = SimulationCase(((ContextProgram("stream", (("tensor", 0), ("write", 0, 1), ("read", 0))),),), deviations=1)
    explored = simulate(case)
    assert explored.violation is None
    assert explored.schedules > 20


@pytest.mark.parametrize("carrier", ["inline", "stream", "ring"])
def test_a_read_is_fetched_before_its_tensor_makes_room_for_another(carrier: str) -> None:
    operations = (("tensor", 0), ("write", 0, 64), ("read", 0), ("destroy_tensor", 0), ("tensor", 1), ("read", 1))
    for seed in range(40):
        assert simulate(_alone(carrier, *operations, seed=seed)).violation is None, seed


def test_whoever_expects_a_read_is_called_back_in_any_schedule() -> None:
    operations = (
        *(("tensor", 0), ("tensor", 1), ("graph", 0, 1, 9, False), ("read", 1), ("read", 1)),
        *(("callback",), ("read", 1), ("destroy_graph", 0)),
    )
    for seed in range(60):
        assert simulate(_alone("ring", *operations, seed=seed)).violation is None, seed


def test_a_world_that_is_over_leaves_no_descriptor() -> None:
    def run(cases: int) -> int:
        for seed in range(cases):
            assert simulate(_alone("ring", ("tensor", 0), ("read", 0), seed=seed)).violation is None
        gc.collect()
        return len(os.listdir("/proc/self/fd"))

    before = run(2)
    assert run(20) <= before + 2
