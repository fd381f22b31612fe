"""Four-bit integers: two in a byte, the first in the low nibble; an odd tail leaves the high nibble zero."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpu_process.backends._interface import Array
from ipc.descriptors import DataType, Descriptor

_VALUES: dict[DataType, np.dtype[Any]] = {DataType.INT4: np.dtype(np.int8), DataType.UINT4: np.dtype(np.uint8)}


def value_dtype(data_type: DataType) -> np.dtype[Any]:
    """The NumPy dtype that holds one element as one value."""
    return _VALUES.get(data_type, data_type.storage)


def unpack(stored: Array, descriptor: Descriptor) -> Array:
    """The elements of a stored tensor, one value each; the same array where nothing is packed."""
    if not descriptor.data_type.is_packed:
        return stored
    nibbles = np.stack([stored & 0xF, stored >> 4], axis=-1).reshape(-1)[: descriptor.element_count]
    if descriptor.data_type is DataType.INT4:
        nibbles = ((nibbles ^ 8) - np.uint8(8)).view(np.int8)  # two's complement: 8..15 stand for -8..-1
    return nibbles.reshape(descriptor.shape)


def pack(values: Array, descriptor: Descriptor) -> Array:
    """The stored form of a tensor, the inverse of `unpack`."""
    if not descriptor.data_type.is_packed:
        return values
    nibbles = np.zeros(2 * descriptor.byte_length, np.uint8)
    nibbles[: values.size] = values.reshape(-1).astype(np.uint8) & 0xF
    return nibbles[0::2] | nibbles[1::2] << 4
