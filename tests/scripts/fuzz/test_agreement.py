"""Results agree where rounding explains the difference, and nowhere else."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
import pytest

from gpu_process.backends import BackendError
from ipc import operators as ops
from ipc.descriptors import DataType, Descriptor
from ipc.graph import Graph, Operation
from scripts.fuzz.case import GraphCase
from scripts.fuzz.differential.agreement import disagreement
from scripts.fuzz.draw import Profile
from scripts.fuzz.evaluation import Array, computed
from scripts.fuzz.graphs import legal_graph
from scripts.fuzz.limits import limits_of

LIMITS = limits_of("reference")


def _case(seed: int, **profile: Any) -> GraphCase:
    return legal_graph(Random(seed), LIMITS, Profile(**{"operations": (1, 3), "hostile": 0.1, **profile}))


@pytest.mark.parametrize("seed", range(40))
def test_the_reference_agrees_with_itself(seed: int) -> None:
    case = _case(seed)
    try:
        results = computed(case)
    except BackendError:
        pytest.skip("the reference refuses it")
    assert disagreement(case, results) is None


def _changed(operator: str, change: Any, **profile: Any) -> tuple[GraphCase, dict[str, Array]]:
    case = _case(7, operators=(operator,), operations=(1, 1), hostile=0.0, **profile)
    results = computed(case)
    return case, {name: change(value) for name, value in results.items()}


def test_a_bit_of_a_moved_element_is_seen() -> None:
    def one_bit(value: Array) -> Array:
        data = bytearray(value.tobytes())
        data[0] ^= 1
        return np.frombuffer(bytes(data), value.dtype).reshape(value.shape)

    case, results = _changed("transpose", one_bit)
    found = disagreement(case, results)
    assert found is not None
    assert found.operation.operator.name == "transpose"


def test_a_rounding_is_not_a_disagreement_and_a_thousandth_is() -> None:
    only = {"data_types": frozenset({DataType.FLOAT32})}
    case, results = _changed("sigmoid", lambda value: np.nextafter(value, np.float32(2)), **only)
    assert disagreement(case, results) is None
    case, results = _changed("sigmoid", lambda value: (value * np.float32(1.001)).astype(np.float32), **only)
    assert disagreement(case, results) is not None


def test_an_integer_that_is_off_by_one_is_seen() -> None:
    case, results = _changed("add", lambda value: value + value.dtype.type(1), data_types=frozenset({DataType.INT32}))
    assert disagreement(case, results) is not None


def _absolute_sum(*values: float) -> GraphCase:
    """|x + x|, of which only the absolute value is shown."""
    descriptor = Descriptor(DataType.FLOAT32, (len(values),))
    operations = [
        Operation(ops.add, {"a": 0, "b": 0}, {}, (1,)),
        Operation(ops.abs, {"input": 1}, {}, (2,)),
    ]
    graph = Graph([descriptor] * 3, [("x", 0)], {}, operations, [("y", 2)])
    return GraphCase(graph, {}, {"x": np.array(values, np.float32).tobytes()})


def test_what_is_not_shown_is_named_and_may_be_what_is_special() -> None:
    for greatest, special in ((3e38, True), (3.0, False)):
        found = disagreement(_absolute_sum(greatest, 1), {"y": np.array([0, 0], np.float32)})
        assert found is not None
        assert (found.operation.operator.name, found.behind, found.special) == ("abs", ("add",), special)


def test_where_a_function_is_flat_on_one_side_it_moves_on_the_other() -> None:
    descriptor = Descriptor(DataType.FLOAT16, (1,))
    graph = Graph([descriptor] * 2, [("x", 0)], {}, [Operation(ops.hard_swish, {"input": 0}, {}, (1,))], [("y", 1)])
    case = GraphCase(graph, {}, {"x": np.array([-3], np.float16).tobytes()})
    assert disagreement(case, {"y": np.array([-0.0007], np.float16)}) is None  # of -2.9986, which is not yet rounded
    assert disagreement(case, {"y": np.array([-0.1], np.float16)}) is not None
