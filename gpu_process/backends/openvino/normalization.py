"""Normalisations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from openvino import opset15 as opset

from gpu_process.backends.openvino._lowering import Node, Value, lowers
from gpu_process.backends.openvino._values import follows_product, int_constant, reshape, transpose
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
    rank = node.output.rank
    along_axis = [node.output.shape[axis] if dimension == axis else 1 for dimension in range(rank)]
    factor = opset.divide(node.scalar(1), opset.sqrt(opset.add(variance, node.scalar(epsilon))))
    if scale is not None:
        factor = opset.multiply(factor, scale)
    if follows_product(input):  # one scale and one shift can go into the weights
        offset = opset.negative(opset.multiply(mean, factor))
        shift = offset if bias is None else opset.add(bias, offset)
        return opset.add(opset.multiply(input, reshape(factor, along_axis)), reshape(shift, along_axis))
    centred = opset.subtract(input, reshape(mean, along_axis))
    normalised = opset.multiply(centred, reshape(factor, along_axis))
    return normalised if bias is None else opset.add(normalised, reshape(bias, along_axis))


@lowers(ops.instance_normalization)
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


def _has_axes(node: Node) -> bool:
    return bool(_axes(node))


@lowers(ops.layer_normalization, when=_has_axes)
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
