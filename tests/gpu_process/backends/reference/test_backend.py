"""How graphs run: rounding between operators, life and death of values, failure, and cost."""

from __future__ import annotations

import tracemalloc
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from gpu_process.backends import BackendError, BackendOptions
from gpu_process.backends.reference import ReferenceBackend, create
from ipc import operators as ops
from ipc.descriptors import DataType, Descriptor
from ipc.graph import ConstantSource, Graph, OperandId, Operation
from ipc.operators import Operator
from tests.conformance._vectors import Array

FLOAT32, FLOAT16 = DataType.FLOAT32, DataType.FLOAT16


class Recorder:
    """Writes down a graph by hand, without the checks that a renderer would make."""

    def __init__(self) -> None:
        self.graph = Graph()
        self.constants: dict[OperandId, Array] = {}

    def operand(self, data_type: DataType, *shape: int) -> OperandId:
        self.graph.operands.append(Descriptor(data_type, shape))
        return len(self.graph.operands) - 1

    def input(self, name: str, data_type: DataType, *shape: int) -> OperandId:
        operand = self.operand(data_type, *shape)
        self.graph.inputs.append((name, operand))
        return operand

    def constant(self, array: Array) -> OperandId:
        operand = self.operand(DataType.of(array.dtype), *array.shape)
        self.graph.constants[operand] = ConstantSource(bytes(16))
        self.constants[operand] = array
        return operand

    def apply(
        self,
        operator: Operator,
        operands: Sequence[OperandId],
        *outputs: Descriptor,
        label: str = "",
        **attributes: Any,
    ) -> OperandId:
        made = tuple(self.operand(each.data_type, *each.shape) for each in outputs)
        slots = dict(zip(operator.slots, operands, strict=True))
        self.graph.operations.append(Operation(operator, slots, attributes, made, label))
        return made[0]

    def run(self, inputs: Mapping[str, Array], outputs: Mapping[str, OperandId]) -> dict[str, Array]:
        self.graph.outputs = list(outputs.items())
        compiled = create(BackendOptions()).compile(self.graph, self.constants)
        arrays = {
            name: np.full(descriptor.storage_shape, 99).astype(descriptor.data_type.storage)
            for name, descriptor in self.graph.output_descriptors().items()
        }
        compiled.bind(inputs, arrays).run()
        return arrays


def test_values_between_operators_are_rounded_to_their_type() -> None:
    record = Recorder()
    half = Descriptor(FLOAT16, (1,))
    x = record.input("x", FLOAT16, 1)
    doubled = record.apply(ops.add, [x, x], half)  # beyond float16: infinite, although float64 held it inside
    back = record.apply(ops.sub, [doubled, x], half)
    result = record.run({"x": np.array([60000], np.float16)}, {"back": back})
    assert np.isinf(result["back"])


def test_one_value_under_two_names_fills_both_outputs() -> None:
    record = Recorder()
    x = record.input("x", FLOAT32, 2)
    y = record.apply(ops.neg, [x], Descriptor(FLOAT32, (2,)))
    result = record.run({"x": np.array([1, 2], np.float32)}, {"a": y, "b": y})
    assert result["a"].tolist() == result["b"].tolist() == [-1, -2]


def test_an_output_that_is_used_again_has_its_value() -> None:
    record = Recorder()
    x = record.input("x", FLOAT32, 2)
    y = record.apply(ops.neg, [x], Descriptor(FLOAT32, (2,)))
    z = record.apply(ops.mul, [y, y], Descriptor(FLOAT32, (2,)))
    result = record.run({"x": np.array([3, 4], np.float32)}, {"y": y, "z": z})
    assert result["y"].tolist() == [-3, -4]
    assert result["z"].tolist() == [9, 16]


def test_a_binding_computes_from_what_its_inputs_hold_now() -> None:
    record = Recorder()
    x = record.input("x", DataType.INT32, 2)
    record.graph.outputs = [("y", record.apply(ops.identity, [x], Descriptor(DataType.INT32, (2,))))]
    compiled = create(BackendOptions()).compile(record.graph, {})
    given, result = np.array([1, 2], np.int32), np.zeros(2, np.int32)
    binding = compiled.bind({"x": given}, {"y": result})
    for values in ([1, 2], [3, 4]):
        given[:] = values
        binding.run()
        assert result.tolist() == values


def test_constants_and_inputs_are_never_written() -> None:
    record = Recorder()
    constant = np.zeros((2, 2), np.int32)
    constant.flags.writeable = False
    given = np.array([[5, 6]], np.int32)
    given.flags.writeable = False
    target = record.constant(constant)
    indices = record.constant(np.array([[1, 0]], np.int32))
    x = record.input("x", DataType.INT32, 1, 2)
    square = Descriptor(DataType.INT32, (2, 2))
    scattered = record.apply(ops.scatter_elements, [target, indices, x], square, axis=0)
    result = record.run({"x": given}, {"scattered": scattered})
    assert result["scattered"].tolist() == [[0, 6], [5, 0]]
    assert not constant.any()


