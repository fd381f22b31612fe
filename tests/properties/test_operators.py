"""Whatever is legal builds, runs, and agrees; whatever breaks a rule is refused under its id on both sides."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import given, settings

from gpu_process.backends import BACKEND_NAMES, Backend, BackendOptions, load_backend
from gpu_process.backends._interface import aligned_empty
from ipc.codec import encode_graph
from ipc.errors import MLTypeError
from ipc.graph import Graph
from ipc.limits import SupportLimits, TensorLimits
from ipc.operators import REGISTRY, with_int4
from renderer import ML, MLContext, MLGraphBuilder
from scripts.fuzz.almost import Broken, breakable
from scripts.fuzz.calls import Call
from tests.properties._calls import (
    SOME,
    Array,
    broken_calls,
    content,
    disagreements,
    graph_of,
    inputs_of,
    is_possible,
    legal_calls,
    recorded,
    seeds,
)
from tests.service_rig import Rig, expect_bad, running

_EXACT = {"shape", "indexing"}


@functools.cache
def _backend(name: str) -> Backend:
    return load_backend(name, BackendOptions())


@functools.cache
def _common_limits() -> SupportLimits:
    """What every backend lists."""
    several = [with_int4(_backend(name).support_limits()).operators for name in BACKEND_NAMES]
    return with_int4(
        SupportLimits(
            {
                name: {slot: _both([each[name][slot] for each in several]) for slot in several[0][name]}
                for name in several[0]
                if all(name in each for each in several)
            }
        )
    )


def _both(limits: list[TensorLimits]) -> TensorLimits:
    types = frozenset.intersection(*(each.data_types for each in limits))
    return TensorLimits(types, max(each.min_rank for each in limits), min(each.max_rank for each in limits))


def _computed(name: str, graph: Graph, inputs: dict[str, Array]) -> dict[str, Array]:
    compiled = _backend(name).compile(graph, {})
    try:
        results = {
            label: aligned_empty(each.storage_shape, each.data_type.storage)
            for label, each in graph.output_descriptors().items()
        }
        given = {}
        for label, array in inputs.items():
            given[label] = aligned_empty(array.shape, array.dtype)
            given[label][...] = array
        compiled.bind(given, results).run()
        return results
    finally:
        compiled.close()


def _may_be_hostile(call: Call) -> bool:
    """Whether every bit of the result follows from the operands', extremes included."""
    return call.operator.family in _EXACT or not any(each.data_type.is_float for _, each in call.descriptors())


@pytest.mark.parametrize("name", REGISTRY)
def test_a_legal_call_gives_the_same_on_every_backend(name: str) -> None:
    @SOME
    @given(call=legal_calls(name, _common_limits()), seed=seeds)
    def check(call: Call, seed: int) -> None:
        outputs = call.infer(_common_limits())
        graph = graph_of(call, outputs)
        inputs = inputs_of(content(call, seed, 1.0 if _may_be_hostile(call) else 0.0))
        wanted = _computed("reference", graph, inputs)
        for backend in BACKEND_NAMES:
            problems = list(disagreements(_computed(backend, graph, inputs), wanted))
            assert not problems, f"{backend}: {dict(call.operands)} {dict(call.attributes)}: {problems} for {inputs}"

    check()


# --- through the API and the wire -------------------------------------------------------------------------------------

_BREAKABLE = [
    name for name in REGISTRY if any(is_possible(each) for known in breakable(name).values() for each in known)
]


def test_nearly_every_operator_can_be_broken() -> None:
    """The others take whatever an input can be; only their results can be too large."""
    assert set(REGISTRY) - set(_BREAKABLE) <= {"cast", "elu", "hard_sigmoid", "identity", "leaky_relu", "linear"}


@pytest.fixture(scope="module")
def context() -> Iterator[MLContext]:
    with ML(backend="reference") as ml, ml.create_context() as context:
        yield context


@pytest.mark.parametrize("name", _BREAKABLE)
def test_a_broken_rule_is_named_by_the_renderer(context: MLContext, name: str) -> None:
    @SOME
    @given(broken=broken_calls(name))
    def check(broken: Broken) -> None:
        with pytest.raises(MLTypeError) as refusal:
            recorded(MLGraphBuilder(context), broken.call)
        assert refusal.value.rule == broken.rule

    check()


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with running(tmp_path_factory.mktemp("service")) as rig:
        yield rig


@pytest.mark.parametrize("name", _BREAKABLE)
def test_a_broken_rule_is_named_by_the_gpu_process(rig: Rig, name: str) -> None:
    @settings(SOME, max_examples=2)  # each costs a session
    @given(broken=broken_calls(name))
    def check(broken: Broken) -> None:
        with closing(rig.renderer()) as renderer:
            graph = encode_graph(graph_of(broken.call, broken.outputs))
            assert expect_bad(renderer.context().build_reply, graph) == "operator_rule"
            assert rig.reports.of(renderer.number) == ("operator_rule", f"operations[0]: {broken.rule}")

    check()
