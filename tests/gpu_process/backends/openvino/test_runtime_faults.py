"""What OpenVINO itself gets wrong, shown on models of a few nodes; `docs/backend-hazards.md` lists it.

A test that fails here means that a new version has mended something: the entry goes, and a lowering may become simpler.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino as ov
import pytest
from openvino import opset15 as opset

from gpu_process.backends import BackendOptions
from gpu_process.backends.openvino._backend import properties

Array = npt.NDArray[Any]
INF, NAN = np.inf, np.nan
CORE = ov.Core()
F32 = ov.Type.f32


def _floats(*values: float) -> Array:
    return np.array(values, np.float32)


def _constant(*values: float) -> Any:
    return opset.constant(_floats(*values))


def _scalar(value: float) -> Any:
    return opset.constant(np.float32(value))


def _compiled(results: list[Any], parameters: list[Any], options: Mapping[str, Any] | None = None) -> Any:
    chosen = properties(BackendOptions()) if options is None else dict(options)
    return CORE.compile_model(ov.Model(results, parameters, "m"), "CPU", chosen)


def _run(function: Callable[..., Any], *inputs: Array) -> Array:
    """A function of OpenVINO's nodes on run-time inputs, compiled as the backend does."""
    parameters = [opset.parameter(list(each.shape), ov.Type(each.dtype)) for each in inputs]
    result: Array = _compiled([function(*parameters)], parameters).create_infer_request().infer(list(inputs))[0]
    return result


def test_an_absolute_value_of_a_converted_constant_of_rank_1_is_dropped() -> None:
    half = opset.constant(np.array([-1, 2], np.float16))
    y = _run(lambda x: opset.add(x, opset.absolute(opset.convert(half, F32))), _floats(0, 0))
    np.testing.assert_array_equal(y, [-1, 2])


def test_a_result_that_is_an_input_takes_its_place() -> None:
    x = opset.parameter([2], F32)
    request = _compiled([opset.result(x), opset.relu(x)], [x]).create_infer_request()
    given, passed, rectified = _floats(1, 2), _floats(7, 7), _floats(7, 7)
    request.set_input_tensor(0, ov.Tensor(given, shared_memory=True))
    request.set_output_tensor(0, ov.Tensor(passed, shared_memory=True))
    request.set_output_tensor(1, ov.Tensor(rectified, shared_memory=True))
    request.infer(share_outputs=True)
    np.testing.assert_array_equal(rectified, [7, 7])  # the result's memory was taken for the input's


def test_denormal_constants_are_zero() -> None:
    y = _run(lambda x: opset.add(x, _constant(1e-40, 1)), _floats(0, 0))
    np.testing.assert_array_equal(y, [0, 1])


def test_division_multiplies_by_a_reciprocal() -> None:
    quotient = _run(opset.divide, _floats(1e38, 1e-40), _floats(3e38, 1e-40))
    assert not np.allclose(quotient, [1 / 3, 1], rtol=1e-6)


def test_the_exponential_of_nan_is_infinite_and_overflows_early() -> None:
    assert np.isinf(_run(opset.exp, _floats(NAN, 88.6))).all()


@pytest.mark.parametrize("function", [opset.greater, opset.greater_equal])
def test_nan_is_greater(function: Callable[..., Any]) -> None:
    assert _run(lambda a, b: opset.convert(function(a, b), F32), _floats(NAN), _floats(1)).all()


def _compile_products_over_one_element() -> None:
    """One thread, a product with a constant, and one more, whose inner size is 1."""
    x = opset.parameter([2, 2], F32)
    column = opset.matmul(x, opset.constant(_floats(1, 2).reshape(2, 1)), False, False)
    _compiled([opset.matmul(column, opset.constant(_floats(3).reshape(1, 1)), False, False)], [x])


def test_a_product_over_one_element_after_another_product_is_refused() -> None:
    code = f"from {__name__} import _compile_products_over_one_element as compile; compile()"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, timeout=50)
    assert child.returncode < 0 or b"Layout rank" in child.stderr


