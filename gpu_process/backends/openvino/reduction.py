"""Reductions and running sums of floats; integers go to the reference kernels (hazard H7)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from openvino import opset15 as opset

from gpu_process.backends.openvino._lowering import Node, Value, lowers, on_reference
from gpu_process.backends.openvino._values import absolute, greatest, int_constant
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
    return _greatest(node, input, keep_dimensions)


@lowers(ops.reduce_min, when=_has_axes)
def reduce_min(node: Node, input: Value, *, keep_dimensions: bool, **_axes_as_given: object) -> Value:
    return opset.negative(_greatest(node, opset.negative(input), keep_dimensions))


def _greatest(node: Node, input: Value, keep_dimensions: bool) -> Value:
    axes = int_constant(_axes(node))
    return greatest(node, input, lambda values: opset.reduce_max(values, axes, keep_dimensions))


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
    largest = _greatest(node, input, keep_dimensions=True)
    infinite = opset.equal(absolute(largest), node.scalar(np.inf))
    shift = opset.select(infinite, node.scalar(0), largest)
    total = opset.reduce_sum(opset.exp(opset.subtract(input, shift)), axes, True)
    result = opset.add(opset.log(total), shift)
    return result if keep_dimensions else opset.squeeze(result, axes)


@lowers(ops.cumulative_sum)
def cumulative_sum(_node: Node, input: Value, *, axis: int, exclusive: bool, reversed: bool) -> Value:
    return opset.cum_sum(input, int_constant(axis), exclusive, reversed)


# Which of several equal elements, and which NaN, TopK finds is not fixed: an index must not depend on a kernel.
on_reference(ops.arg_min)
on_reference(ops.arg_max)
