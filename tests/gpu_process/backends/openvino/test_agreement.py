"""Every operator, data type and edge gives what the reference gives, computed at run time and folded at build time.

OpenVINO folds constants with other kernels than those that run.
"""

from __future__ import annotations

import zlib
from collections import defaultdict

import numpy as np
import pytest

from gpu_process.backends import BackendOptions
from ipc.descriptors import DataType, Descriptor
from ipc.operators import REGISTRY
from tests.conformance._in_process import BackendContext
from tests.gpu_process.backends._cases import Array, Case, cases, data_types, operand
from tests.gpu_process.backends.openvino._graphs import Workbench

_CASES: dict[str, list[Case]] = defaultdict(list)
for _case in cases():
    _CASES[_case.operator].append(_case)

_REFERENCE = BackendContext(Workbench(BackendOptions(), "reference").backend)
_OPENVINO = Workbench().backend
_CONTEXT = BackendContext(_OPENVINO)


@pytest.mark.parametrize("constant", [False, True], ids=["input", "constant"])
@pytest.mark.parametrize("name", list(REGISTRY))
def test_an_operator_agrees_with_the_reference(name: str, constant: bool) -> None:
    operator = REGISTRY[name]
    limits = _OPENVINO.support_limits().operators[name]
    assert _CASES[name]
    for case in _CASES[name]:
        like = {slot: operator.slots[slot].same_type_as for slot in case.shapes}
        for types in data_types(limits, list(case.shapes), like):
            random = np.random.default_rng(zlib.crc32(f"{case}{types}".encode()))
            operands = {
                slot: [operand(random, slot, types[slot], each, case) for each in _listed(shape)]
                for slot, shape in case.shapes.items()
            }
            wanted = _run(_REFERENCE, case, types, operands, constant=False)
            given = _run(_CONTEXT, case, types, operands, constant=constant)
            for output, expected in wanted.items():
                _assert_agrees(given[output], expected, f"{case} of {types}, {output}")


def _listed(shape: object) -> list[tuple[int, ...]]:
    return shape if isinstance(shape, list) else [shape]  # type: ignore[list-item]


def _run(
    context: BackendContext,
    case: Case,
    types: dict[str, DataType],
    operands: dict[str, list[Array]],
    *,
    constant: bool,
) -> dict[str, Array]:
    builder = context.builder()
    inputs: dict[str, Array] = {}
    given = {}
    for slot, shape in case.shapes.items():
        entered = []
        for each, array in zip(_listed(shape), operands[slot], strict=True):
            descriptor = Descriptor(types[slot], each)
            if constant:
                entered.append(builder.constant(descriptor, array))
            else:
                name = f"x{len(inputs)}"
                inputs[name] = array.copy()
                entered.append(builder.input(name, descriptor))
        given[slot] = entered if isinstance(shape, list) else entered[0]
    made = builder.call(case.operator, [], {**given, **case.options})
    outputs = {f"output{index}": each for index, each in enumerate(made if isinstance(made, list) else [made])}
    return dict(context.compute(builder.build(outputs), inputs))


def _assert_agrees(given: Array, wanted: Array, what: str) -> None:
    assert given.dtype == wanted.dtype, what
    assert given.shape == wanted.shape, what
    if given.dtype.kind != "f":
        np.testing.assert_array_equal(given, wanted, what)
        return
    rtol, atol = (2e-3, 2e-4) if given.dtype == np.float16 else (2e-5, 2e-6)
    np.testing.assert_allclose(given.astype(np.float64), wanted.astype(np.float64), rtol, atol, err_msg=what)
