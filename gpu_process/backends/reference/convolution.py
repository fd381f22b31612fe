"""Convolutions, written for input [batch, channels, height, width]; other layouts are transposed to and from it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gpu_process.backends._interface import Array
from gpu_process.backends.reference._kernels import kernel
from gpu_process.backends.reference._windows import NCHW_TO_NHWC, NHWC_TO_NCHW, taps2d
from ipc import operators as ops
from ipc.descriptors import Descriptor


@kernel(ops.conv2d)
def conv2d(
    x: Array,
    filter: Array,
    bias: Array | None,
    *,
    padding: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    groups: int,
    input_layout: str,
    filter_layout: str,
    output: Descriptor,
) -> Array:
    """Along an axis: out[n, o, y] = bias[o] + sum over c, i of x[n, c, y * stride + i * dilation - begin] * w[o, c, i]

    Cells outside the input count 0. Groups split input and output channels evenly, and each sees its own.
    """
    cells = x if input_layout == "nchw" else x.transpose(NHWC_TO_NCHW)
    weights = _in_order(filter, filter_layout, "oihw")
    batch, channels, *size = cells.shape
    out_channels = weights.shape[0]
    out_size = output.shape[2:] if input_layout == "nchw" else output.shape[1:3]

    grouped = cells.reshape(batch, groups, channels // groups, *size)
    weights = weights.reshape(groups, out_channels // groups, *weights.shape[1:])
    result = np.zeros((batch, groups, out_channels // groups, *out_size))
    for row, column in taps2d(weights.shape[3:], out_size, size, strides=strides, dilations=dilations, padding=padding):
        result[..., row.positions, column.positions] += _mixed(
            weights[..., row.index, column.index], grouped[..., row.cells, column.cells]
        )
    return _finished(result, bias, input_layout)


@kernel(ops.conv_transpose2d)
def conv_transpose2d(
    x: Array,
    filter: Array,
    bias: Array | None,
    *,
    padding: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    output_padding: Sequence[int],  # noqa: ARG001 - these two only decide the output's shape
    output_sizes: Sequence[int] | None,  # noqa: ARG001
    groups: int,
    input_layout: str,
    filter_layout: str,
    output: Descriptor,
) -> Array:
    """Along an axis: out[n, o, y * stride + i * dilation - begin] = bias[o] + sum over c, i of x[n, c, y] * w[c, o, i]

    The transpose of `conv2d`'s map: the same taps, with cells and positions exchanged. What falls outside is dropped.
    """
    positions = x if input_layout == "nchw" else x.transpose(NHWC_TO_NCHW)
    weights = _in_order(filter, filter_layout, "iohw")
    batch, channels, *size = positions.shape
    out_size = output.shape[2:] if input_layout == "nchw" else output.shape[1:3]

    grouped = positions.reshape(batch, groups, channels // groups, *size)
    weights = weights.reshape(groups, channels // groups, *weights.shape[1:]).swapaxes(1, 2)
    result = np.zeros((batch, groups, weights.shape[1], *out_size))
    for row, column in taps2d(weights.shape[3:], size, out_size, strides=strides, dilations=dilations, padding=padding):
        result[..., row.cells, column.cells] += _mixed(
            weights[..., row.index, column.index], grouped[..., row.positions, column.positions]
        )
    return _finished(result, bias, input_layout)


def _in_order(filter: Array, layout: str, wanted: str) -> Array:
    return filter.transpose([layout.index(axis) for axis in wanted])


def _mixed(weights: Array, cells: Array) -> Array:
    """Output channels from input channels, in each group and at each place: [g, o, c] and [n, g, c, h, w]."""
    batch, groups, channels, height, width = cells.shape
    product = weights @ cells.reshape(batch, groups, channels, height * width)
    return product.reshape(batch, groups, -1, height, width)


def _finished(result: Array, bias: Array | None, layout: str) -> Array:
    batch, groups, channels, height, width = result.shape
    result = result.reshape(batch, groups * channels, height, width)
    if bias is not None:
        result = result + bias[:, np.newaxis, np.newaxis]
    return result if layout == "nchw" else result.transpose(NCHW_TO_NHWC)
