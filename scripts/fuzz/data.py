"""Content of tensors: ordinary values, and the ones that break kernels."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
import numpy.typing as npt

from ipc.descriptors import DataType, Descriptor

Array = npt.NDArray[Any]

_FLOAT_EDGES = (0.0, -0.0, 1.0, -1.0, 0.5, np.nan, np.inf, -np.inf)
_SPECIAL_SHARE = 0.3  # of the elements of a hostile tensor


def content(random: Random, descriptor: Descriptor, hostile: float) -> bytes:
    """The bytes of a tensor, packed as they are stored.

    Args:
        hostile: 0..1, the probability that there are extremes in it: NaN, infinities, -0, denormals, the ends of an
            integer's range, which also are indices far out of range and divisors that trap.
    """
    numbers = np.random.Generator(np.random.PCG64(random.getrandbits(64)))
    data_type, shape = descriptor.data_type, descriptor.storage_shape
    special = random.random() < hostile
    if data_type.is_packed:
        return _without_surplus(numbers.integers(0, 256, shape, np.uint8), descriptor).tobytes()
    values = _floats(numbers, data_type, shape) if data_type.is_float else _integers(random, numbers, data_type, shape)
    if special:
        edges = _edges(data_type)
        chosen = numbers.random(shape) < _SPECIAL_SHARE
        values = np.where(chosen, edges[numbers.integers(0, len(edges), shape)], values)
    return np.ascontiguousarray(values, data_type.storage).tobytes()


def _without_surplus(packed: Array, descriptor: Descriptor) -> Array:
    """The last nibble belongs to no element where their number is odd; it is 0, as a renderer leaves it."""
    if descriptor.element_count % 2:
        packed.reshape(-1)[-1] &= 0x0F
    return packed


def _floats(numbers: np.random.Generator, data_type: DataType, shape: tuple[int, ...]) -> Array:
    return (numbers.standard_normal(shape) * 2).astype(data_type.storage)


def _integers(random: Random, numbers: np.random.Generator, data_type: DataType, shape: tuple[int, ...]) -> Array:
    low, high = data_type.range
    reach = random.choice((2, 4, 10, 100))
    return numbers.integers(max(low, -reach), min(high, reach), shape, data_type.storage.type, endpoint=True)


def _edges(data_type: DataType) -> Array:
    if data_type.is_float:
        info = np.finfo(data_type.storage)
        more = (info.max, info.min, info.tiny, info.smallest_subnormal, -info.smallest_subnormal)
        return np.array([*_FLOAT_EDGES, *more], data_type.storage)
    low, high = data_type.range
    edges = {0, 1, low, high, low + 1, high - 1, *(edge for edge in _INTEGER_EDGES if low <= edge <= high)}
    return np.array(sorted(edges), data_type.storage)


_INTEGER_EDGES = (
    -1,
    -2,
    7,
    8,
    2**15,
    2**16,
    2**24 + 1,
    2**31 - 1,
    2**31,
    -(2**31),
    2**32 - 1,
    2**32,
    2**40 + 1,
    2**53 + 1,
)