def test_float16_is_not_rounded_inside_a_model() -> None:
    y = _run(lambda x: opset.convert(opset.convert(opset.multiply(x, x), ov.Type.f16), F32), _floats(1.0001))
    assert y.item() != np.float32(np.float16(1.0002))


@pytest.mark.parametrize(
    ("function", "given", "wrong"),
    [
        (opset.relu, NAN, 0),
        (lambda x: opset.clamp(x, -1.0, 1.0), NAN, -1),
        (lambda x: opset.hard_sigmoid(x, _scalar(0.2), _scalar(0.5)), NAN, 1),
        (lambda x: opset.maximum(x, _scalar(3)), NAN, 3),
    ],
    ids=["relu", "clamp", "hard_sigmoid", "maximum"],
)
def test_nan_becomes_a_number(function: Callable[..., Any], given: float, wrong: float) -> None:
    assert _run(function, _floats(given)).item() == wrong


@pytest.mark.parametrize("values", [(1, NAN, 2), (NAN, 1, 2)])
def test_the_greatest_loses_nan(values: tuple[float, ...]) -> None:
    assert not np.isnan(_run(lambda x: opset.reduce_max(x, np.array([0]), False), _floats(*values)))


def test_the_greatest_of_infinities_is_finite() -> None:
    lowest = np.finfo(np.float32).min
    pool = _run(
        lambda x: opset.max_pool(x, [1, 1], [1, 1], [0, 0], [0, 0], [1, 2], "floor", "explicit").output(0),
        _floats(-INF, -INF).reshape(1, 1, 1, 2),
    )
    assert pool.item() == _run(lambda x: opset.reduce_max(x, np.array([0]), False), _floats(-INF, -INF)) == lowest


def test_softmax_keeps_nan_to_its_element() -> None:
    y = _run(lambda x: opset.softmax(x, 0), _floats(NAN, 0))
    assert np.isnan(y).tolist() == [True, False]


def test_a_callers_clamp_and_a_guard_become_one_node() -> None:
    """H9: what the guard gives is then in the memory of an output, which its owner can change before it is read."""
    x, table = opset.parameter([4], ov.Type.i32), opset.parameter([3], F32)
    low, high = (opset.constant(np.int32(bound)) for bound in (0, 2))
    callers, guard = (opset.minimum(opset.maximum(x, low), high) for _ in range(2))
    compiled = _compiled([callers, opset.gather(table, guard, opset.constant(0))], [x, table])
    readers = {node.get_rt_info()["layerType"].astype(str): node for node in compiled.get_runtime_model().get_ops()}
    gathered, shown = readers["Gather"].input_value(1), compiled.get_runtime_model().get_results()[0].input_value(0)
    assert gathered.get_node().get_friendly_name() == shown.get_node().get_friendly_name()


@pytest.mark.skipif(
    "avx512_bf16" not in Path("/proc/cpuinfo").read_text(), reason="H14 shows on processors with bfloat16 alone"
)
def test_float32_is_computed_in_bfloat16_unless_told_otherwise() -> None:
    """H14"""
    x = opset.parameter([64, 64], F32)
    product = opset.matmul(x, opset.constant(np.eye(64, dtype=np.float32)), False, False)
    given = np.full((64, 64), 1 + 2.0**-12, np.float32)
    assert not np.array_equal(_compiled([product], [x], {}).create_infer_request().infer([given])[0], given)


def _chain(length: int) -> float:
    """Seconds to compile a chain in one model."""
    value = x = opset.parameter([2, 2], F32)
    for index in range(length):
        value = (opset.tanh, opset.sigmoid, opset.relu)[index % 3](value)
    start = time.monotonic()
    _compiled([value], [x])
    return time.monotonic() - start


@pytest.mark.campaign
def test_a_chain_compiles_in_more_than_linear_time() -> None:
    """H13"""
    _chain(10)
    assert _chain(1000) > 1.5 * 4 * _chain(250)


@pytest.mark.campaign
def test_a_chain_of_100_000_ends_the_process() -> None:
    """H13: the compiler recurses."""
    code = f"from {__name__} import _chain; _chain(100_000)"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, timeout=3000)
    assert child.returncode < 0
