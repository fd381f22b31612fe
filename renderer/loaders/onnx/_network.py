"""Layers of networks: products, convolution, pooling, normalization, softmax.

ONNX gives padding as all beginnings, then all endings; WebNN per dimension.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from renderer.loaders.onnx._node import Node, translates
from renderer.operand import MLOperand


@translates("Gemm")
def gemm(
    node: Node,
    a: MLOperand,
    b: MLOperand,
    c: MLOperand | None = None,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,  # noqa: N803 - ONNX's names
    transB: int = 0,  # noqa: N803
) -> MLOperand:
    return node("gemm", a, b, c=c, alpha=alpha, beta=beta, a_transpose=bool(transA), b_transpose=bool(transB))


@translates("Conv")
def conv(
    node: Node, x: MLOperand, weight: MLOperand, bias: MLOperand | None = None, *, group: int = 1, **window: Any
) -> MLOperand:
    return node("conv2d", x, weight, bias=bias, groups=group, **_window(node, x, weight.shape[2:], **window))


@translates("ConvTranspose")
def conv_transpose(
    node: Node,
    x: MLOperand,
    weight: MLOperand,
    bias: MLOperand | None = None,
    *,
    group: int = 1,
    output_padding: Sequence[int] = (0, 0),
    **window: Any,
) -> MLOperand:
    node.require(
        window.get("auto_pad", "NOTSET") in ("NOTSET", "VALID"), "automatic padding of a transposed convolution"
    )
    geometry = _window(node, x, weight.shape[2:], **window)
    return node("conv_transpose2d", x, weight, bias=bias, groups=group, output_padding=output_padding, **geometry)


@translates("MaxPool")
def max_pool(
    node: Node, x: MLOperand, *, kernel_shape: Sequence[int], ceil_mode: int = 0, storage_order: int = 0, **window: Any
) -> MLOperand:
    del storage_order  # of the second output, which has no counterpart
    return _pool(node, "max_pool2d", x, kernel_shape, ceil_mode, window)


@translates("AveragePool")
def average_pool(
    node: Node,
    x: MLOperand,
    *,
    kernel_shape: Sequence[int],
    ceil_mode: int = 0,
    count_include_pad: int = 0,
    **window: Any,
) -> MLOperand:
    node.require(not count_include_pad or not any(window.get("pads", ())), "an average that counts padding")
    return _pool(node, "average_pool2d", x, kernel_shape, ceil_mode, window)


@translates("GlobalAveragePool")
def global_average_pool(node: Node, x: MLOperand) -> MLOperand:
    return node("average_pool2d", x)


@translates("GlobalMaxPool")
def global_max_pool(node: Node, x: MLOperand) -> MLOperand:
    return node("max_pool2d", x)


@translates("BatchNormalization")
def batch_normalization(
    node: Node,
    x: MLOperand,
    scale: MLOperand,
    bias: MLOperand,
    mean: MLOperand,
    variance: MLOperand,
    *,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    training_mode: int = 0,
) -> MLOperand:
    del momentum
    node.require(not training_mode, "training")
    return node("batch_normalization", x, mean, variance, scale=scale, bias=bias, epsilon=epsilon)


@translates("InstanceNormalization")
def instance_normalization(
    node: Node, x: MLOperand, scale: MLOperand, bias: MLOperand, *, epsilon: float = 1e-5
) -> MLOperand:
    return node("instance_normalization", x, scale=scale, bias=bias, epsilon=epsilon)


@translates("LayerNormalization")
def layer_normalization(
    node: Node,
    x: MLOperand,
    scale: MLOperand,
    bias: MLOperand | None = None,
    *,
    axis: int = -1,
    epsilon: float = 1e-5,
    stash_type: int = 1,
) -> MLOperand:
    del stash_type  # the precision in between is the backend's
    rank = len(x.shape)
    return node("layer_normalization", x, scale=scale, bias=bias, axes=list(range(axis % rank, rank)), epsilon=epsilon)


@translates("LRN")
def local_response_normalization(
    node: Node, x: MLOperand, *, size: int, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0
) -> MLOperand:
    """Each value over a power of its neighbours' mean square, the neighbours being channels: a pool along them."""
    node.require(len(x.shape) == 4, f"an input of rank {len(x.shape)} instead of 4")
    batch, channels, height, width = x.shape
    before, after = (size - 1) // 2, size // 2
    squares = node("reshape", node("mul", x, x), [batch, 1, channels, height * width])
    padded = node("pad", squares, [0, 0, before, 0], [0, 0, after, 0])  # so that the edges have `size` neighbours too
    means = node("reshape", node("average_pool2d", padded, window_dimensions=[size, 1]), x.shape)
    scale = node("linear", means, alpha=alpha, beta=bias)
    return node("div", x, node("pow", scale, node.constant(beta, x)))


@translates("Softmax")
def softmax(node: Node, x: MLOperand, *, axis: int = -1) -> MLOperand:
    return node("softmax", x, axis % len(x.shape))


def _pool(
    node: Node, method: str, x: MLOperand, kernel_shape: Sequence[int], ceil_mode: int, window: dict[str, Any]
) -> MLOperand:
    rounding = "ceil" if ceil_mode else "floor"
    geometry = _window(node, x, kernel_shape, **window)
    return node(method, x, window_dimensions=kernel_shape, output_shape_rounding=rounding, **geometry)


def _window(
    node: Node,
    x: MLOperand,
    kernel: Sequence[int],
    *,
    auto_pad: str = "NOTSET",
    dilations: Sequence[int] = (1, 1),
    kernel_shape: Sequence[int] = (),
    pads: Sequence[int] = (0, 0, 0, 0),
    strides: Sequence[int] = (1, 1),
) -> dict[str, Sequence[int]]:
    """The options of WebNN that say where the windows lie: padding, strides, dilations."""
    del kernel_shape  # `kernel` again
    node.require(len(x.shape) == 4, f"an input of rank {len(x.shape)} instead of 4")
    if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        padding = [
            side
            for size, cells, stride, dilation in zip(x.shape[2:], kernel, strides, dilations, strict=True)
            for side in _same_padding(size, cells, stride, dilation, upper=auto_pad == "SAME_UPPER")
        ]
    else:
        top, left, bottom, right = pads
        padding = [top, bottom, left, right]
    return {"padding": padding, "strides": strides, "dilations": dilations}


def _same_padding(size: int, cells: int, stride: int, dilation: int, *, upper: bool) -> tuple[int, int]:
    """Beginning and end, so that there are ceil(size / stride) windows; an odd cell goes to the end if `upper`."""
    windows = -(-size // stride)
    total = max(0, (windows - 1) * stride + (cells - 1) * dilation + 1 - size)
    less, more = total // 2, total - total // 2
    return (less, more) if upper else (more, less)
