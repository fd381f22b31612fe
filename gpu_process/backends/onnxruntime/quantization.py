"""Linear quantization, block by block, and the packing of 4-bit integers.

Quotients are computed in float64, and so are differences of 32-bit integers: float32 does not hold them. The kernels
for quantization know neither all types nor blocks along several axes.
"""

from __future__ import annotations

import math

import numpy as np

from gpu_process.backends.onnxruntime._lowering import Lowered, Lowering, lowers
from gpu_process.backends.onnxruntime._values import PACKED, ElementType, Value
from gpu_process.backends.onnxruntime.casting import saturated
from ipc import operators as ops


@lowers(ops.dequantize_linear)
def dequantize_linear(node: Lowering, x: Value, scale: Value, zero_point: Value) -> Lowered:
    """(x - zero_point) * scale, rounded once."""
    data_type = scale.data_type
    is_wide = x.data_type in (ElementType.INT32, ElementType.UINT32)
    medium = ElementType.DOUBLE if is_wide else ElementType.FLOAT
    x, zero_point = _unpacked(node, x), _unpacked(node, zero_point)
    whole, scales, zero_points = _in_blocks(node, x, scale, zero_point)
    difference = node.binary("Sub", node.cast(whole, medium), node.cast(zero_points, medium))
    product = node.binary("Mul", difference, node.cast(scales, medium))
    return node.reshape(node.cast(product, data_type), x.shape)


@lowers(ops.quantize_linear)
def quantize_linear(node: Lowering, x: Value, scale: Value, zero_point: Value) -> Lowered:
    """Rounded before the zero point is added; then clamped, NaN giving 0."""
    wanted = node.outputs[0].data_type
    whole, scales, zero_points = _in_blocks(node, x, scale, _unpacked(node, zero_point))
    medium = ElementType.DOUBLE
    quotient = node.binary("Div", node.cast(whole, medium), node.cast(scales, medium))
    shifted = node.binary("Add", node("Round", quotient), node.cast(zero_points, medium))
    return _packed_as(node, node.reshape(saturated(node, shifted, wanted), x.shape), zero_point.data_type)


def _in_blocks(node: Lowering, x: Value, scale: Value, zero_point: Value) -> tuple[Value, Value, Value]:
    """The three in shapes that broadcast: an axis with blocks becomes one over the blocks and one within them."""
    whole: list[int] = []
    parameters: list[int] = []
    for size, count in zip(x.shape, scale.shape, strict=True):
        if count in (1, size):
            whole.append(size)
            parameters.append(count)
        else:
            whole += [count, size // count]
            parameters += [count, 1]
    return node.reshape(x, whole), node.reshape(scale, parameters), node.reshape(zero_point, parameters)


def _unpacked(node: Lowering, x: Value) -> Value:
    """4-bit integers one per byte; others as they are."""
    if x.data_type not in PACKED:
        return x
    count = math.prod(x.shape)
    stored = Value(x.name, ElementType.UINT8, x.stored_shape)
    low = node.binary("BitwiseAnd", stored, node.scalar(15, stored))
    high = node.binary("Div", stored, node.scalar(16, stored))
    pairs = node.concat([node.reshape(half, (*half.shape, 1)) for half in (low, high)], 1)
    values = node.slice(node.reshape(pairs, (2 * stored.shape[0],)), [0], [count], [1])
    if x.data_type is ElementType.INT4:  # two's complement: 8 to 15 stand for -8 to -1
        signed = node.cast(values, ElementType.INT8)
        eight = node.scalar(8, signed)
        values = node.binary("Sub", node.binary("BitwiseXor", signed, eight), eight)
    return node.reshape(values, x.shape)


def _packed_as(node: Lowering, values: Value, data_type: ElementType) -> Value:
    """The inverse: two values per byte, the first in the low half, the last byte filled up with zero."""
    if data_type not in PACKED:
        return values
    count = math.prod(values.shape)
    nibbles = node.reshape(node.cast(values, ElementType.UINT8), (count,))
    nibbles = node.binary("BitwiseAnd", nibbles, node.scalar(15, nibbles))
    if count % 2:
        nibbles = node.concat([nibbles, node.constant(np.zeros(1, np.uint8))], 0)
    low, high = node.split(node.reshape(nibbles, ((count + 1) // 2, 2)), [1, 1], 1)
    both = node.binary("BitwiseOr", low, node.binary("Mul", high, node.scalar(16, high)))
    stored = node.reshape(both, ((count + 1) // 2,))
    return Value(stored.name, data_type, values.shape)
