"""MLNumber: how a number given for an option or a scalar constant becomes a value of a data type."""

from __future__ import annotations

import math

import numpy as np

from ipc.descriptors import DataType

MLNumber = int | float
"""A Python int stays exact (the specification's bigint); a float may be NaN or infinite."""


def cast_number(value: MLNumber, data_type: DataType) -> MLNumber:
    """`value` as a value of `data_type`: nearest, ties to even; integers saturate and NaN becomes 0.

    Casting is idempotent. Source: WebNN, "cast" of numbers (semantics: the option and scalar rule, not the operator's).
    """
    if data_type.is_float:
        return _to_float(value, data_type)
    low, high = data_type.range
    if isinstance(value, float) and math.isnan(value):
        return 0
    return round(min(max(value, low), high))  # round() is half to even and exact for floats


def _to_float(value: MLNumber, data_type: DataType) -> float:
    wide = _to_float64(value) if isinstance(value, int) else value
    with np.errstate(all="ignore"):
        return float(np.array(wide, np.float64).astype(data_type.storage))


def _to_float64(value: int) -> float:
    """The float64 that rounds to float32 and float16 as `value` does.

    The digits that float64 would round away are joined in one, so that no tie is made of what was none.
    """
    value = min(max(value, -_BEYOND), _BEYOND)
    surplus = max(value.bit_length() - _EXACT_BITS, 0)
    kept = value >> surplus
    sticky = int(kept << surplus != value)
    return float((kept | sticky) << surplus)


_BEYOND = 2**1000  # infinite in every smaller type, and no overflow in float64
_EXACT_BITS = 50  # fewer than float64 has, and more than any smaller type rounds to
