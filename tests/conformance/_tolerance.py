"""How close is close enough, as the public vectors define it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ipc.descriptors import DataType
from tests.conformance._vectors import Expected, Tolerance

Array = npt.NDArray[Any]


def mismatch(actual: Array, expected: Expected, tolerance: Tolerance) -> str | None:
    """The first element of a stored result that is too far from what is expected, in words; None if there is none.

    NaN agrees with every NaN and with nothing else; an infinity with itself.
    """
    descriptor = expected.descriptor
    if actual.shape != descriptor.storage_shape or actual.dtype != descriptor.data_type.storage:
        return f"{actual.dtype}{list(actual.shape)} instead of {descriptor}"
    flat = _elements(actual, expected)
    wrong = np.flatnonzero(~_agree(flat, expected.values[: expected.compared], descriptor.data_type, tolerance))
    if wrong.size == 0:
        return None
    at = wrong[0]
    place = list(map(int, np.unravel_index(at, descriptor.shape)))
    return (
        f"{flat[at]!s} instead of {expected.values[at]!s} at {place}, "
        f"{wrong.size} of {flat.size} differ by more than {tolerance.value:g} {tolerance.metric}"
    )


def _elements(actual: Array, expected: Expected) -> Array:
    data_type = expected.descriptor.data_type
    if not data_type.is_packed:
        return actual.reshape(-1)[: expected.compared]
    nibbles = np.stack([actual & 0xF, actual >> 4], axis=-1).reshape(-1)[: expected.compared].astype(np.int8)
    return np.where(nibbles > 7, nibbles - 16, nibbles) if data_type is DataType.INT4 else nibbles


def _agree(actual: Array, wanted: Array, data_type: DataType, tolerance: Tolerance) -> Array:
    if not data_type.is_float:
        # Python integers: the distance of two uint64 or int64 overflows either.
        distances = (abs(int(a) - int(b)) for a, b in zip(actual, wanted, strict=True))
        return np.array([distance <= tolerance.value for distance in distances])
    both_nan = np.isnan(actual) & np.isnan(wanted)
    if tolerance.metric == "ATOL":
        return _close(actual, wanted, tolerance.value) | both_nan
    with np.errstate(over="ignore"):
        rounded = wanted.astype(data_type.storage)
    if tolerance.metric == "EXACT":
        same_sign = np.signbit(actual) == np.signbit(rounded)
        return np.asarray((actual == rounded) & same_sign | both_nan)
    near: Array = np.abs(_ordinal(actual) - _ordinal(rounded)) <= tolerance.value
    near &= ~np.isnan(actual) & ~np.isnan(rounded)
    return near | _close(actual, wanted, tolerance.floor) | both_nan


def _close(actual: Array, wanted: Array, distance: float) -> Array:
    wide = actual.astype(np.float64)
    with np.errstate(invalid="ignore"):  # of infinities, which are close to themselves alone
        return np.asarray((np.abs(wide - wanted) <= distance) | (wide == wanted))


def _ordinal(values: Array) -> npt.NDArray[np.int64]:
    """Bit patterns as integers: float32 as signed magnitude, float16 as they are but for -0, which counts as 0."""
    if values.dtype == np.float32:
        bits = values.view(np.int32).astype(np.int64)
        return np.where(bits < 0, -(bits & 0x7FFF_FFFF), bits)
    bits = values.view(np.uint16).astype(np.int64)
    return np.where(bits == 0x8000, 0, bits)
