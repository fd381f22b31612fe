"""Normalisations."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from openvino import opset15 as opset

from gpu_process.backends.openvino._lowering import Node, Value, lowers
from gpu_process.backends.openvino._values import (
    convert,
    divide,
    float32,
    follows_product,
    in_float32,
    int_constant,
    reshape,
    transpose,
    widened,
)
from ipc import operators as ops


@lowers(ops.batch_normalization)
def batch_normalization(
    node: Node,
    input: Value,
    mean: Value,
    variance: Value,
    scale: Value | None,
    bias: Value | None,
    *,
    axis: int,
    epsilon: float,
) -> Value:
    """In float32: with statistics of float16 that are constants, OpenVINO folds every step in float16."""
    size = node.output.shape[axis]
    along_axis = (size, *[1] * (node.output.rank - axis - 1))
    mean, variance, scale, bias = (
        None if value is None else reshape(widened(value), along_axis) for value in (mean, variance, scale, bias)
    )
    deviation = opset.sqrt(opset.add(variance, float32(epsilon)))
    if follows_product(input):  # one factor and one shift, of the input's type, can go into the weights
        factor = divide(float32(1) if scale is None else scale, deviation)
        offset = opset.negative(opset.multiply(mean, factor))
        shift = offset if bias is None else opset.add(bias, offset)
        scaled = opset.multiply(input, convert(factor, node.output.data_type))
        return opset.add(scaled, convert(shift, node.output.data_type))

    def normalised(x: Value) -> Value:
        result = divide(opset.subtract(x, mean), deviation)
        if scale is not None:
            result = opset.multiply(result, scale)
        return result if bias is None else opset.add(result, bias)

    return in_float32(node, input, normalised)


def _has_finite_epsilon(node: Node) -> bool:
    """OpenVINO refuses an infinite one, which any above 65504 is for float16."""
    return math.isfinite(node.operation.attributes["epsilon"])


@lowers(ops.instance_normalization, when=_has_finite_epsilon)
def instance_normalization(
    node: Node, input: Value, scale: Value | None, bias: Value | None, *, epsilon: float, layout: str
) -> Value:
    axes, channel = ((2, 3), 1) if layout == "nchw" else ((1, 2), 3)
    along_channel = [size if axis == channel else 1 for axis, size in enumerate(node.output.shape)]
    normalised = opset.mvn(input, int_constant(axes), True, epsilon, "inside_sqrt")
    if scale is not None:
        normalised = opset.multiply(normalised, reshape(scale, along_channel))
    return normalised if bias is None else opset.add(normalised, reshape(bias, along_channel))


def _axes(node: Node) -> tuple[int, ...]:
    axes: Sequence[int] | None = node.operation.attributes["axes"]
    return tuple(range(1, node.output.rank)) if axes is None else tuple(axes)


def _is_normalisation(node: Node) -> bool:
    return bool(_axes(node)) and _has_finite_epsilon(node)


@lowers(ops.layer_normalization, when=_is_normalisation)
def layer_normalization(
    node: Node,
    input: Value,
    scale: Value | None,
    bias: Value | None,
    *,
    axes: Sequence[int] | None,  # noqa: ARG001 - their default depends on the input's rank, see _axes
    epsilon: float,
) -> Value:
    normalised_axes = _axes(node)
    shape = node.output.shape
    along_axes = [size if axis in normalised_axes else 1 for axis, size in enumerate(shape)]
    in_order = [int(place) for place in np.argsort(normalised_axes)]

    def placed(value: Value) -> Value:
        """A value with one dimension per listed axis, in the order of the list, made to broadcast with the input."""
        return reshape(transpose(value, in_order), along_axes)

    normalised = opset.mvn(input, int_constant(sorted(normalised_axes)), True, epsilon, "inside_sqrt")
    if scale is not None:
        normalised = opset.multiply(normalised, placed(scale))
    return normalised if bias is None else opset.add(normalised, placed(bias))
