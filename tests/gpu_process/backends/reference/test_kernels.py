"""What the kernels decide where the specification is silent, and what they owe to the declarations."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from gpu_process.backends import BackendOptions
from gpu_process.backends.reference import ReferenceBackend
from gpu_process.backends.reference._kernels import KERNELS
from ipc.descriptors import DataType, Descriptor
from ipc.operators import REGISTRY, Operator, declared_limits
from tests.conformance._in_process import BackendContext
from tests.conformance._vectors import Array


def compute(method: str, operands: Mapping[str, Array], **attributes: Any) -> Array:
    """One operator on arrays, as a graph of the backend."""
    context = BackendContext(ReferenceBackend(BackendOptions()))
    builder = context.builder()
    ids = {
        name: builder.input(name, Descriptor(DataType.of(array.dtype), array.shape)) for name, array in operands.items()
    }
    graph = builder.build({"output": builder.call(method, [], {**ids, **attributes})})
    return context.compute(graph, dict(operands))["output"]


@pytest.mark.parametrize("operator", REGISTRY.values(), ids=str)
def test_a_kernel_takes_what_its_operator_declares(operator: Operator) -> None:
    parameters = inspect.signature(KERNELS[operator]).parameters.values()
    positional = [each for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD]
    named = {each.name for each in parameters if each.kind is each.KEYWORD_ONLY} - {"output"}
    takes_any = any(each.kind is each.VAR_KEYWORD for each in parameters)
    assert len(positional) == len(operator.slots)
    assert named <= set(operator.attributes)
    assert takes_any or named == set(operator.attributes)


@pytest.mark.parametrize("operator", REGISTRY.values(), ids=str)
def test_a_kernel_says_what_it_computes(operator: Operator) -> None:
    assert KERNELS[operator].__doc__


def test_the_reference_supports_everything_that_is_declared() -> None:
    assert ReferenceBackend(BackendOptions()).support_limits() == declared_limits()


@pytest.mark.parametrize(("method", "axis"), [("max", None), ("min", None), ("reduce_max", 0), ("reduce_min", 0)])
def test_an_extreme_of_nan_is_nan(method: str, axis: int | None) -> None:
    x = np.array([1, np.nan, 3], np.float32)
    result = compute(method, {"a": x, "b": x[::-1].copy()} if axis is None else {"input": x})
    assert np.isnan(result).any()


def test_relu_of_nan_is_nan() -> None:
    assert np.isnan(compute("relu", {"input": np.array([np.nan], np.float32)}))


@pytest.mark.parametrize("method", ["arg_max", "arg_min"])
def test_the_first_of_equals_and_the_first_nan_win(method: str) -> None:
    x = np.array([[2, 1, 1, 2, 2, 1], [0, 1, np.nan, 3, np.nan, -1]], np.float32)
    first = 0 if method == "arg_max" else 1
    assert compute(method, {"input": x}, axis=1).tolist() == [first, 2]


def test_of_equal_scatter_targets_the_last_one_holds() -> None:
    x, updates = np.zeros(3, np.float32), np.array([1, 2, 3], np.float32)
    indices = np.array([1, 1, 9], np.int32)  # 9 is clamped to 2
    operands = {"input": x, "indices": indices, "updates": updates}
    assert compute("scatter_elements", operands, axis=0).tolist() == [0, 2, 3]
    operands["indices"] = indices.reshape(3, 1)
    assert compute("scatter_nd", operands).tolist() == [0, 2, 3]


@pytest.mark.parametrize(
    ("method", "expected"),
    [("average_pool2d", np.nan), ("l2_pool2d", 0.0), ("max_pool2d", -np.inf)],
)
def test_a_window_without_cells_gives_the_identity_of_its_function(method: str, expected: float) -> None:
    x = np.ones((1, 1, 1, 1), np.float32)
    result = compute(method, {"input": x}, window_dimensions=(1, 1), padding=(1, 0, 0, 0))
    np.testing.assert_array_equal(result.reshape(-1), np.array([expected, 1], np.float32))


@pytest.mark.parametrize("method", ["average_pool2d", "l2_pool2d", "max_pool2d"])
def test_a_vast_window_and_padding_cost_no_more_than_the_cells_they_meet(method: str) -> None:
    x = np.full((1, 1, 2, 2), 2, np.float32)
    far = 2**30
    geometry = {"window_dimensions": (2 * far, 2 * far), "padding": (far, far, far, far), "strides": (far, far)}
    assert np.isfinite(compute(method, {"input": x}, **geometry)).any()


def test_a_vast_stride_and_padding_of_a_convolution_allocate_nothing() -> None:
    x, filter = np.ones((1, 1, 2, 2), np.float32), np.ones((1, 1, 1, 1), np.float32)
    far = 2**30
    result = compute("conv2d", {"input": x, "filter": filter}, padding=(far, far, 0, 0), strides=(far, 1))
    assert result.tolist() == [[[[0, 0], [1, 1], [0, 0]]]]


def test_gelu_keeps_its_precision_where_it_nears_zero() -> None:
    # At -9, 1 + erf(x / sqrt(2)) would be 0 in float64.
    expected = np.float32(0.5 * -9 * math.erfc(9 / math.sqrt(2)))
    assert compute("gelu", {"input": np.array([-9], np.float32)}) == expected


def test_expm1_and_log_sums_keep_theirs() -> None:
    tiny = np.array([-1e-20], np.float32)
    assert compute("elu", {"input": tiny}) == tiny
    assert compute("softplus", {"input": np.array([-80], np.float32)}) == np.float32(math.exp(-80))
