"""Results agree where rounding explains the difference, and nowhere else."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
import pytest

from gpu_process.backends import BackendError
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
    from ipc.descriptors import DataType

    only = {"data_types": frozenset({DataType.FLOAT32})}
    case, results = _changed("sigmoid", lambda value: np.nextafter(value, np.float32(2)), **only)
    assert disagreement(case, results) is None
    case, results = _changed("sigmoid", lambda value: (value * np.float32(1.001)).astype(np.float32), **only)
    assert disagreement(case, results) is not None


def test_an_integer_that_is_off_by_one_is_seen() -> None:
    from ipc.descriptors import DataType

    case, results = _changed("add", lambda value: value + value.dtype.type(1), data_types=frozenset({DataType.INT32}))
    assert disagreement(case, results) is not None
