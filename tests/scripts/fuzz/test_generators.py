"""Generators know no operator, and make every one of them, legal and broken, the same for the same seed."""

from __future__ import annotations

import contextlib
from collections import Counter
from random import Random

import pytest

from gpu_process.backends import BackendError
from ipc.codec import encode_graph
from ipc.operators import REGISTRY, declared_limits
from scripts.fuzz.almost import almost_legal_graph, breakable, broken_call
from scripts.fuzz.case import GraphCase, call_of
from scripts.fuzz.draw import Profile
from scripts.fuzz.evaluation import computed
from scripts.fuzz.graphs import legal_graph
from scripts.fuzz.limits import limits_of
from scripts.fuzz.search import drawn_success, legal_call
from scripts.fuzz.validation import renderer_verdict, service_verdict

LIMITS = declared_limits()
WIDE = limits_of("reference")


@pytest.mark.parametrize("name", REGISTRY)
def test_repair_makes_most_draws_of_an_operator_legal(name: str) -> None:
    assert drawn_success(name, 40) > 0.6


@pytest.mark.parametrize("name", REGISTRY)
def test_every_rule_that_an_operator_states_is_broken_by_one_change(name: str) -> None:
    stated = {f"{name}.{rule}" for rule in REGISTRY[name].rules}
    assert stated <= breakable(name).keys()


def test_every_operator_and_type_is_generated_soon() -> None:
    operators: Counter[str] = Counter()
    types = set()
    for number in range(1500):
        for operation in legal_graph(Random(number), WIDE).graph.operations:
            operators[operation.operator.name] += 1
    assert set(operators) == set(REGISTRY)
    assert min(operators.values()) >= 10
    for number in range(600):
        types |= {descriptor.data_type for descriptor in legal_graph(Random(number), WIDE).graph.operands}
    assert types == {data_type for entry in WIDE.operators["cast"].values() for data_type in entry.data_types} | types
    assert len(types) == 10


@pytest.mark.parametrize("seed", range(40))
def test_a_legal_graph_is_valid_on_both_sides_and_computes(seed: int) -> None:
    case = legal_graph(Random(seed), WIDE)
    assert renderer_verdict(case.graph, WIDE) == ""
    decoded, reason, field = service_verdict(encode_graph(case.graph).SerializeToString(), WIDE)
    assert (reason, field) == ("", "")
    assert decoded is not None
    with contextlib.suppress(BackendError):  # groups that do not divide: nothing can be computed, nothing is wrong
        assert computed(case).keys() == case.graph.output_descriptors().keys()


def test_a_broken_call_breaks_the_rule_that_it_says() -> None:
    for number, operator in enumerate(REGISTRY.values()):
        broken = broken_call(operator, Random(number), LIMITS)
        assert broken is not None
        refusal = broken.call.refusal(LIMITS)
        assert refusal is not None
        assert refusal.rule == broken.rule
        assert broken.is_sendable


def test_only_the_last_operation_of_an_almost_legal_graph_is_broken() -> None:
    for seed in range(60):
        case = almost_legal_graph(Random(seed), WIDE)
        if case is not None:
            *others, last = case.graph.operations
            assert all(call_of(case.graph, other).refusal(WIDE) is None for other in others)
            refusal = call_of(case.graph, last).refusal(WIDE)
            assert refusal is not None
            assert refusal.rule == case.rule


def test_a_seed_means_the_same_case_whatever_was_generated_before() -> None:
    first = [legal_graph(Random(seed), WIDE).to_json() for seed in (5, 6)]
    for seed in range(50, 60):
        almost_legal_graph(Random(seed), WIDE)
    again = [legal_graph(Random(seed), WIDE).to_json() for seed in (6, 5)]
    assert repr(again[::-1]) == repr(first)  # repr, since NaN equals nothing


def test_a_case_survives_its_file() -> None:
    for seed in range(50):
        case = legal_graph(Random(seed), WIDE)
        again = GraphCase.from_json(case.to_json())
        assert repr(again) == repr(case)


def test_a_profile_is_kept() -> None:
    profile = Profile(operators=("gather", "relu"), operations=(3, 3), max_elements=32, constants=0.0, hostile=0.0)
    for seed in range(30):
        case = legal_graph(Random(seed), WIDE, profile)
        assert {operation.operator.name for operation in case.graph.operations} <= {"gather", "relu"}
        assert len(case.graph.operations) == 3
        assert not case.constants


def test_a_pinned_operand_stays() -> None:
    given = legal_graph(Random(1), WIDE, Profile(operators=("abs",), operations=(1, 1))).graph.operands[0]
    for seed in range(20):
        call = legal_call(REGISTRY["add"], Random(seed), WIDE, pinned={"a": given})
        assert call is None or call.operands["a"] == given
