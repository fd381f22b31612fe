"""Tensors as flat lists of Python numbers, and the rounding that makes a number an element."""

from __future__ import annotations

import itertools
import math
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

Number = int | float
Coordinate = tuple[int, ...]

NAN, INF = math.nan, math.inf
FLOATS = ("float32", "float16")
ALL_TYPES = ("float32", "float16", "int32", "uint32", "int64", "uint64", "int8", "uint8")
INTEGERS = ALL_TYPES[2:]


@dataclass(frozen=True, slots=True)
class Tensor:
    """Elements in row-major order; every value is one that the data type has."""

    data_type: str
    shape: tuple[int, ...]
    values: tuple[Number, ...]

    def __getitem__(self, at: Sequence[int]) -> Number:
        flat = 0
        for index, size in zip(at, self.shape, strict=True):
            assert 0 <= index < size
            flat = flat * size + index
        return self.values[flat]

    def broadcast(self, at: Sequence[int]) -> Number:
        """The element that stands at `at` of a larger shape to which this tensor broadcasts."""
        tail = at[len(at) - len(self.shape) :]
        return self[[0 if size == 1 else index for index, size in zip(tail, self.shape, strict=True)]]


def tensor(data_type: str, shape: Iterable[int], values: Iterable[Number]) -> Tensor:
    """A tensor of the given values, each rounded or wrapped to the data type."""
    shape = tuple(shape)
    elements = tuple(rounded(value, data_type) for value in values)
    assert len(elements) == math.prod(shape), f"{len(elements)} values for {shape}"
    return Tensor(data_type, shape, elements)


def computed(data_type: str, shape: Iterable[int], element: Callable[[Coordinate], Number]) -> Tensor:
    """A tensor whose element at each coordinate is what the function says."""
    shape = tuple(shape)
    return tensor(data_type, shape, (element(at) for at in coordinates(shape)))


def coordinates(shape: Sequence[int]) -> Iterator[Coordinate]:
    """All coordinates of a shape, in row-major order; one empty coordinate for a scalar."""
    return itertools.product(*map(range, shape))


def ramp(data_type: str, shape: Iterable[int], *, start: float = 0, step: float = 1, modulus: int = 0) -> Tensor:
    """A tensor that counts up, from the start again after `modulus` elements."""
    shape = tuple(shape)
    counts = range(math.prod(shape))
    return tensor(data_type, shape, (start + step * (count % modulus if modulus else count) for count in counts))


def mixed(data_type: str, shape: Iterable[int], seed: int = 1) -> Tensor:
    """Small quarters of both signs in no apparent order, exact in every float type."""
    shape = tuple(shape)
    state, values = seed, []
    for _ in range(math.prod(shape)):
        state = (state * 1103515245 + 12345) % 2**31
        values.append(((state >> 16) % 33 - 16) / 4)
    return tensor(data_type, shape, values)


def bits(data_type: str) -> int:
    """Bits of one element."""
    return int(data_type.removeprefix("u").removeprefix("int").removeprefix("float"))


def limits(data_type: str) -> tuple[int, int]:
    """Lowest and highest value of an integer type."""
    size = bits(data_type)
    return (0, 2**size - 1) if data_type.startswith("u") else (-(2 ** (size - 1)), 2 ** (size - 1) - 1)


def rounded(value: Number, data_type: str) -> Number:
    """Nearest float, ties to even and infinite beyond the range; the low bits of an integer, two's complement."""
    if data_type in FLOATS:
        code = "<f" if data_type == "float32" else "<e"
        try:
            return float(struct.unpack(code, struct.pack(code, value))[0])
        except OverflowError:
            return math.copysign(INF, value)
    assert isinstance(value, int), f"{value!r} for {data_type}"
    low, high = limits(data_type)
    return (value - low) % (high - low + 1) + low
