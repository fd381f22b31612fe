"""Conversion between data types, and how a float becomes an integer."""

from __future__ import annotations

import numpy as np

from gpu_process.backends._interface import Array
from gpu_process.backends.reference._kernels import kernel
from gpu_process.backends.reference._packing import value_dtype
from ipc import operators as ops
from ipc.descriptors import DataType


@kernel(ops.cast)
def cast(x: Array, *, data_type: DataType) -> Array:
    """x as `data_type`.

    To float: nearest, ties to even, infinity where out of range. Float to integer: truncated toward zero, saturating,
    NaN gives 0. Integer to integer: the low bits, two's complement.
    """
    if x.dtype.kind == "f":
        return x if data_type.is_float else saturated(np.trunc(x), data_type)
    return x.astype(data_type.storage)


def saturated(whole: Array, data_type: DataType) -> Array:
    """Floats that are whole numbers, infinite or NaN as an integer type: clamped to its range, NaN gives 0."""
    low, high = data_type.range
    too_low, too_high = whole < float(low), whole >= float(high + 1)  # powers of two: exact as floats
    inside = ~(too_low | too_high | np.isnan(whole))
    integers = np.where(inside, whole, 0).astype(value_dtype(data_type))
    integers[too_low] = low
    integers[too_high] = high
    return integers
