"""Convolutions, brought into the one layout that OpenVINO has: NCHW with OIHW filters (IOHW transposed)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from openvino import opset15 as opset

from gpu_process.backends.openvino._lowering import Node, Value, lowers
from gpu_process.backends.openvino._values import reshape, transpose
from ipc import operators as ops

NHWC_TO_NCHW = (0, 3, 1, 2)
NCHW_TO_NHWC = (0, 2, 3, 1)


@lowers(ops.conv2d)
def conv2d(
    node: Node,
    input: Value,
    filter: Value,
    bias: Value | None,
    *,
    padding: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    groups: int,
    input_layout: str,
    filter_layout: str,
) -> Value:
    planes = _planes(input, input_layout)
    shape = _permuted(node.inputs["filter"].shape, filter_layout, "oihw")
    weights = transpose(filter, _permutation(filter_layout, "oihw"))
    geometry = (list(strides), *_begin_and_end(padding), list(dilations))
    if groups == 1:
        product = opset.convolution(planes, weights, *geometry)
    else:
        grouped = reshape(weights, (groups, shape[0] // groups, *shape[1:]))
        product = opset.group_convolution(planes, grouped, *geometry)
    return _finished(product, bias, shape[0], input_layout)


@lowers(ops.conv_transpose2d)
def conv_transpose2d(
    node: Node,
    input: Value,
    filter: Value,
    bias: Value | None,
    *,
    padding: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    output_padding: Sequence[int],
    output_sizes: Sequence[int] | None,
    groups: int,
    input_layout: str,
    filter_layout: str,
) -> Value:
    planes = _planes(input, input_layout)
    shape = _permuted(node.inputs["filter"].shape, filter_layout, "iohw")
    weights = transpose(filter, _permutation(filter_layout, "iohw"))
    extra = list(output_padding)
    if output_sizes is not None:
        sizes = _permuted(node.inputs["input"].shape, input_layout, "nchw")[2:]
        extra = _sizes_beyond_the_least(output_sizes, sizes, shape[2:], padding, strides, dilations)
    geometry: dict[str, Any] = {"dilations": list(dilations), "auto_pad": "explicit", "output_padding": extra}
    begin, end = _begin_and_end(padding)
    if groups == 1:
        product = opset.convolution_backprop_data(
            planes, weights, list(strides), pads_begin=begin, pads_end=end, **geometry
        )
    else:
        grouped = reshape(weights, (groups, shape[0] // groups, *shape[1:]))
        product = opset.group_convolution_backprop_data(
            planes, grouped, list(strides), pads_begin=begin, pads_end=end, **geometry
        )
    return _finished(product, bias, shape[1] * groups, input_layout)


def _planes(input: Value, layout: str) -> Value:
    return input if layout == "nchw" else transpose(input, NHWC_TO_NCHW)


def _finished(product: Value, bias: Value | None, channels: int, layout: str) -> Value:
    biased = product if bias is None else opset.add(product, reshape(bias, (1, channels, 1, 1)))
    return biased if layout == "nchw" else transpose(biased, NCHW_TO_NHWC)


def _permutation(layout: str, wanted: str) -> list[int]:
    return [layout.index(axis) for axis in wanted]


def _permuted(shape: Sequence[int], layout: str, wanted: str) -> tuple[int, ...]:
    return tuple(shape[layout.index(axis)] for axis in wanted)


def _begin_and_end(padding: Sequence[int]) -> tuple[list[int], list[int]]:
    """The specification's begin and end of height, then of width, as OpenVINO's begins, then ends."""
    return [padding[0], padding[2]], [padding[1], padding[3]]


def _sizes_beyond_the_least(
    output_sizes: Sequence[int],
    sizes: Sequence[int],
    window: Sequence[int],
    padding: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
) -> list[int]:
    return [
        wanted - ((size - 1) * stride + (extent - 1) * dilation + 1 - padding[2 * axis] - padding[2 * axis + 1])
        for axis, (wanted, size, extent, stride, dilation) in enumerate(
            zip(output_sizes, sizes, window, strides, dilations, strict=True)
        )
    ]
