"""Reduction takes away what does not matter, and nothing else."""

from __future__ import annotations

from random import Random

from scripts.fuzz.case import GraphCase
from scripts.fuzz.draw import Profile
from scripts.fuzz.evaluation import computed
from scripts.fuzz.graphs import legal_graph
from scripts.fuzz.limits import limits_of
from scripts.fuzz.reduction import reduced, smaller_graphs
from scripts.fuzz.validation import renderer_verdict

LIMITS = limits_of("reference")


def _with(operator: str, seed: int) -> GraphCase:
    profile = Profile(operations=(8, 8), hostile=0.0)
    for number in range(seed, seed + 1000):
        case = legal_graph(Random(number), LIMITS, profile)
        if _has(case, operator):
            return case
    raise AssertionError(f"no graph with {operator}")


def _has(case: GraphCase, operator: str) -> bool:
    return any(operation.operator.name == operator for operation in case.graph.operations)


def test_what_shows_a_finding_is_all_that_is_left() -> None:
    for operator in ("gather", "conv2d", "lstm", "add"):
        case = _with(operator, 0)
        smallest = reduced(case, lambda candidate, operator=operator: _has(candidate, operator), smaller_graphs, 20)
        assert [operation.operator.name for operation in smallest.graph.operations] == [operator]
        assert smallest.size < case.size


def test_every_smaller_graph_is_legal_and_computes() -> None:
    for seed in range(12):
        case = legal_graph(Random(seed), LIMITS, Profile(operations=(2, 4), hostile=0.0))
        for candidate in smaller_graphs(case):
            assert renderer_verdict(candidate.graph, LIMITS) == ""
            computed(candidate)


def test_a_case_that_nothing_smaller_shows_stays() -> None:
    case = _with("add", 0)
    assert reduced(case, lambda _: False, smaller_graphs, 5) is case


def test_reduction_ends_with_its_time() -> None:
    case = _with("add", 0)
    times = iter(range(1000))
    assert reduced(case, lambda _: True, smaller_graphs, 3, clock=lambda: float(next(times))).size <= case.size
