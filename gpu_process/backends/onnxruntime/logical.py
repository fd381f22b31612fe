"""Comparisons, logic and selection. The runtime's booleans never leave it: results are uint8."""

from __future__ import annotations

from gpu_process.backends.onnxruntime._guards import truth
from gpu_process.backends.onnxruntime._lowering import Lowered, Lowering, in_float32, lowers
from gpu_process.backends.onnxruntime._values import ElementType, Value
from ipc import operators as ops
from ipc.operators import Operator


def _comparison(operator: Operator, op_type: str) -> None:
    @lowers(operator)
    @in_float32
    def lowering(node: Lowering, a: Value, b: Value) -> Lowered:
        return _as_uint8(node, node.compare(op_type, a, b))


def _logic(operator: Operator, op_type: str) -> None:
    @lowers(operator)
    def lowering(node: Lowering, a: Value, b: Value) -> Lowered:
        return _as_uint8(node, node.compare(op_type, truth(node, a), truth(node, b)))


def _test(operator: Operator, op_type: str) -> None:
    @lowers(operator)
    @in_float32
    def lowering(node: Lowering, a: Value) -> Lowered:
        return _as_uint8(node, node(op_type, a, dtype=ElementType.BOOL))


_comparison(ops.equal, "Equal")
_comparison(ops.greater, "Greater")
_comparison(ops.greater_or_equal, "GreaterOrEqual")
_comparison(ops.lesser, "Less")
_comparison(ops.lesser_or_equal, "LessOrEqual")
_logic(ops.logical_and, "And")
_logic(ops.logical_or, "Or")
_logic(ops.logical_xor, "Xor")
_test(ops.is_nan, "IsNaN")
_test(ops.is_infinite, "IsInf")


@lowers(ops.not_equal)
@in_float32
def not_equal(node: Lowering, a: Value, b: Value) -> Lowered:
    """True where either is NaN."""
    return _as_uint8(node, node("Not", node.compare("Equal", a, b)))


@lowers(ops.logical_not)
def logical_not(node: Lowering, a: Value) -> Lowered:
    return _as_uint8(node, node("Not", truth(node, a)))


@lowers(ops.where)
@in_float32
def where(node: Lowering, condition: Value, true_value: Value, false_value: Value) -> Lowered:
    """The kernel takes a -0 among the true values for "not selected", and gives +0: its sign is put back."""
    chosen = truth(node, condition)
    result = node.select(chosen, true_value, false_value)
    if not true_value.is_float:
        return result
    zero, one = node.scalar(0, true_value), node.scalar(1, true_value)
    is_zero = node.compare("Equal", true_value, zero)
    is_below = node.compare("Less", node("Reciprocal", true_value), zero)
    minus_zero = node.cast(node.compare("And", chosen, node.compare("And", is_zero, is_below)), true_value.data_type)
    sign = node.binary("Sub", one, node.binary("Add", minus_zero, minus_zero))
    return node.binary("Mul", result, sign)


def _as_uint8(node: Lowering, boolean: Value) -> Value:
    return node.cast(boolean, ElementType.UINT8)
