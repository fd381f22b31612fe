"""Data types and descriptors: what a tensor or operand is, and how many bytes it takes."""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

MAX_RANK = 8  # Chromium's descriptor limit; the specification sets none
MAX_DIMENSION = 2**31 - 1  # WebNN, "valid dimension"
MAX_ELEMENTS = 2**31 - 1  # WebNN, "check dimensions": the element count is itself a valid dimension
MAX_TENSOR_BYTES = 2**31 - 1  # Chromium's tensor_byte_length_limit for its CPU backends


class DataType(enum.StrEnum):
    """Element types, named as `MLOperandDataType` names them; the two 4-bit types are an extension."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    INT32 = "int32"
    UINT32 = "uint32"
    INT64 = "int64"
    UINT64 = "uint64"
    INT8 = "int8"
    UINT8 = "uint8"
    INT4 = "int4"
    UINT4 = "uint4"

    @property
    def bits(self) -> int:
        """Bits per element."""
        return _BITS[self]

    @property
    def storage(self) -> np.dtype[Any]:
        """The NumPy dtype of the memory that holds the elements; 4-bit ones are packed in uint8, low nibble first."""
        return _STORAGE[self]

    @property
    def is_float(self) -> bool:
        return self in FLOATS

    @property
    def is_packed(self) -> bool:
        """Whether several elements share a byte."""
        return self in INT4S

    @property
    def range(self) -> tuple[int, int]:
        """Lowest and highest value of an integer type."""
        unsigned = self.value.startswith("u")
        return (0, 2**self.bits - 1) if unsigned else (-(2 ** (self.bits - 1)), 2 ** (self.bits - 1) - 1)

    @classmethod
    def of(cls, value: DataType | str | npt.DTypeLike) -> DataType:
        """The type named by a string or a NumPy dtype.

        Raises:
            ValueError: nothing is called so, or the dtype has no counterpart (bool, float64, big-endian, ...).
        """
        if isinstance(value, str):
            return cls(value)
        dtype = np.dtype(value)
        data_type = _OF_NUMPY.get(dtype)
        if data_type is None:
            raise ValueError(f"{dtype!r} is no WebNN data type")
        return data_type


FLOATS = frozenset({DataType.FLOAT32, DataType.FLOAT16})
SIGNED_INTEGERS = frozenset({DataType.INT64, DataType.INT32, DataType.INT8})
WIDE_INTEGERS = frozenset({DataType.INT32, DataType.UINT32, DataType.INT64, DataType.UINT64})
ANY = FLOATS | WIDE_INTEGERS | {DataType.INT8, DataType.UINT8}
COMMON = FLOATS | {DataType.INT32}  # what most operators require of every backend
INT4S = frozenset({DataType.INT4, DataType.UINT4})

_BITS = {data_type: 4 if data_type in INT4S else np.dtype(data_type.value).itemsize * 8 for data_type in DataType}
_STORAGE = {
    data_type: np.dtype(np.uint8) if data_type in INT4S else np.dtype(data_type.value) for data_type in DataType
}
_OF_NUMPY = {np.dtype(data_type.value): data_type for data_type in ANY}


def in_order(data_types: Iterable[DataType]) -> list[DataType]:
    """The given types in the order of the specification's enumeration."""
    wanted = set(data_types)
    return [data_type for data_type in DataType if data_type in wanted]


@dataclass(frozen=True, slots=True)
class Descriptor:
    """Data type and shape of an operand or tensor; the layout is always dense and row-major.

    A descriptor can hold sizes that are not allowed: `problem()` tells. Source: WebNN, `MLOperandDescriptor`.
    """

    data_type: DataType
    shape: tuple[int, ...]

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def element_count(self) -> int:
        """Number of elements; 1 for a scalar. A Python int, so it can't overflow."""
        return math.prod(self.shape)

    @property
    def byte_length(self) -> int:
        """Bytes of the packed tensor, rounded up to whole bytes for 4-bit types."""
        return (self.element_count * self.data_type.bits + 7) // 8

    @property
    def storage_shape(self) -> tuple[int, ...]:
        """Shape of the NumPy array holding it: the shape, or one dimension of bytes for packed types."""
        return (self.byte_length,) if self.data_type.is_packed else self.shape

    def problem(self, max_byte_length: int = MAX_TENSOR_BYTES) -> str | None:
        """What "check dimensions" finds wrong, as a sentence with the value, or None. Source: WebNN, 7 (dimensions)."""
        for size in self.shape:
            if not 1 <= size <= MAX_DIMENSION:
                return f"dimension {size} is not within 1 to {MAX_DIMENSION}"
        if self.rank > MAX_RANK:
            return f"rank {self.rank} exceeds {MAX_RANK}"
        if self.element_count > MAX_ELEMENTS:
            return f"{self.element_count} elements exceed {MAX_ELEMENTS}"
        if self.byte_length > max_byte_length:
            return f"{self.byte_length} bytes exceed {max_byte_length}"
        return None

    def __str__(self) -> str:
        return f"{self.data_type.value}{list(self.shape)}"


def broadcast_shapes(a: Sequence[int], b: Sequence[int]) -> tuple[int, ...] | None:
    """Bidirectional broadcast of two shapes, or None. Source: WebNN, "bidirectionally broadcast"."""
    rank = max(len(a), len(b))
    left, right = (1,) * (rank - len(a)) + tuple(a), (1,) * (rank - len(b)) + tuple(b)
    if any(m != n and 1 not in (m, n) for m, n in zip(left, right, strict=True)):
        return None
    return tuple(n if m == 1 else m for m, n in zip(left, right, strict=True))


def broadcasts_to(shape: Sequence[int], target: Sequence[int]) -> bool:
    """Whether `shape` unidirectionally broadcasts to `target`. Source: WebNN, "unidirectionally broadcast"."""
    tail = target[len(target) - len(shape) :] if len(shape) <= len(target) else None
    return tail is not None and all(size in (1, wanted) for size, wanted in zip(shape, tail, strict=True))


def blockwise_divides(shape: Sequence[int], target: Sequence[int]) -> bool:
    """Whether ranks agree and each size divides the target's. Source: WebNN, "blockwise broadcast"."""
    return len(shape) == len(target) and all(
        size > 0 and wanted % size == 0 for size, wanted in zip(shape, target, strict=True)
    )
