"""Element-wise arithmetic and functions. Integers go to the reference kernels (hazards H1, H2, H5 to H7)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from openvino import opset15 as opset

from gpu_process.backends.openvino._lowering import MOVABLE, Node, Value, lowers
from gpu_process.backends.openvino._values import absolute, convert, divide, follows_product, keep_nan
from ipc import operators as ops
from ipc.descriptors import DataType
from ipc.operators import Operator

_BINARY: dict[Operator, Callable[[Any, Any], Any]] = {
    ops.add: opset.add,
    ops.sub: opset.subtract,
    ops.mul: opset.multiply,
    ops.div: divide,
    ops.pow: opset.power,
}
_UNARY: dict[Operator, Callable[[Any], Any]] = {
    ops.abs: absolute,
    ops.ceil: opset.ceiling,
    ops.cos: opset.cos,
    ops.floor: opset.floor,
    ops.log: opset.log,
    ops.neg: opset.negative,
    ops.sin: opset.sin,
    ops.sqrt: opset.sqrt,
    ops.tan: opset.tan,
}


def _binary(operator: Operator, function: Callable[[Any, Any], Any]) -> None:
    @lowers(operator)
    def lower(_node: Node, a: Value, b: Value) -> Value:
        return function(a, b)


def _unary(operator: Operator, function: Callable[[Any], Any]) -> None:
    @lowers(operator)
    def lower(_node: Node, input: Value) -> Value:
        return function(input)


for _operator, _of_two in _BINARY.items():
    _binary(_operator, _of_two)
for _operator, _of_one in _UNARY.items():
    _unary(_operator, _of_one)


@lowers(ops.max)
def max(_node: Node, a: Value, b: Value) -> Value:
    return keep_nan(a, keep_nan(b, opset.maximum(a, b)))


@lowers(ops.min)
def min(_node: Node, a: Value, b: Value) -> Value:
    return keep_nan(a, keep_nan(b, opset.minimum(a, b)))


@lowers(ops.clamp)
def clamp(node: Node, input: Value, *, min_value: float | None, max_value: float | None) -> Value:
    low, high = _bounds(node.output.data_type, min_value, max_value)
    if low != low or high != high:  # a NaN bound: the reference's order of comparisons, which Clamp does not have
        return opset.minimum(opset.maximum(input, node.scalar(low)), node.scalar(high))
    clamped = opset.clamp(input, low, high)
    return clamped if follows_product(input) else keep_nan(input, clamped)


def _bounds(data_type: DataType, low: float | None, high: float | None) -> tuple[float, float]:
    lowest, highest = (-np.inf, np.inf) if data_type.is_float else data_type.range
    return float(lowest if low is None else low), float(highest if high is None else high)


@lowers(ops.exp)
def exp(node: Node, input: Value) -> Value:
    """The square of exp(x / 2): OpenVINO's kernel overflows from 88.4 on, has no denormals, and makes NaN infinite."""
    root = opset.exp(opset.multiply(input, node.scalar(0.5)))
    return keep_nan(input, opset.multiply(root, root))


@lowers(ops.erf)
def erf(_node: Node, input: Value) -> Value:
    return opset.erf(input)


@lowers(ops.identity, input=MOVABLE, output=MOVABLE)
def identity(_node: Node, input: Value) -> Value:
    return input


@lowers(ops.reciprocal)
def reciprocal(node: Node, input: Value) -> Value:
    return divide(node.scalar(1), input)


@lowers(ops.round_even)
def round_even(_node: Node, input: Value) -> Value:
    return opset.round(input, "half_to_even")


@lowers(ops.sign)
def sign(node: Node, input: Value) -> Value:
    """The specification's sign of NaN is 0."""
    return opset.select(opset.is_nan(input), node.scalar(0), opset.sign(input))


_WIDENING = frozenset(
    {
        *((source, DataType.FLOAT32) for source in MOVABLE),
        (DataType.FLOAT32, DataType.FLOAT16),
        (DataType.INT8, DataType.FLOAT16),
        (DataType.UINT8, DataType.FLOAT16),
        (DataType.INT8, DataType.INT32),
        (DataType.UINT8, DataType.INT32),
    }
)
"""The conversions that OpenVINO does as the specification has them; others saturate, wrap or trap (H8)."""


def _casts_exactly(node: Node) -> bool:
    return (node.inputs["input"].data_type, node.output.data_type) in _WIDENING


def _rounds(node: Node) -> bool:
    return node.output.data_type is DataType.FLOAT16


@lowers(ops.cast, input=MOVABLE, output=MOVABLE, when=_casts_exactly, materialises=_rounds)
def cast(_node: Node, input: Value, *, data_type: DataType) -> Value:
    return convert(input, data_type)
