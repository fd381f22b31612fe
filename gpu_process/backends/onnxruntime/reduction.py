"""Reductions, running sums, and the index of an extreme.

The kernels that sum and multiply integers do so in floating point: integers are folded by additions and multiplications
instead, which wrap around. Other integers without a kernel go through int64, uint64 by a map that keeps the order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from gpu_process.backends.onnxruntime._lowering import Lowered, Lowering, in_float32, lowers
from gpu_process.backends.onnxruntime._values import ElementType, Value
from ipc import operators as ops
from ipc.descriptors import DataType
from ipc.operators import Operator

_Prepare = Callable[[Lowering, Value], Value]


def _as_it_is(_node: Lowering, x: Value) -> Value:
    return x


def _reduce(operator: Operator, op_type: str, *, fold: str = "", prepare: _Prepare = _as_it_is) -> None:
    """A reduction; integers are prepared one by one, then folded by the operator `fold`."""

    @lowers(operator)
    @in_float32
    def lowering(node: Lowering, x: Value, *, axes: Sequence[int] | None, keep_dimensions: bool) -> Lowered:
        if x.is_float:
            return _reduced(node, op_type, x, axes, keep_dimensions)
        return _folded(node, fold, prepare(node, x), axes)


def _squared(node: Lowering, x: Value) -> Value:
    return node.binary("Mul", x, x)


def _absolute(node: Lowering, x: Value) -> Value:
    return x if _is_unsigned(x) else node("Abs", x)


_reduce(ops.reduce_l1, "ReduceL1", fold="Add", prepare=_absolute)
_reduce(ops.reduce_l2, "ReduceL2")
_reduce(ops.reduce_log_sum, "ReduceLogSum")
_reduce(ops.reduce_log_sum_exp, "ReduceLogSumExp")
_reduce(ops.reduce_mean, "ReduceMean")
_reduce(ops.reduce_product, "ReduceProd", fold="Mul")
_reduce(ops.reduce_sum, "ReduceSum", fold="Add")
_reduce(ops.reduce_sum_square, "ReduceSumSquare", fold="Add", prepare=_squared)


def _extreme(operator: Operator, op_type: str) -> None:
    @lowers(operator)
    @in_float32
    def lowering(node: Lowering, x: Value, *, axes: Sequence[int] | None, keep_dimensions: bool) -> Lowered:
        reduced = _reduced(node, op_type, _ordered(node, x), axes, keep_dimensions)
        if x.is_float:  # the kernels lose NaN
            has_nan = _reduced(node, "ReduceMax", _nan_marks(node, x), axes, keep_dimensions)
            return node.select(node.cast(has_nan, ElementType.BOOL), node.scalar(np.nan, x), reduced)
        return _unordered(node, reduced, x.data_type)


_extreme(ops.reduce_max, "ReduceMax")
_extreme(ops.reduce_min, "ReduceMin")


def _arg(operator: Operator, op_type: str) -> None:
    @lowers(operator)
    @in_float32
    def lowering(node: Lowering, x: Value, *, axis: int, keep_dimensions: bool, output_data_type: DataType) -> Lowered:
        shape, options = node.outputs[0].shape, {"axis": axis, "keepdims": int(keep_dimensions)}

        def index_of(extreme: str, values: Value) -> Value:
            return node(extreme, values, dtype=ElementType.INT64, shape=shape, **options)

        index = index_of(op_type, _ordered(node, x))
        if x.is_float:  # the first NaN, should there be one
            marks = _nan_marks(node, x)
            has_nan = node("ReduceMax", marks, node.integers([axis]), shape=shape, keepdims=int(keep_dimensions))
            index = node.select(node.cast(has_nan, ElementType.BOOL), index_of("ArgMax", marks), index)
        return node.cast(index, ElementType.of(output_data_type))


_arg(ops.arg_max, "ArgMax")
_arg(ops.arg_min, "ArgMin")


@lowers(ops.cumulative_sum)
@in_float32
def cumulative_sum(node: Lowering, x: Value, *, axis: int, exclusive: bool, reversed: bool) -> Lowered:
    medium = ElementType.INT64 if _is_unsigned(x) else x.data_type
    along = node.constant(np.array(axis, np.int64))
    sums = node("CumSum", node.cast(x, medium), along, exclusive=int(exclusive), reverse=int(reversed))
    return node.cast(sums, x.data_type)


def _reduced(node: Lowering, op_type: str, x: Value, axes: Sequence[int] | None, keep_dimensions: bool) -> Value:
    """Over no axes at all the function is applied to each element: a new axis of size 1 is reduced away."""
    axes = range(x.rank) if axes is None else axes
    shape = node.outputs[0].shape
    if not axes:
        x, axes, keep_dimensions = node.reshape(x, (*x.shape, 1)), [x.rank], False
    return node(op_type, x, node.integers(axes), shape=shape, keepdims=int(keep_dimensions))


def _folded(node: Lowering, op_type: str, x: Value, axes: Sequence[int] | None) -> Value:
    """The reduced axes as one, halved until one element is left: each half is added to, or multiplied by, the other."""
    reduced = range(x.rank) if axes is None else axes
    kept = [axis for axis in range(x.rank) if axis not in reduced]
    outer = math.prod(x.shape[axis] for axis in kept)
    rest = node.reshape(node.transpose(x, [*kept, *reduced]), (outer, math.prod(x.shape) // outer))
    while rest.shape[1] > 1:
        half, odd = divmod(rest.shape[1], 2)
        left, right, *single = node.split(rest, [half, half, *[1] * odd], 1)
        rest = node.concat([node.binary(op_type, left, right), *single], 1)
    return node.reshape(rest, node.outputs[0].shape)


def _nan_marks(node: Lowering, x: Value) -> Value:
    """1 where an element is NaN, 0 elsewhere."""
    return node.cast(node("IsNaN", x, dtype=ElementType.BOOL), ElementType.FLOAT)


def _is_unsigned(x: Value) -> bool:
    return x.data_type in _UNSIGNED


def _ordered(node: Lowering, x: Value) -> Value:
    """Values in the same order, of a type with kernels."""
    if not _is_unsigned(x):
        return x
    wide = node.cast(x, ElementType.INT64)
    if x.data_type is ElementType.UINT32:
        return wide
    return node.binary("BitwiseXor", wide, node.scalar(_SIGN_BIT, wide))


def _unordered(node: Lowering, value: Value, data_type: ElementType) -> Value:
    if data_type is ElementType.UINT64:
        value = node.binary("BitwiseXor", value, node.scalar(_SIGN_BIT, value))
    return node.cast(value, data_type)


_UNSIGNED = frozenset({ElementType.UINT32, ElementType.UINT64})
_SIGN_BIT = -(2**63)
