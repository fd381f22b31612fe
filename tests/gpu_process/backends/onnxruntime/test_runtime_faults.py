"""What ONNX Runtime itself gets wrong, shown on models of one node; `docs/backend-hazards.md` lists it.

A test that fails here means that a new version has mended something: the entry goes, and a lowering may become simpler.
"""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest
from onnx import helper

Array = npt.NDArray[Any]
INF, NAN = np.inf, np.nan


def _run(op_type: str, *inputs: Array | None, **attributes: Any) -> Array:
    """The first output of a model of one node; None leaves an input out."""
    names = ["" if array is None else f"x{index}" for index, array in enumerate(inputs)]
    given = {name: array for name, array in zip(names, inputs, strict=True) if array is not None}
    declared = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in given.items()
    ]
    result = helper.make_tensor_value_info("y", declared[-1].type.tensor_type.elem_type, None)
    graph = helper.make_graph([helper.make_node(op_type, names, ["y"], **attributes)], "g", declared, [result])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), settings, providers=["CPUExecutionProvider"])
    output: Array = session.run(None, given)[0]
    return output


def _floats(*values: float) -> Array:
    return np.array(values, np.float32)


def test_layer_normalization_with_a_bias_left_out_by_an_empty_name_segfaults() -> None:
    call = "x = _floats(1, 2)[None]; _run('LayerNormalization', x, x[0], None, axis=1)"
    code = f"from {__name__} import _run, _floats; {call}"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, timeout=50)
    assert child.returncode < 0


def test_integers_are_summed_and_multiplied_in_floating_point() -> None:
    assert _run("ReduceSum", np.array([2**53 + 1, 2**53 + 1, 1], np.int64))[()].item() != 2**54 + 3
    assert _run("ReduceProd", np.array([2**31 + 1, 2**31 - 1], np.int64))[()].item() != 2**62 - 1


def test_where_loses_the_sign_of_a_zero() -> None:
    chosen = _run("Where", np.ones(1, np.bool_), _floats(-0.0), _floats(1))
    assert not np.signbit(chosen).any()


def test_clip_bounds_infinity_where_no_bound_was_given() -> None:
    assert np.isfinite(_run("Clip", _floats(INF), np.array(0, np.float32))).all()


def test_the_sign_of_nan_is_nan() -> None:
    assert np.isnan(_run("Sign", _floats(NAN))).all()


def test_sigmoid_is_a_hundred_ulp_off() -> None:
    x = np.linspace(-8, -4, 1000, dtype=np.float32)
    right = (1 / (1 + np.exp(-x.astype(np.float64)))).astype(np.float32)
    distances = np.abs(_run("Sigmoid", x).view(np.int32) - right.view(np.int32))
    assert distances.max() > 100


def test_batch_normalization_cancels_digits() -> None:
    one, mean = _floats(1), _floats(10_000)
    x = np.full((1, 1, 1, 1), 10_000.3, np.float32)
    y = _run("BatchNormalization", x, one, _floats(0), mean, _floats(1e-2), epsilon=0.0)
    assert abs(y.item() / (10 * (x.item() - 10_000)) - 1) > 1e-4


@pytest.mark.parametrize("window", [_floats(-INF, -INF), _floats(NAN, NAN)], ids=["infinities", "NaN"])
def test_max_pool_starts_from_the_lowest_finite_number(window: Array) -> None:
    pooled = _run("MaxPool", window.reshape(1, 1, 1, 2), kernel_shape=[1, 2])
    assert pooled.item() == np.finfo(np.float32).min


@pytest.mark.parametrize("op_type", ["ReduceMax", "ReduceMin"])
def test_extremes_lose_nan(op_type: str) -> None:
    assert not np.isnan(_run(op_type, _floats(1, NAN, 2)))


@pytest.mark.parametrize("dtype", [np.int8, np.int32])
def test_a_relu_of_integers_cannot_be_joined_with_a_clip(dtype: type[np.integer[Any]]) -> None:
    data_type = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    ends = [helper.make_tensor_value_info(name, data_type, [1]) for name in ("x", "y")]
    nodes = [helper.make_node("Relu", ["x"], ["r"]), helper.make_node("Clip", ["r", "low"], ["y"])]
    low = helper.make_tensor("low", data_type, [], [1])
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], [low])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 4
    with pytest.raises(Exception, match="Unexpected data type for Clip"):
        onnxruntime.InferenceSession(model.SerializeToString(), settings, providers=["CPUExecutionProvider"])
