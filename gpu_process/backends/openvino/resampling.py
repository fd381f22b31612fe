"""Resampling as gathers with constant indices, so that no coordinate depends on float32's rounding."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from openvino import opset15 as opset

from gpu_process.backends._interface import Array
from gpu_process.backends.openvino._lowering import MOVABLE, Node, Value, lowers
from gpu_process.backends.openvino._values import constant, in_float32, int_constant
from ipc import operators as ops
from ipc.descriptors import FLOATS

_RANK = 4  # WebNN, resample2d


def _is_movement_or_float(node: Node) -> bool:
    return node.output.data_type in FLOATS or node.operation.attributes["mode"] == "nearest-neighbor"


@lowers(ops.resample2d, input=MOVABLE, output=MOVABLE, when=_is_movement_or_float)
def resample2d(node: Node, input: Value, *, mode: str, axes: Sequence[int], **_sizes: object) -> Value:
    along = _nearest if mode == "nearest-neighbor" else _linear

    def resampled(value: Value) -> Value:
        for axis in axes:
            size, wanted = node.inputs["input"].shape[axis], node.output.shape[axis]
            if size != wanted:
                value = along(value, _positions(size, wanted), axis)
        return value

    return in_float32(node, input, resampled) if mode == "linear" else resampled(input)


def _nearest(value: Value, positions: Array, axis: int) -> Value:
    return _taken(value, np.ceil(positions - 0.5), axis)


def _linear(value: Value, positions: Array, axis: int) -> Value:
    """Both neighbours, weighted; one of weight 0 is left out, since it may be infinite."""
    weights = positions - np.floor(positions)
    low = opset.multiply(_taken(value, np.floor(positions), axis), _along(1 - weights, axis))
    high = opset.multiply(_taken(value, np.ceil(positions), axis), _along(weights, axis))
    counted = constant(_shaped(weights > 0, axis))
    return opset.add(low, opset.select(counted, high, opset.constant(np.float32(0))))


def _positions(size: int, wanted: int) -> Array:
    """Where the half-pixel centres of the output lie in the input."""
    return np.clip((np.arange(wanted) + 0.5) * size / wanted - 0.5, 0, size - 1)


def _taken(value: Value, indices: Array, axis: int) -> Value:
    return opset.gather(value, constant(indices.astype(np.int32)), int_constant(axis))


def _along(weights: Array, axis: int) -> Value:
    return constant(_shaped(weights.astype(np.float32), axis))


def _shaped(values: Array, axis: int) -> Array:
    return values.reshape([-1 if dimension == axis else 1 for dimension in range(_RANK)])
