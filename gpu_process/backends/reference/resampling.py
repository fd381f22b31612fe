"""Resampling along two axes, with half-pixel centres and without anti-aliasing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gpu_process.backends._interface import Array
from gpu_process.backends.reference._kernels import kernel
from ipc import operators as ops
from ipc.descriptors import Descriptor


@kernel(ops.resample2d)
def resample2d(
    x: Array,
    *,
    mode: str,
    scales: Sequence[float],  # noqa: ARG001 - these two only decide the output's shape
    sizes: Sequence[int] | None,  # noqa: ARG001
    axes: Sequence[int],
    output: Descriptor,
) -> Array:
    """x at u = clamp((o + 0.5) / s - 0.5, 0, size - 1) for position o, s = output size / input size, on both axes.

    nearest-neighbor takes x[ceil(u - 0.5)]: halves go down. linear takes x[floor(u)] and x[ceil(u)] in proportion;
    of integers, the result is the nearest one, halves to even (the specification is silent).
    """
    along = _nearest if mode == "nearest-neighbor" else _linear
    result = x if mode == "nearest-neighbor" else x.astype(np.float64)
    for axis in axes:
        size = x.shape[axis]
        # One rounding: (o + 0.5) * size is exact, so that halves are met exactly.
        u = (np.arange(output.shape[axis]) + 0.5) * size / output.shape[axis] - 0.5
        result = along(result, np.clip(u, 0, size - 1), axis)
    return result if x.dtype.kind == "f" or mode == "nearest-neighbor" else np.rint(result).astype(x.dtype)


def _nearest(x: Array, u: Array, axis: int) -> Array:
    return np.take(x, np.ceil(u - 0.5).astype(np.int64), axis)


def _linear(x: Array, u: Array, axis: int) -> Array:
    below, above = np.floor(u).astype(np.int64), np.ceil(u).astype(np.int64)
    weight = (u - below).reshape([-1 if dimension == axis else 1 for dimension in range(x.ndim)])
    lower, upper = np.take(x, below, axis), np.take(x, above, axis)
    # On a sample exactly, its neighbour has no influence, infinite or not.
    return np.where(weight == 0, lower, lower * (1 - weight) + upper * weight)
