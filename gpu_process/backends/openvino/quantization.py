"""Dequantisation from 8 bits. Quantisation is the reference's: OpenVINO's division is not correctly rounded, which
moves integers by one where the quotient is near a half."""

from __future__ import annotations

from collections.abc import Sequence

from openvino import opset15 as opset

from gpu_process.backends.openvino._lowering import MAX_NATIVE_RANK, Node, Value, lowers, on_reference
from gpu_process.backends.openvino._values import convert, int_constant, reshape
from ipc import operators as ops
from ipc.descriptors import DataType

_BYTES = frozenset({DataType.INT8, DataType.UINT8})

on_reference(ops.quantize_linear)


def _leaves_room_for_blocks(node: Node) -> bool:
    return node.output.rank < MAX_NATIVE_RANK


@lowers(ops.dequantize_linear, input=_BYTES, zero_point=_BYTES, when=_leaves_room_for_blocks)
def dequantize_linear(node: Node, input: Value, scale: Value, zero_point: Value) -> Value:
    data_type, sizes, target = node.output.data_type, node.inputs["scale"].shape, node.output.shape
    centred = opset.subtract(convert(input, data_type), _blocks_repeated(convert(zero_point, data_type), sizes, target))
    return opset.multiply(centred, _blocks_repeated(scale, sizes, target))


def _blocks_repeated(value: Value, shape: Sequence[int], target: Sequence[int]) -> Value:
    """Each element repeated along each axis to fill its block; size 1 is left to ordinary broadcasting."""
    current = list(shape)
    for axis, (size, wanted) in enumerate(zip(shape, target, strict=True)):
        if size in (1, wanted):
            continue
        block = wanted // size
        apart = [*current[: axis + 1], 1, *current[axis + 1 :]]
        repeated = [*current[: axis + 1], block, *current[axis + 1 :]]
        current[axis] = wanted
        value = reshape(opset.broadcast(reshape(value, apart), int_constant(repeated)), current)
    return value
