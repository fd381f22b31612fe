"""Descriptors: sizes, limits, and how shapes relate."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipc.descriptors import (
    ANY,
    MAX_DIMENSION,
    DataType,
    Descriptor,
    blockwise_divides,
    broadcast_shapes,
    broadcasts_to,
    in_order,
)

_SHAPES = st.lists(st.integers(1, 3), max_size=4).map(tuple)


@pytest.mark.parametrize(
    ("descriptor", "byte_length", "storage"),
    [
        (Descriptor(DataType.FLOAT32, (2, 3)), 24, (2, 3)),
        (Descriptor(DataType.FLOAT16, ()), 2, ()),
        (Descriptor(DataType.INT64, (3,)), 24, (3,)),
        (Descriptor(DataType.UINT4, (3,)), 2, (2,)),
        (Descriptor(DataType.INT4, (2, 2)), 2, (2,)),
        (Descriptor(DataType.INT4, ()), 1, (1,)),
    ],
    ids=str,
)
def test_bytes_are_those_of_the_packed_tensor(
    descriptor: Descriptor, byte_length: int, storage: tuple[int, ...]
) -> None:
    assert descriptor.byte_length == byte_length
    assert descriptor.storage_shape == storage
    array = np.zeros(descriptor.storage_shape, descriptor.data_type.storage)
    assert array.nbytes == byte_length


@pytest.mark.parametrize(
    ("descriptor", "problem"),
    [
        (Descriptor(DataType.INT8, (MAX_DIMENSION,)), None),
        (Descriptor(DataType.INT8, ()), None),
        (Descriptor(DataType.INT8, (1,) * 8), None),
        (Descriptor(DataType.INT8, (2, 0)), "dimension 0 is not within 1 to 2147483647"),
        (Descriptor(DataType.INT8, (-1,)), "dimension -1 is not within 1 to 2147483647"),
        (Descriptor(DataType.INT8, (2**31,)), "dimension 2147483648 is not within 1 to 2147483647"),
        (Descriptor(DataType.INT8, (1,) * 9), "rank 9 exceeds 8"),
        (Descriptor(DataType.INT4, (2**16, 2**15)), "2147483648 elements exceed 2147483647"),
        (Descriptor(DataType.FLOAT16, (2**15, 2**15)), "2147483648 bytes exceed 2147483647"),
    ],
    ids=str,
)
def test_a_problem_names_the_value(descriptor: Descriptor, problem: str | None) -> None:
    assert descriptor.problem() == problem


def test_a_limit_on_bytes_is_exact() -> None:
    assert Descriptor(DataType.FLOAT32, (4,)).problem(16) is None
    assert Descriptor(DataType.FLOAT32, (4,)).problem(15) == "16 bytes exceed 15"


@pytest.mark.timeout(10)
def test_a_shape_of_a_million_huge_sizes_costs_no_product() -> None:
    assert Descriptor(DataType.INT8, (MAX_DIMENSION,) * 1_000_000).problem() == "rank 1000000 exceeds 8"


@pytest.mark.parametrize("data_type", in_order(ANY))
def test_a_data_type_is_found_by_name_and_by_dtype(data_type: DataType) -> None:
    dtype = np.dtype(data_type.value)
    assert DataType.of(data_type.value) is DataType.of(dtype) is DataType.of(dtype.type) is data_type
    assert data_type.bits == dtype.itemsize * 8
    if not data_type.is_float:
        assert data_type.range == (np.iinfo(dtype).min, np.iinfo(dtype).max)


@pytest.mark.parametrize("wrong", ["float64", "f4", np.float64, np.bool_, object, np.dtype(">f4"), "", None])
def test_what_is_no_data_type_is_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"DataType|data type"):
        DataType.of(wrong)


@given(a=_SHAPES, b=_SHAPES)
def test_broadcasting_is_numpys(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    try:
        expected: tuple[int, ...] | None = np.broadcast_shapes(a, b)
    except ValueError:
        expected = None
    assert broadcast_shapes(a, b) == expected
    assert broadcasts_to(a, b) == (expected == b)


@pytest.mark.parametrize(
    ("shape", "target", "divides"),
    [
        ((1, 3), (4, 6), True),
        ((4, 6), (4, 6), True),
        ((), (), True),
        ((6,), (4, 6), False),
        ((2,), (4, 6), False),
        ((4, 6), (4,), False),
        ((3, 6), (4, 6), False),
        ((8, 6), (4, 6), False),
        ((0,), (4,), False),
    ],
)
def test_blocks_divide_each_size(shape: tuple[int, ...], target: tuple[int, ...], divides: bool) -> None:
    assert blockwise_divides(shape, target) is divides
