"""Reductions, the index of an extreme, and the cumulative sum.

`axes` absent reduces all axes, `[]` none: the function is then applied to each element. Integer sums and products wrap.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gpu_process.backends._interface import Array
from gpu_process.backends.reference._kernels import kernel
from ipc import operators as ops
from ipc.descriptors import DataType

_Axes = Sequence[int] | None


@kernel(ops.reduce_l1)
def reduce_l1(x: Array, *, axes: _Axes, keep_dimensions: bool) -> Array:
    """sum(|x|)"""
    return _sum(np.abs(x), axes, keep_dimensions)


@kernel(ops.reduce_l2)
def reduce_l2(x: Array, *, axes: _Axes, keep_dimensions: bool) -> Array:
    """sqrt(sum(x * x))"""
    return np.sqrt(_sum(x * x, axes, keep_dimensions))


@kernel(ops.reduce_log_sum)
def reduce_log_sum(x: Array, *, axes: _Axes, keep_dimensions: bool) -> Array:
    """ln(sum(x))"""
    return np.log(_sum(x, axes, keep_dimensions))


@kernel(ops.reduce_log_sum_exp)
def reduce_log_sum_exp(x: Array, *, axes: _Axes, keep_dimensions: bool) -> Array:
    """ln(sum(exp(x))) = m + ln(sum(exp(x - m))), which does not overflow with m the maximum."""
    maximum = np.max(x, axis=_axes(axes), keepdims=True)
    shift = np.where(np.isfinite(maximum), maximum, 0)
    total = np.log(np.sum(np.exp(x - shift), axis=_axes(axes), keepdims=True)) + shift
    return total if keep_dimensions else np.squeeze(total, _axes(axes))


@kernel(ops.reduce_max)
def reduce_max(x: Array, *, axes: _Axes, keep_dimensions: bool) -> Array:
    """The greatest element; NaN if there is one."""
    return np.asarray(np.max(x, axis=_axes(axes), keepdims=keep_dimensions))


@kernel(ops.reduce_mean)
def reduce_mean(x: Array, *, axes: _Axes, keep_dimensions: bool) -> Array:
    """sum(x) / count(x)"""
    total = _sum(x, axes, keep_dimensions)
    return total / (x.size // total.size)


@kernel(ops.reduce_min)
def reduce_min(x: Array, *, axes: _Axes, keep_dimensions: bool) -> Array:
    """The least element; NaN if there is one."""
    return np.asarray(np.min(x, axis=_axes(axes), keepdims=keep_dimensions))


@kernel(ops.reduce_product)
def reduce_product(x: Array, *, axes: _Axes, keep_dimensions: bool) -> Array:
    """product(x)"""
    return np.asarray(np.prod(x, axis=_axes(axes), dtype=x.dtype, keepdims=keep_dimensions))


@kernel(ops.reduce_sum)
def reduce_sum(x: Array, *, axes: _Axes, keep_dimensions: bool) -> Array:
    """sum(x)"""
    return _sum(x, axes, keep_dimensions)


@kernel(ops.reduce_sum_square)
def reduce_sum_square(x: Array, *, axes: _Axes, keep_dimensions: bool) -> Array:
    """sum(x * x)"""
    return _sum(x * x, axes, keep_dimensions)


@kernel(ops.arg_max)
def arg_max(x: Array, *, axis: int, keep_dimensions: bool, output_data_type: DataType) -> Array:
    """The index of the greatest element along axis: the first of equals, or of the first NaN."""
    return np.argmax(x, axis, keepdims=keep_dimensions).astype(output_data_type.storage)


@kernel(ops.arg_min)
def arg_min(x: Array, *, axis: int, keep_dimensions: bool, output_data_type: DataType) -> Array:
    """The index of the least element along axis: the first of equals, or of the first NaN."""
    return np.argmin(x, axis, keepdims=keep_dimensions).astype(output_data_type.storage)


@kernel(ops.cumulative_sum)
def cumulative_sum(x: Array, *, axis: int, exclusive: bool, reversed: bool) -> Array:
    """out[i] = x[0] + ... + x[i] along axis; exclusive: without x[i]; reversed: from the end."""
    run = np.flip(x, axis) if reversed else x
    sums = np.cumsum(run, axis, dtype=x.dtype)
    if exclusive:  # shifted, not diminished by x: a sum of infinities could not be undone
        sums = np.concatenate([np.zeros_like(np.take(x, [0], axis)), np.delete(sums, -1, axis)], axis)
    return np.flip(sums, axis) if reversed else sums


def _axes(axes: _Axes) -> tuple[int, ...] | None:
    return None if axes is None else tuple(axes)


def _sum(x: Array, axes: _Axes, keep_dimensions: bool) -> Array:
    return np.asarray(np.sum(x, axis=_axes(axes), dtype=x.dtype, keepdims=keep_dimensions))
