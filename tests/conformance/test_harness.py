"""The harness itself: it must see what is wrong, and its notion of closeness is the public suite's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gpu_process.backends import BACKEND_NAMES, BackendOptions, load_backend
from ipc.descriptors import DataType, Descriptor
from tests.conformance._expectations import Expectations, expectations
from tests.conformance._in_process import BackendContext
from tests.conformance._tolerance import mismatch
from tests.conformance._vectors import OWN_VECTORS, SHARED_VECTORS, Array, Expected, Tolerance, Vector, load_vectors
from tests.conformance._verdict import judge

_NO_EXPECTATIONS = Expectations({}, {})


def _expected(data_type: str, values: list[Any], compared: int | None = None) -> Expected:
    kind = DataType(data_type)
    dtype = np.dtype(np.float64) if kind.is_float else kind.storage
    return Expected(Descriptor(kind, (len(values),)), np.array(values, dtype), compared or len(values))


@pytest.mark.parametrize(
    ("data_type", "actual", "wanted", "metric", "value", "agree"),
    [
        ("float32", 1.0, 1.0, "ULP", 0, True),
        ("float32", np.nextafter(np.float32(1), np.float32(2)), 1.0, "ULP", 0, False),
        ("float32", np.nextafter(np.float32(1), np.float32(2)), 1.0, "ULP", 1, True),
        ("float32", -0.0, 0.0, "ULP", 0, True),
        ("float32", -0.0, 0.0, "EXACT", 0, False),
        ("float32", np.float32(1e-45), np.float32(-1e-45), "ULP", 2, True),
        ("float32", np.float32(1e-45), np.float32(-1e-45), "ULP", 1, False),
        ("float32", np.nan, np.nan, "ULP", 0, True),
        ("float32", np.nan, 1.0, "ULP", 1e12, False),
        ("float32", 1.0, np.nan, "ATOL", 1e12, False),
        ("float32", np.inf, np.inf, "ATOL", 0, True),
        ("float32", np.inf, -np.inf, "ATOL", 1, False),
        ("float32", 1.5, 1.0, "ATOL", 0.5, True),
        ("float32", 1.5, 1.0, "ATOL", 0.49, False),
        ("float16", -0.0, 0.0, "ULP", 0, True),
        ("float16", 2**-24, -(2**-24), "ULP", 2, False),  # the plain 16-bit patterns are far apart
        ("float16", 1.0, 1.0002, "ULP", 0, True),  # the expectation is rounded first
        ("float16", 1.0, 1.0002, "ATOL", 0, False),  # and here it is not
        ("int64", 2**63 - 1, -(2**63), "ULP", 1, False),
        ("uint64", 0, 2**64 - 1, "ULP", 1, False),
        ("uint8", 3, 4, "ULP", 1, True),
    ],
)
def test_tolerances_are_those_of_the_public_suite(
    data_type: str, actual: float, wanted: float, metric: str, value: float, agree: bool
) -> None:
    result = np.array([actual], DataType(data_type).storage)
    assert (mismatch(result, _expected(data_type, [wanted]), Tolerance(metric, value)) is None) == agree


def test_a_wrong_shape_or_type_is_a_mismatch() -> None:
    expected = _expected("float32", [1, 2])
    for result in (np.ones((1, 2), np.float32), np.array([1, 2], np.float16)):
        assert "instead of float32[2]" in (mismatch(result, expected, Tolerance("ATOL", 10)) or "")


def test_an_absolute_floor_forgives_what_cancels_to_nearly_nothing() -> None:
    expected = _expected("float32", [0.0])
    result = np.array([1e-13], np.float32)
    assert mismatch(result, expected, Tolerance("ULP", 1)) is not None
    assert mismatch(result, expected, Tolerance("ULP", 1, floor=1e-12)) is None


class _Broken(BackendContext):
    """A context that computes something slightly wrong, and scribbles on its inputs if told to."""

    def __init__(self, *, scribbles: bool) -> None:
        super().__init__(load_backend("reference", BackendOptions()))
        self._scribbles = scribbles

    def compute(self, graph: Any, inputs: Any) -> Any:
        outputs = {name: array.copy() for name, array in super().compute(graph, inputs).items()}
        if self._scribbles:
            for array in inputs.values():
                array.view(np.uint8)[...] ^= 1
        else:
            for array in outputs.values():
                array.view(np.uint8).reshape(-1)[-1] ^= 0x40
        return outputs


def _vector(name: str) -> Vector:
    return next(vector for vector in load_vectors(OWN_VECTORS) if vector.name == name)


def test_a_wrong_output_fails_the_vector() -> None:
    with pytest.raises(AssertionError, match="instead of"):
        judge(_Broken(scribbles=False), _vector("add int32 wraps around"), _NO_EXPECTATIONS)


def test_a_changed_input_fails_the_vector() -> None:
    with pytest.raises(AssertionError, match="input a was changed"):
        judge(_Broken(scribbles=True), _vector("add int32 wraps around"), _NO_EXPECTATIONS)


def test_an_expected_failure_that_passes_is_an_error() -> None:
    vector = _vector("add int32 wraps around")
    context = BackendContext(load_backend("reference", BackendOptions()))
    with pytest.raises(AssertionError, match="passes, although"):
        judge(context, vector, Expectations({vector.id: "it used to fail"}, {}))
    assert judge(_Broken(scribbles=False), vector, Expectations({vector.id: "broken"}, {})) == "failed as expected"


@pytest.mark.parametrize("backend", BACKEND_NAMES)
def test_every_expected_failure_names_a_vector(backend: str) -> None:
    known = {vector.id for folder in (OWN_VECTORS, SHARED_VECTORS) for vector in load_vectors(folder)}
    sources = {vector.partition(":")[0] for vector in known}
    named = set(expectations(backend).failures)
    assert {vector for vector in named - known if vector.partition(":")[0] in sources} == set()


def test_packed_values_are_low_nibble_first_in_inputs_and_outputs() -> None:
    vector = _vector("dequantizeLinear int4 float32 [2, 4] in [1, 1] blocks")
    stored: Array = vector.inputs["input"].array
    assert stored.tolist() == [0x10, 0x32, 0x54, 0x06]
    expected = Expected(Descriptor(DataType.INT4, (3,)), np.array([-8, 7, -1], np.int8), 3)
    assert mismatch(np.array([0x78, 0x0F], np.uint8), expected, Tolerance("EXACT", 0)) is None
