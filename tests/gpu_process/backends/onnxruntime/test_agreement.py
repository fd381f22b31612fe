"""Every operator, data type and edge that is listed gives what the reference gives."""

from __future__ import annotations

import zlib
from collections import defaultdict

import numpy as np
import pytest

from gpu_process.backends import BackendOptions, load_backend
from ipc.descriptors import DataType, Descriptor
from ipc.operators import REGISTRY, with_int4
from tests.conformance._in_process import BackendContext
from tests.gpu_process.backends._cases import Array, Case, cases, data_types, operand

_CASES: dict[str, list[Case]] = defaultdict(list)
for _case in cases():
    _CASES[_case.operator].append(_case)

_REFERENCE = BackendContext(load_backend("reference", BackendOptions()))
_BACKEND = load_backend("onnxruntime", BackendOptions())
_CONTEXT = BackendContext(_BACKEND)


def test_every_operator_has_cases() -> None:
    assert set(_CASES) == set(REGISTRY)


@pytest.mark.parametrize("name", list(REGISTRY))
def test_an_operator_agrees_with_the_reference(name: str) -> None:
    operator = REGISTRY[name]
    limits = with_int4(_BACKEND.support_limits()).operators[name]
    for case in _CASES[name]:
        like = {slot: operator.slots[slot].same_type_as for slot in case.shapes}
        for types in data_types(limits, list(case.shapes), like):
            random = np.random.default_rng(zlib.crc32(f"{case}{types}".encode()))
            operands = {
                slot: [operand(random, slot, types[slot], each, case) for each in shape]
                if isinstance(shape, list)
                else operand(random, slot, types[slot], shape, case)
                for slot, shape in case.shapes.items()
            }
            wanted = _run(_REFERENCE, case, types, operands)
            given = _run(_CONTEXT, case, types, operands)
            for output, expected in wanted.items():
                _assert_agrees(given[output], expected, f"{case} of {types}, {output}")


def _run(
    context: BackendContext, case: Case, types: dict[str, DataType], operands: dict[str, object]
) -> dict[str, Array]:
    builder, inputs = context.builder(), {}

    def entered(slot: str, shape: tuple[int, ...], array: Array) -> int:
        inputs[f"{slot}{len(inputs)}"] = array.copy()
        return builder.input(f"{slot}{len(inputs) - 1}", Descriptor(types[slot], shape))

    given = {}
    for slot, shape in case.shapes.items():
        value = operands[slot]
        if isinstance(shape, list):
            given[slot] = [entered(slot, each, array) for each, array in zip(shape, value, strict=True)]  # type: ignore[call-overload]
        else:
            given[slot] = entered(slot, shape, value)  # type: ignore[arg-type]
    made = builder.call(case.operator, [], {**given, **case.options})
    outputs = {f"output{i}": made for i, made in enumerate(made if isinstance(made, list) else [made])}
    return dict(context.compute(builder.build(outputs), inputs))


def _assert_agrees(given: Array, wanted: Array, what: str) -> None:
    assert given.dtype == wanted.dtype, what
    assert given.shape == wanted.shape, what
    if given.dtype.kind != "f":
        np.testing.assert_array_equal(given, wanted, what)
        return
    half = given.dtype == np.float16
    with np.errstate(invalid="ignore"):
        np.testing.assert_allclose(
            given.astype(np.float64),
            wanted.astype(np.float64),
            rtol=2e-3 if half else 2e-5,
            atol=2e-4 if half else 2e-6,
            err_msg=what,
        )
