"""Pooling. Padding takes no part: it neither wins, nor counts, nor adds.

A window that sees no cell at all gives the identity of its function: the lowest value, 0 / 0 = NaN, the root of 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gpu_process.backends._interface import Array
from gpu_process.backends.reference._kernels import kernel
from gpu_process.backends.reference._windows import NCHW_TO_NHWC, NHWC_TO_NCHW, taps2d
from ipc import operators as ops
from ipc.descriptors import Descriptor

_Window = tuple[tuple[slice, slice], tuple[slice, slice]]
_Pool = Callable[[Array, Sequence[int], list[_Window]], Array]


def _pool(function: _Pool) -> Callable[..., Array]:
    """A kernel around the function that makes the pooled planes: the layouts, and what each tap of the window meets."""

    def pooled(
        x: Array,
        *,
        window_dimensions: Sequence[int] | None,
        padding: Sequence[int],
        strides: Sequence[int],
        dilations: Sequence[int],
        layout: str,
        output: Descriptor,
        **_shape_only: Any,  # output_shape_rounding and output_sizes only decide the output's shape
    ) -> Array:
        planes = x if layout == "nchw" else x.transpose(NHWC_TO_NCHW)
        size = planes.shape[2:]
        out_size = output.shape[2:] if layout == "nchw" else output.shape[1:3]
        pairs = taps2d(window_dimensions or size, out_size, size, strides=strides, dilations=dilations, padding=padding)
        windows = [((row.positions, column.positions), (row.cells, column.cells)) for row, column in pairs]
        result = function(planes, (*planes.shape[:2], *out_size), windows)
        return result if layout == "nchw" else result.transpose(NCHW_TO_NHWC)

    pooled.__doc__ = function.__doc__
    return pooled


@kernel(ops.average_pool2d)
@_pool
def average_pool2d(planes: Array, out_shape: Sequence[int], windows: list[_Window]) -> Array:
    """sum(window) / count(window), over the cells inside the input"""
    total, count = np.zeros(out_shape), np.zeros(out_shape[2:])
    for at, cells in windows:
        total[:, :, *at] += planes[:, :, *cells]
        count[at] += 1
    return total / count


@kernel(ops.l2_pool2d)
@_pool
def l2_pool2d(planes: Array, out_shape: Sequence[int], windows: list[_Window]) -> Array:
    """sqrt(sum(window ** 2))"""
    total = np.zeros(out_shape)
    for at, cells in windows:
        total[:, :, *at] += planes[:, :, *cells] ** 2
    return np.sqrt(total)


@kernel(ops.max_pool2d)
@_pool
def max_pool2d(planes: Array, out_shape: Sequence[int], windows: list[_Window]) -> Array:
    """max(window); NaN if there is one"""
    lowest = -np.inf if planes.dtype.kind == "f" else np.iinfo(planes.dtype).min
    result = np.full(out_shape, lowest, planes.dtype)
    for at, cells in windows:
        result[:, :, *at] = np.maximum(result[:, :, *at], planes[:, :, *cells])
    return result
