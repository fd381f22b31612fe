"""Conversion between data types."""

from __future__ import annotations

import numpy as np

from gpu_process.backends.onnxruntime._lowering import Lowered, Lowering, lowers
from gpu_process.backends.onnxruntime._values import ElementType, Value
from ipc import operators as ops
from ipc.descriptors import DataType


@lowers(ops.cast)
def cast(node: Lowering, x: Value, *, data_type: DataType) -> Lowered:
    """Floats saturate on their way to an integer, and NaN gives 0; all else is as C++ casts."""
    if x.is_float and not data_type.is_float:
        return saturated(node, x, data_type)
    return node.cast(x, ElementType.of(data_type))


def saturated(node: Lowering, x: Value, data_type: DataType) -> Value:
    """Floats truncated toward zero and clamped to the range of an integer type; NaN gives 0.

    The cast itself sees no value outside its range, for which C++ defines nothing.
    """
    if x.data_type is ElementType.FLOAT16:
        x = node.cast(x, ElementType.FLOAT)
    low, high = data_type.range
    limit = float(high + 1)  # a power of two, exact; the greatest float below it may be far from it
    below_limit = float(np.nextafter(x.data_type.dtype.type(limit), x.data_type.dtype.type(0)))
    number = node.select(node("IsNaN", x, dtype=ElementType.BOOL), node.scalar(0, x), x)
    inside = node("Clip", number, node.scalar(low, x), node.scalar(below_limit, x))
    integer = node.cast(inside, ElementType.of(data_type).unpacked)
    too_high = node.compare("GreaterOrEqual", x, node.scalar(limit, x))
    return node.select(too_high, node.scalar(high, integer), integer)