def test_a_chain_holds_no_more_than_a_few_values_at_a_time() -> None:
    size, length = 2**18, 40  # 1 MiB per value, 40 of them
    record = Recorder()
    value = record.input("x", FLOAT32, size)
    for _ in range(length):
        value = record.apply(ops.neg, [value], Descriptor(FLOAT32, (size,)))
    given = np.ones(size, np.float32)
    tracemalloc.start()
    try:
        record.run({"x": given}, {"y": value})
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 12 * 2**20


def test_a_small_piece_does_not_keep_the_whole_alive() -> None:
    size, pieces = 2**18, 20
    record = Recorder()
    x = record.input("x", DataType.INT32, size)
    column, one = Descriptor(DataType.INT32, (size,)), Descriptor(DataType.INT32, (1,))
    outputs = {}
    for number in range(pieces):
        whole = record.apply(ops.neg, [x], column)
        piece = record.apply(ops.slice, [whole], one, starts=(number,), sizes=(1,), strides=None)
        outputs[f"piece{number}"] = record.apply(ops.neg, [piece], one)
    # The pieces are used again only at the end, so that all of them are alive together.
    record.graph.operations.sort(
        key=lambda operation: operation.operator is ops.neg and operation.outputs[0] in outputs.values()
    )
    tracemalloc.start()
    try:
        record.run({"x": np.ones(size, np.int32)}, outputs)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 12 * 2**20


def test_a_hundred_thousand_operators_need_no_stack() -> None:
    length = 100_000
    record = Recorder()
    value = record.input("x", DataType.INT64, 1)
    one = record.constant(np.ones(1, np.int64))
    for _ in range(length):
        value = record.apply(ops.add, [value, one], Descriptor(DataType.INT64, (1,)))
    assert record.run({"x": np.zeros(1, np.int64)}, {"y": value})["y"].tolist() == [length]


def test_too_large_a_value_is_an_error_that_names_operator_and_label() -> None:
    record = Recorder()
    x = record.input("x", FLOAT32, 1)
    shape = (2**20, 2**20, 2**10)  # 2**52 bytes: more than there are addresses
    vast = record.apply(ops.expand, [x], Descriptor(FLOAT32, shape), label="vast", new_shape=shape)
    small = record.apply(ops.reduce_max, [vast], Descriptor(FLOAT32, ()), axes=None, keep_dimensions=False)
    with pytest.raises(BackendError, match=r"expand \[vast\]: not enough memory to compute float32\[1048576, "):
        record.run({"x": np.ones(1, np.float32)}, {"y": small})


def test_four_bit_values_are_unpacked_and_packed_at_the_edges() -> None:
    record = Recorder()
    int4 = Descriptor(DataType.INT4, (5,))
    stored = record.input("stored", DataType.INT4, 5)
    scale = record.constant(np.ones(5, np.float32))
    zero = record.input("zero", DataType.INT4, 5)
    real = record.apply(ops.dequantize_linear, [stored, scale, zero], Descriptor(FLOAT32, (5,)))
    again = record.apply(ops.quantize_linear, [real, scale, zero], int4)
    packed = np.array([0x78, 0x1F, 0x0A], np.uint8)  # -8, 7, -1, 1, -6
    result = record.run({"stored": packed, "zero": np.zeros(3, np.uint8)}, {"real": real, "again": again})
    assert result["real"].tolist() == [-8, 7, -1, 1, -6]
    assert result["again"].tolist() == packed.tolist()


def test_no_floating_point_condition_warns() -> None:
    record = Recorder()
    x = record.input("x", FLOAT32, 3)
    column = Descriptor(FLOAT32, (3,))
    y = record.apply(ops.log, [record.apply(ops.div, [x, x], column)], column)
    z = record.apply(ops.cast, [y], Descriptor(FLOAT16, (3,)), data_type=FLOAT16)
    result = record.run({"x": np.array([0, np.inf, -1e-38], np.float32)}, {"z": z})
    assert np.isnan(result["z"][:2]).all()


def test_outputs_may_lie_in_shared_memory_only_where_that_is_allowed() -> None:
    record = Recorder()
    x = record.input("x", FLOAT32, 1)
    record.graph.outputs = [("y", record.apply(ops.neg, [x], Descriptor(FLOAT32, (1,))))]
    shared = ReferenceBackend(BackendOptions(in_place=True)).compile(record.graph, {})
    private = ReferenceBackend(BackendOptions(in_place=False)).compile(record.graph, {})
    assert (shared.in_place_inputs, shared.in_place_outputs) == (frozenset(), frozenset({"y"}))
    assert (private.in_place_inputs, private.in_place_outputs) == (frozenset(), frozenset())
