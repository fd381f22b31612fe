"""Comparisons and logic. Results are uint8, 0 or 1; any nonzero uint8 is true."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from openvino import Type
from openvino import opset15 as opset

from gpu_process.backends.openvino._lowering import TRUTH, Node, Value, lowers
from gpu_process.backends.openvino._values import truth
from ipc import operators as ops
from ipc.descriptors import DataType
from ipc.operators import Operator

_COMPARISONS: dict[Operator, Callable[[Any, Any], Any]] = {
    ops.equal: opset.equal,
    ops.not_equal: opset.not_equal,
    # OpenVINO's greater(a, b) is not(a <= b), true for NaN; its less and less_equal are IEEE's.
    ops.greater: lambda a, b: opset.less(b, a),
    ops.greater_or_equal: lambda a, b: opset.less_equal(b, a),
    ops.lesser: opset.less,
    ops.lesser_or_equal: opset.less_equal,
}
_LOGIC: dict[Operator, Callable[[Any, Any], Any]] = {
    ops.logical_and: opset.logical_and,
    ops.logical_or: opset.logical_or,
    ops.logical_xor: opset.logical_xor,
}


def _comparison(operator: Operator, function: Callable[[Any, Any], Any]) -> None:
    @lowers(operator, output=TRUTH)
    def lower(_node: Node, a: Value, b: Value) -> Value:
        return truth(function(a, b))


def _logic(operator: Operator, function: Callable[[Any, Any], Any]) -> None:
    @lowers(operator, a=TRUTH, b=TRUTH, output=TRUTH)
    def lower(node: Node, a: Value, b: Value) -> Value:
        return truth(function(_nonzero(node, a), _nonzero(node, b)))


def _nonzero(node: Node, value: Value) -> Value:
    return opset.not_equal(value, node.scalar(0, DataType.UINT8))


for _operator, _function in _COMPARISONS.items():
    _comparison(_operator, _function)
for _operator, _function in _LOGIC.items():
    _logic(_operator, _function)


@lowers(ops.logical_not, a=TRUTH, output=TRUTH)
def logical_not(node: Node, a: Value) -> Value:
    return truth(opset.equal(a, node.scalar(0, DataType.UINT8)))


@lowers(ops.is_nan, output=TRUTH)
def is_nan(_node: Node, a: Value) -> Value:
    return truth(opset.is_nan(a))


@lowers(ops.is_infinite, output=TRUTH)
def is_infinite(_node: Node, a: Value) -> Value:
    return truth(opset.is_inf(a))


@lowers(ops.where, condition=TRUTH)
def where(_node: Node, condition: Value, true_value: Value, false_value: Value) -> Value:
    return opset.select(opset.convert(condition, Type.boolean), true_value, false_value)
