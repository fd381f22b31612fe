"""Values of the ONNX graph under construction: generated names, element types, static shapes."""

from __future__ import annotations

import enum
import math
from typing import Any, NamedTuple

import numpy as np

from ipc.descriptors import DataType, Descriptor


class ElementType(enum.IntEnum):
    """Element types, numbered as ONNX's `TensorProto.DataType` numbers them.

    `BOOL` and `DOUBLE` exist only between kernels. The 4-bit types exist only here: their memory is bound to the
    runtime as packed bytes.
    """

    FLOAT = 1
    UINT8 = 2
    INT8 = 3
    INT32 = 6
    INT64 = 7
    BOOL = 9
    FLOAT16 = 10
    DOUBLE = 11
    UINT32 = 12
    UINT64 = 13
    UINT4 = 21
    INT4 = 22

    @property
    def dtype(self) -> np.dtype[Any]:
        """The NumPy dtype of the memory; 4-bit types lie packed in bytes."""
        return _DTYPES[self]

    @property
    def stored(self) -> ElementType:
        """The type under which the runtime sees the memory."""
        return ElementType.UINT8 if self in PACKED else self

    @property
    def unpacked(self) -> ElementType:
        """The type that holds one element as one value."""
        return _UNPACKED.get(self, self)

    @classmethod
    def of(cls, data_type: DataType) -> ElementType:
        return _OF_DATA_TYPE[data_type]


class Value(NamedTuple):
    """An edge of the graph."""

    name: str
    data_type: ElementType
    shape: tuple[int, ...]

    @property
    def stored_shape(self) -> tuple[int, ...]:
        """The shape under which the runtime sees the memory."""
        return ((math.prod(self.shape) + 1) // 2,) if self.data_type in PACKED else self.shape

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def is_float(self) -> bool:
        return self.data_type in _FLOATS

    @classmethod
    def described(cls, name: str, descriptor: Descriptor) -> Value:
        """A value that an operand's descriptor describes."""
        return cls(name, _OF_DATA_TYPE[descriptor.data_type], descriptor.shape)


_UNPACKED = {ElementType.UINT4: ElementType.UINT8, ElementType.INT4: ElementType.INT8}
PACKED = frozenset(_UNPACKED)
_FLOATS = frozenset({ElementType.FLOAT, ElementType.FLOAT16, ElementType.DOUBLE})
_OF_DATA_TYPE = {
    DataType.FLOAT32: ElementType.FLOAT,
    DataType.FLOAT16: ElementType.FLOAT16,
    DataType.INT32: ElementType.INT32,
    DataType.UINT32: ElementType.UINT32,
    DataType.INT64: ElementType.INT64,
    DataType.UINT64: ElementType.UINT64,
    DataType.INT8: ElementType.INT8,
    DataType.UINT8: ElementType.UINT8,
    DataType.INT4: ElementType.INT4,
    DataType.UINT4: ElementType.UINT4,
}
_DTYPES: dict[ElementType, np.dtype[Any]] = {
    **{element: data_type.storage for data_type, element in _OF_DATA_TYPE.items()},
    ElementType.BOOL: np.dtype(np.bool_),
    ElementType.DOUBLE: np.dtype(np.float64),
}
