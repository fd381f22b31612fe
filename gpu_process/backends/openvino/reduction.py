"""Reductions and running sums of floats; integers go to the reference kernels (hazard H7)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from openvino import Type
from openvino import opset15 as opset

from gpu_process.backends.openvino._lowering import Node, Value, lowers, on_reference
from gpu_process.backends.openvino._values import absolute, int_constant
from ipc import operators as ops
from ipc.operators import Operator

Reduce = Callable[..., Any]
_REDUCTIONS: dict[Operator, Reduce] = {
    ops.reduce_l1: opset.reduce_l1,
    ops.reduce_l2: opset.reduce_l2,
    ops.reduce_mean: opset.reduce_mean,
    ops.reduce_product: opset.reduce_prod,
    ops.reduce_sum: opset.reduce_sum,
}


def _axes(node: Node) -> tuple[int, ...]:
    axes: Sequence[int] | None = node.operation.attributes["axes"]
    return tuple(range(node.inputs["input"].rank)) if axes is None else tuple(axes)


def _has_axes(node: Node) -> bool:
    """Without axes the function is applied to each element; OpenVINO then returns the element itself."""
    return bool(_axes(node))


def _reduction(operator: Operator, reduce: Reduce) -> None:
    @lowers(operator, when=_has_axes)
    def lower(node: Node, input: Value, *, keep_dimensions: bool, **_axes_as_given: object) -> Value:
        return reduce(input, int_constant(_axes(node)), keep_dimensions)


for _operator, _reduce in _REDUCTIONS.items():
    _reduction(_operator, _reduce)


@lowers(ops.reduce_max, when=_has_axes)
def reduce_max(node: Node, input: Value, *, keep_dimensions: bool, **_axes_as_given: object) -> Value:
    return _extreme(node, opset.reduce_max, input, keep_dimensions)


@lowers(ops.reduce_min, when=_has_axes)
def reduce_min(node: Node, input: Value, *, keep_dimensions: bool, **_axes_as_given: object) -> Value:
    return _extreme(node, opset.reduce_min, input, keep_dimensions)


def _extreme(node: Node, reduce: Reduce, input: Value, keep_dimensions: bool) -> Value:
    """NaN if there is one anywhere: the kernels lose it."""
    axes = int_constant(_axes(node))
    marks = opset.convert(opset.is_nan(input), Type.f32)
    has_nan = opset.less(opset.constant(np.float32(0)), opset.reduce_max(marks, axes, keep_dimensions))
    return opset.select(has_nan, node.scalar(np.nan), reduce(input, axes, keep_dimensions))


@lowers(ops.reduce_sum_square, when=_has_axes)
def reduce_sum_square(node: Node, input: Value, *, keep_dimensions: bool, **_axes_as_given: object) -> Value:
    return opset.reduce_sum(opset.multiply(input, input), int_constant(_axes(node)), keep_dimensions)


@lowers(ops.reduce_log_sum, when=_has_axes)
def reduce_log_sum(node: Node, input: Value, *, keep_dimensions: bool, **_axes_as_given: object) -> Value:
    return opset.log(opset.reduce_sum(input, int_constant(_axes(node)), keep_dimensions))


@lowers(ops.reduce_log_sum_exp, when=_has_axes)
def reduce_log_sum_exp(node: Node, input: Value, *, keep_dimensions: bool, **_axes_as_given: object) -> Value:
    """Shifted by the greatest element, so that nothing overflows; infinite ones are not shifted by: inf - inf."""
    axes = int_constant(_axes(node))
    greatest = _extreme(node, opset.reduce_max, input, keep_dimensions=True)
    infinite = opset.equal(absolute(greatest), node.scalar(np.inf))
    shift = opset.select(infinite, node.scalar(0), greatest)
    total = opset.reduce_sum(opset.exp(opset.subtract(input, shift)), axes, True)
    result = opset.add(opset.log(total), shift)
    return result if keep_dimensions else opset.squeeze(result, axes)


@lowers(ops.cumulative_sum)
def cumulative_sum(_node: Node, input: Value, *, axis: int, exclusive: bool, reversed: bool) -> Value:
    return opset.cum_sum(input, int_constant(axis), exclusive, reversed)


# Which of several equal elements, and which NaN, TopK finds is not fixed: an index must not depend on a kernel.
on_reference(ops.arg_min)
on_reference(ops.arg_max)
