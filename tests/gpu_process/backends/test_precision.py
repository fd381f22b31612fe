"""Functions of one variable over dense ranges, as near to the right values as the public vectors ask for."""

from __future__ import annotations

import numpy as np
import pytest

from gpu_process.backends import BackendOptions, load_backend
from ipc.descriptors import DataType, Descriptor
from tests.conformance._in_process import BackendContext
from tests.conformance._tolerance import mismatch
from tests.conformance._vectors import Array, Expected, Tolerance

_ULP = {"elu": 18, "exp": 32, "gelu": 18, "hard_swish": 4, "log": 4, "sigmoid": 34, "softplus": 18, "softsign": 3}
_ATOL = dict.fromkeys(("cos", "erf", "sin", "tan", "tanh"), 2.0**-9)
_TOLERANCES = {name: Tolerance("ULP", value) for name, value in _ULP.items()} | {
    name: Tolerance("ATOL", value) for name, value in _ATOL.items()
}
_WIDE = np.concatenate([np.linspace(-10, 10, 20_001), -np.geomspace(1e-6, 10, 5_000), np.geomspace(1e-6, 10, 5_000)])
_LEFT_OUT = {("onnxruntime", "gelu"): "the kernel loses the left tail, see docs/numerics.md"}
_REFERENCE = BackendContext(load_backend("reference", BackendOptions()))


@pytest.mark.parametrize("data_type", [DataType.FLOAT32, DataType.FLOAT16])
@pytest.mark.parametrize("operator", list(_TOLERANCES))
@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_a_function_is_right_everywhere(backend: str, operator: str, data_type: DataType) -> None:
    if (backend, operator) in _LEFT_OUT:
        pytest.skip(_LEFT_OUT[backend, operator])
    x = _WIDE.astype(data_type.storage)
    if operator == "log":
        x = np.abs(x[x != 0])
    right = _computed(_REFERENCE, operator, x)
    expected = Expected(Descriptor(data_type, x.shape), right.astype(np.float64), x.size)
    given = _computed(BackendContext(load_backend(backend, BackendOptions())), operator, x)
    assert mismatch(given, expected, _TOLERANCES[operator]) is None


def _computed(context: BackendContext, operator: str, x: Array) -> Array:
    builder = context.builder()
    operand = builder.input("x", Descriptor(DataType.of(x.dtype), x.shape))
    result: Array = context.compute(builder.build({"y": builder.call(operator, [operand], {})}), {"x": x.copy()})["y"]
    return result
