"""Convolutions. The kernels know one layout; the optimiser merges the transposes of neighbours."""

from __future__ import annotations

from collections.abc import Sequence

from gpu_process.backends.onnxruntime._layout import from_nchw, nchw_shape, onnx_pads, to_nchw
from gpu_process.backends.onnxruntime._lowering import Lowered, Lowering, in_float32, lowers
from gpu_process.backends.onnxruntime._values import Value
from ipc import operators as ops


@lowers(ops.conv2d)
@in_float32
def conv2d(
    node: Lowering,
    x: Value,
    filter: Value,
    bias: Value | None,
    *,
    padding: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    groups: int,
    input_layout: str,
    filter_layout: str,
) -> Lowered:
    filter = node.transpose(filter, [filter_layout.index(axis) for axis in "oihw"])
    result = node(
        "Conv",
        to_nchw(node, x, input_layout),
        filter,
        bias,
        shape=nchw_shape(node.outputs[0].shape, input_layout),
        kernel_shape=filter.shape[2:],
        pads=onnx_pads(padding),
        strides=strides,
        dilations=dilations,
        group=groups,
    )
    return from_nchw(node, result, input_layout)


@lowers(ops.conv_transpose2d)
@in_float32
def conv_transpose2d(
    node: Lowering,
    x: Value,
    filter: Value,
    bias: Value | None,
    *,
    padding: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    output_padding: Sequence[int],  # noqa: ARG001 - these two are in the output's shape
    output_sizes: Sequence[int] | None,  # noqa: ARG001
    groups: int,
    input_layout: str,
    filter_layout: str,
) -> Lowered:
    filter = node.transpose(filter, [filter_layout.index(axis) for axis in "iohw"])
    images = to_nchw(node, x, input_layout)
    shape = nchw_shape(node.outputs[0].shape, input_layout)
    extra = [
        shape[2 + d]
        - (
            (images.shape[2 + d] - 1) * strides[d]
            + (filter.shape[2 + d] - 1) * dilations[d]
            + 1
            - padding[2 * d]
            - padding[2 * d + 1]
        )
        for d in range(2)
    ]
    result = node(
        "ConvTranspose",
        images,
        filter,
        bias,
        shape=shape,
        kernel_shape=filter.shape[2:],
        pads=onnx_pads(padding),
        strides=strides,
        dilations=dilations,
        output_padding=extra,
        group=groups,
    )
    return from_nchw(node, result, input_layout)
