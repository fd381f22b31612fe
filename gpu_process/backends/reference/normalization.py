"""Normalizations: scale * (x - mean) / sqrt(variance + epsilon) + bias, with scale 1 and bias 0 where absent.

The variance is the population's: divided by the count.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gpu_process.backends._interface import Array
from gpu_process.backends.reference._kernels import kernel
from ipc import operators as ops


@kernel(ops.batch_normalization)
def batch_normalization(
    x: Array,
    mean: Array,
    variance: Array,
    scale: Array | None,
    bias: Array | None,
    *,
    axis: int,
    epsilon: float,
) -> Array:
    """With the given statistics, one of each per index of axis."""

    def along(statistic: Array | None) -> Array | None:
        return None if statistic is None else _placed(statistic, [axis], x.ndim)

    return _normalized(
        x, _placed(mean, [axis], x.ndim), _placed(variance, [axis], x.ndim), along(scale), along(bias), epsilon
    )


@kernel(ops.instance_normalization)
def instance_normalization(x: Array, scale: Array | None, bias: Array | None, *, epsilon: float, layout: str) -> Array:
    """With the statistics of each channel of each sample, over the two spatial axes."""
    channels, spatial = ([1], (2, 3)) if layout == "nchw" else ([3], (1, 2))
    return _normalized_over(x, spatial, scale, bias, channels, epsilon)


@kernel(ops.layer_normalization)
def layer_normalization(
    x: Array, scale: Array | None, bias: Array | None, *, axes: Sequence[int] | None, epsilon: float
) -> Array:
    """With the statistics over all the axes together: all but the first if absent.

    Scale and bias have one dimension per axis, in the order of the list. Over no axes, each element is its own mean.
    """
    over = tuple(range(1, x.ndim)) if axes is None else tuple(axes)
    return _normalized_over(x, over, scale, bias, over, epsilon)


def _normalized_over(
    x: Array,
    over: tuple[int, ...],
    scale: Array | None,
    bias: Array | None,
    axes: Sequence[int],
    epsilon: float,
) -> Array:
    mean = np.mean(x, axis=over, keepdims=True)
    variance = np.mean((x - mean) ** 2, axis=over, keepdims=True)
    scale, bias = (None if each is None else _placed(each, axes, x.ndim) for each in (scale, bias))
    return _normalized(x, mean, variance, scale, bias, epsilon)


def _normalized(
    x: Array, mean: Array, variance: Array, scale: Array | None, bias: Array | None, epsilon: float
) -> Array:
    result = (x - mean) / np.sqrt(variance + epsilon)
    if scale is not None:
        result = scale * result
    return result if bias is None else result + bias


def _placed(parameter: Array, axes: Sequence[int], rank: int) -> Array:
    """`parameter`, whose dimensions belong to `axes` in that order, shaped to broadcast over `rank` axes."""
    in_order = parameter.transpose(np.argsort(axes)) if len(axes) > 1 else parameter
    sizes = dict(zip(sorted(axes), in_order.shape, strict=True))
    return in_order.reshape([sizes.get(axis, 1) for axis in range(rank)])
