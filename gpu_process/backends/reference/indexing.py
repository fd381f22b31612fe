"""Gather and scatter.

An index counts from the end if negative; what is then still out of range is clamped into it, for reading and writing.
"""

from __future__ import annotations

import numpy as np

from gpu_process.backends._interface import Array
from gpu_process.backends.reference._kernels import kernel
from ipc import operators as ops


@kernel(ops.gather)
def gather(x: Array, indices: Array, *, axis: int) -> Array:
    """out[i..., j..., k...] = x[i..., indices[j...], k...], with the index at axis."""
    return np.take(x, _in_range(indices, x.shape[axis]), axis)


@kernel(ops.gather_elements)
def gather_elements(x: Array, indices: Array, *, axis: int) -> Array:
    """out[c] = x[c with c[axis] replaced by indices[c]]"""
    return np.take_along_axis(x, _in_range(indices, x.shape[axis]), axis)


@kernel(ops.gather_nd)
def gather_nd(x: Array, indices: Array) -> Array:
    """out[i..., k...] = x[*indices[i...], k...]: the last axis of indices holds the leading coordinates."""
    return x[_coordinates(indices, x.shape)]


@kernel(ops.scatter_elements)
def scatter_elements(x: Array, indices: Array, updates: Array, *, axis: int) -> Array:
    """x, then out[c with c[axis] replaced by indices[c]] = updates[c]; of equal targets the last one holds."""
    result = x.copy()
    np.put_along_axis(result, _in_range(indices, x.shape[axis]), updates, axis)
    return result


@kernel(ops.scatter_nd)
def scatter_nd(x: Array, indices: Array, updates: Array) -> Array:
    """x, then out[*indices[i...], k...] = updates[i..., k...]; of equal targets the last one holds."""
    result = x.copy()
    result[_coordinates(indices, x.shape)] = updates
    return result


def _coordinates(indices: Array, shape: tuple[int, ...]) -> tuple[Array, ...]:
    return tuple(_in_range(indices[..., axis], shape[axis]) for axis in range(indices.shape[-1]))


def _in_range(indices: Array, size: int) -> Array:
    wide = indices.astype(np.int64)  # uint32 holds indices that int32 does not
    return np.clip(np.where(wide < 0, wide + size, wide), 0, size - 1)
