"""Resampling as gathers with constant indices, so that no coordinate depends on float32's rounding."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from openvino import opset15 as opset

from gpu_process.backends._interface import Array
from gpu_process.backends.openvino._lowering import MOVABLE, Node, Value, constant, int_constant, lowers
from ipc import operators as ops
from ipc.descriptors import FLOATS


def _is_movement_or_float(node: Node) -> bool:
    return node.output.data_type in FLOATS or node.operation.attributes["mode"] == "nearest-neighbor"


@lowers(ops.resample2d, input=MOVABLE, output=MOVABLE, when=_is_movement_or_float)
def resample2d(node: Node, input: Value, *, mode: str, axes: Sequence[int], **_sizes: object) -> Value:
    value = input
    for axis in axes:
        size, wanted = node.inputs["input"].shape[axis], node.output.shape[axis]
        if size == wanted:
            continue
        position = _positions(size, wanted)
        if mode == "nearest-neighbor":
            value = _taken(value, np.ceil(position - 0.5), axis)
        else:
            low = _taken(value, np.floor(position), axis)
            high = _taken(value, np.ceil(position), axis)
            weight = _along(node, position - np.floor(position), axis)
            rest = _along(node, 1 - (position - np.floor(position)), axis)
            value = opset.add(opset.multiply(low, rest), opset.multiply(high, weight))
    return value


def _positions(size: int, wanted: int) -> Array:
    """Where the half-pixel centres of the output lie in the input."""
    return np.clip((np.arange(wanted) + 0.5) * size / wanted - 0.5, 0, size - 1)


def _taken(value: Value, indices: Array, axis: int) -> Value:
    return opset.gather(value, constant(indices.astype(np.int32)), int_constant(axis))


def _along(node: Node, weights: Array, axis: int) -> Value:
    shape = [len(weights) if dimension == axis else 1 for dimension in range(node.output.rank)]
    return constant(weights.astype(node.output.data_type.storage).reshape(shape))
