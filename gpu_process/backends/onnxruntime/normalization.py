"""Normalization by given or computed statistics, by the fused kernels wherever they mean the same."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from gpu_process.backends.onnxruntime._layout import from_nchw, to_nchw
from gpu_process.backends.onnxruntime._lowering import Lowered, Lowering, in_float32, lowers
from gpu_process.backends.onnxruntime._values import Value
from ipc import operators as ops


@lowers(ops.batch_normalization)
@in_float32
def batch_normalization(
    node: Lowering,
    x: Value,
    mean: Value,
    variance: Value,
    scale: Value | None,
    bias: Value | None,
    *,
    axis: int,
    epsilon: float,
) -> Lowered:
    """After a convolution by the kernel, which the optimiser merges into the convolution's weights.

    Elsewhere by the definition: the kernel computes x * a + b with a and b beforehand, and loses digits where mean and
    x are close.
    """
    size = x.shape[axis]
    convolution = _convolution_with_channels_at(node, x, axis)
    if convolution is not None:
        images, layout = convolution
        statistics = (_given(node, scale, 1, (size,), x), _given(node, bias, 0, (size,), x), mean, variance)
        return node.transpose(node("BatchNormalization", images, *statistics, epsilon=epsilon), layout)

    def aligned(statistic: Value) -> Value:
        return node.reshape(statistic, (size, *[1] * (x.rank - axis - 1)))

    deviation = node("Sqrt", node.binary("Add", variance, node.scalar(epsilon, variance)))
    result = node.binary("Div", node.binary("Sub", x, aligned(mean)), aligned(deviation))
    if scale is not None:
        result = node.binary("Mul", result, aligned(scale))
    return result if bias is None else node.binary("Add", result, aligned(bias))


def _convolution_with_channels_at(node: Lowering, x: Value, axis: int) -> tuple[Value, Sequence[int]] | None:
    """If x is the result of a convolution with its channels on `axis`: it as it was made, and the permutation to x."""
    maker, permutation = node.maker(x), range(x.rank)
    if maker is not None and maker.op_type == "Transpose":
        permutation = maker.attributes["perm"]
        x = Value(maker.inputs[0], x.data_type, tuple(x.shape[permutation.index(k)] for k in range(x.rank)))
        maker = node.maker(x)
    is_convolution = maker is not None and maker.op_type == "Conv" and permutation[axis] == 1
    return (x, permutation) if is_convolution else None


@lowers(ops.instance_normalization)
@in_float32
def instance_normalization(
    node: Lowering, x: Value, scale: Value | None, bias: Value | None, *, epsilon: float, layout: str
) -> Lowered:
    images = to_nchw(node, x, layout)
    channels = (images.shape[1],)
    scale, bias = _given(node, scale, 1, channels, x), _given(node, bias, 0, channels, x)
    return from_nchw(node, node("InstanceNormalization", images, scale, bias, epsilon=epsilon), layout)


@lowers(ops.layer_normalization)
@in_float32
def layer_normalization(
    node: Lowering,
    x: Value,
    scale: Value | None,
    bias: Value | None,
    *,
    axes: Sequence[int] | None,
    epsilon: float,
) -> Lowered:
    """The kernel normalizes trailing axes: scale and bias are brought into their order, or x into theirs."""
    axes = list(range(1, x.rank)) if axes is None else list(axes)
    if not axes:
        return _each_alone(node, x, scale, bias, epsilon)
    first = x.rank - len(axes)
    if sorted(axes) == list(range(first, x.rank)):
        order = sorted(range(len(axes)), key=axes.__getitem__)
        scale, bias = (value and node.transpose(value, order) for value in (scale, bias))
        return _over_trailing(node, x, scale, bias, first, epsilon)
    permutation = [axis for axis in range(x.rank) if axis not in axes] + axes
    normalized = _over_trailing(node, node.transpose(x, permutation), scale, bias, first, epsilon)
    return node.transpose(normalized, [permutation.index(axis) for axis in range(x.rank)])


def _each_alone(node: Lowering, x: Value, scale: Value | None, bias: Value | None, epsilon: float) -> Value:
    """Over no axes, each element is its own mean: 0 / sqrt(epsilon), which is NaN where epsilon is not positive."""
    result = node.binary("Div", node.binary("Sub", x, x), node.scalar(math.sqrt(max(epsilon, 0)), x))
    if scale is not None:
        result = node.binary("Mul", result, scale)
    return result if bias is None else node.binary("Add", result, bias)


def _over_trailing(
    node: Lowering, x: Value, scale: Value | None, bias: Value | None, axis: int, epsilon: float
) -> Value:
    scale = _given(node, scale, 1, x.shape[axis:], x)
    return node("LayerNormalization", x, scale, bias, axis=axis, epsilon=epsilon)


def _given(node: Lowering, value: Value | None, default: int, shape: tuple[int, ...], like: Value) -> Value:
    return node.constant(np.full(shape, default, like.data_type.dtype)) if value is None else value
