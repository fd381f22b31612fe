"""Linear quantization, block by block.

Scale and zero point have the rank of the input, and sizes that divide its sizes: each element serves a block. Both
operators are computed on real numbers; the parameters' values are not checked, so that a scale of 0 divides as floats
divide, and a NaN becomes the integer 0.
"""

from __future__ import annotations

import numpy as np

from gpu_process.backends._interface import Array
from gpu_process.backends.reference._kernels import kernel
from gpu_process.backends.reference.casting import saturated
from ipc import operators as ops
from ipc.descriptors import Descriptor


@kernel(ops.dequantize_linear)
def dequantize_linear(x: Array, scale: Array, zero_point: Array) -> Array:
    """(x - zero_point) * scale, without wrapping around"""
    difference = x.astype(np.float64) - _per_element(zero_point, x.shape).astype(np.float64)
    return difference * _per_element(scale, x.shape)


@kernel(ops.quantize_linear)
def quantize_linear(x: Array, scale: Array, zero_point: Array, *, output: Descriptor) -> Array:
    """clamp(round_even(x / scale) + zero_point, lowest, highest): rounded before the zero point is added"""
    steps = np.rint(x / _per_element(scale, x.shape))
    return saturated(steps + _per_element(zero_point, x.shape), output.data_type)


def _per_element(parameter: Array, shape: tuple[int, ...]) -> Array:
    for axis, size in enumerate(shape):
        if parameter.shape[axis] != size:
            parameter = np.repeat(parameter, size // parameter.shape[axis], axis)
    return parameter
