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
    """The kernel wants channels on axis 1: where they are not, the axes around them are taken together."""
    size = x.shape[axis]
    images = x
    if axis != 1:
        images = node.reshape(x, (math.prod(x.shape[:axis]), size, math.prod(x.shape[axis + 1 :])))
    scale, bias = _given(node, scale, 1, (size,), x), _given(node, bias, 0, (size,), x)
    return node.reshape(node("BatchNormalization", images, scale, bias, mean, variance, epsilon=epsilon), x.shape)


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
        centred = node.binary("Sub", x, x)
        return centred if bias is None else node.binary("Add", centred, bias)
    first = x.rank - len(axes)
    if sorted(axes) == list(range(first, x.rank)):
        order = sorted(range(len(axes)), key=axes.__getitem__)
        scale, bias = (value and node.transpose(value, order) for value in (scale, bias))
        return _over_trailing(node, x, scale, bias, first, epsilon)
    permutation = [axis for axis in range(x.rank) if axis not in axes] + axes
    normalized = _over_trailing(node, node.transpose(x, permutation), scale, bias, first, epsilon)
    return node.transpose(normalized, [permutation.index(axis) for axis in range(x.rank)])


def _over_trailing(
    node: Lowering, x: Value, scale: Value | None, bias: Value | None, axis: int, epsilon: float
) -> Value:
    scale = _given(node, scale, 1, x.shape[axis:], x)
    return node("LayerNormalization", x, scale, bias, axis=axis, epsilon=epsilon)


def _given(node: Lowering, value: Value | None, default: int, shape: tuple[int, ...], like: Value) -> Value:
    return node.constant(np.full(shape, default, like.data_type.dtype)) if value is None else value
