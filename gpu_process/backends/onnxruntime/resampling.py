"""Resampling along two axes, by tables of positions made here: the kernel for it computes them in float32."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gpu_process.backends._interface import Array
from gpu_process.backends.onnxruntime._lowering import Lowered, Lowering, in_float32, lowers
from gpu_process.backends.onnxruntime._values import ElementType, Value
from ipc import operators as ops


@lowers(ops.resample2d)
@in_float32
def resample2d(
    node: Lowering,
    x: Value,
    *,
    mode: str,
    scales: Sequence[float],  # noqa: ARG001 - these two are in the output's shape
    sizes: Sequence[int] | None,  # noqa: ARG001
    axes: Sequence[int],
) -> Lowered:
    """Integers are interpolated in float64 and rounded, halves to even."""
    shape = node.outputs[0].shape
    linear = mode == "linear"
    result = x if x.is_float or not linear else node.cast(x, ElementType.DOUBLE)
    if x.is_float or not linear:
        # The axis that grows less goes first: what lies between is no larger than input or output. Interpolated
        # integers keep the given order, on which it depends how a half is rounded.
        axes = sorted(axes, key=lambda axis: shape[axis] / x.shape[axis])
    for axis in axes:
        if shape[axis] == x.shape[axis]:
            continue
        positions = _positions(x.shape[axis], shape[axis])
        result = _linear(node, result, positions, axis) if linear else _nearest(node, result, positions, axis)
    return node.cast(node("Round", result), x.data_type) if linear and not x.is_float else result


def _positions(size: int, wanted: int) -> Array:
    """Where in the input each sample of the output lies; (o + 0.5) * size is exact, so halves are met exactly."""
    positions: Array = np.clip((np.arange(wanted) + 0.5) * size / wanted - 0.5, 0, size - 1)
    return positions


def _nearest(node: Lowering, x: Value, positions: Array, axis: int) -> Value:
    """Of two equally near samples the lower one."""
    return _taken(node, x, np.ceil(positions - 0.5), axis)


def _linear(node: Lowering, x: Value, positions: Array, axis: int) -> Value:
    """On a sample exactly, its neighbour has no influence, infinite or not."""
    below = np.floor(positions)
    weights = (positions - below).reshape([-1 if dimension == axis else 1 for dimension in range(x.rank)])
    lower, upper = _taken(node, x, below, axis), _taken(node, x, np.ceil(positions), axis)
    left = node.binary("Mul", lower, node.constant((1 - weights).astype(x.data_type.dtype)))
    right = node.binary("Mul", upper, node.constant(weights.astype(x.data_type.dtype)))
    blend, exact = node.binary("Add", left, right), weights == 0
    return node.select(node.constant(exact), lower, blend) if exact.any() else blend


def _taken(node: Lowering, x: Value, indices: Array, axis: int) -> Value:
    shape = (*x.shape[:axis], len(indices), *x.shape[axis + 1 :])
    return node("Gather", x, node.constant(indices.astype(np.int64)), shape=shape, axis=axis)
