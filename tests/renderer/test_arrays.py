"""Which buffers match a descriptor: the table of `renderer/_arrays.py`."""

from __future__ import annotations

import array
from typing import Any

import numpy as np
import pytest

from ipc.descriptors import DataType, Descriptor
from ipc.errors import MLTypeError
from renderer._arrays import as_array, check_out, described, matching_bytes

FLOATS = Descriptor(DataType.FLOAT32, (2, 3))
BYTES = Descriptor(DataType.UINT8, (2, 3))
NIBBLES = Descriptor(DataType.INT4, (3,))
VALUES = np.arange(6, dtype=np.float32).reshape(2, 3)


def bytes_of(data: Any, descriptor: Descriptor) -> bytes:
    return matching_bytes(as_array(data, "data"), descriptor, "data").tobytes()


@pytest.mark.parametrize(
    "data",
    [
        VALUES,
        np.asfortranarray(VALUES),
        np.arange(12, dtype=np.float32).reshape(2, 6)[:, ::2] / 2,
        VALUES.tobytes(),
        bytearray(VALUES.tobytes()),
        memoryview(VALUES),
        VALUES.view(np.uint8),
        VALUES.view(np.uint8).reshape(-1),
    ],
    ids=["array", "fortran", "strided", "bytes", "bytearray", "memoryview", "uint8", "flat uint8"],
)
def test_arrays_of_type_and_shape_and_raw_bytes_match(data: Any) -> None:
    assert bytes_of(data, FLOATS) == VALUES.tobytes()


@pytest.mark.parametrize(
    "data",
    [
        VALUES.reshape(3, 2),
        VALUES.reshape(6),
        VALUES.astype(np.float64),
        VALUES.view(np.int32),
        VALUES.astype(">f4"),
        VALUES.astype(object),
        VALUES.astype(bool),
        VALUES.tobytes()[:-1],
        VALUES.tobytes() + b"\0",
        array.array("f", range(6)),
    ],
    ids=["shape", "flat", "float64", "int32", "big-endian", "object", "bool", "short", "long", "array.array shape"],
)
def test_all_else_does_not(data: Any) -> None:
    with pytest.raises(MLTypeError, match=r"^data: "):
        bytes_of(data, FLOATS)


@pytest.mark.parametrize("data", [[1.0], 3, None, "text"], ids=repr)
def test_what_is_no_buffer_never_converts(data: Any) -> None:
    with pytest.raises(MLTypeError, match=r"^data: "):
        as_array(data, "data")


def test_a_flat_uint8_array_is_bytes_and_a_shaped_one_an_array() -> None:
    assert bytes_of(np.arange(6, dtype=np.uint8), BYTES) == bytes(range(6))
    with pytest.raises(MLTypeError, match="shape"):
        bytes_of(np.zeros((3, 2), np.uint8), BYTES)


def test_packed_types_take_bytes_only() -> None:
    assert bytes_of(b"\x21\x03", NIBBLES) == b"\x21\x03"
    with pytest.raises(MLTypeError):
        bytes_of(np.zeros(3, np.int8), NIBBLES)


@pytest.mark.parametrize(
    "out",
    [np.empty((2, 3), np.float32), np.empty(100, np.float32), bytearray(24), memoryview(bytearray(30))],
    ids=["equal", "larger", "bytearray", "memoryview"],
)
def test_a_tensor_can_be_read_into_what_is_large_enough(out: Any) -> None:
    check_out(as_array(out, "out"), FLOATS, "out")


@pytest.mark.parametrize(
    "out",
    [
        np.empty(5, np.float32),
        np.empty((2, 3), np.int32),
        np.empty((3, 2), np.float32).T,
        VALUES.tobytes(),
        memoryview(bytearray(60))[::2],
    ],
    ids=["smaller", "type", "not contiguous", "read-only", "strided memoryview"],
)
def test_a_tensor_can_not_be_read_into_anything_else(out: Any) -> None:
    with pytest.raises(MLTypeError, match=r"^out: "):
        check_out(as_array(out, "out"), FLOATS, "out")


def test_an_array_describes_itself() -> None:
    assert described(VALUES, "data") == FLOATS
    with pytest.raises(MLTypeError, match=r"^data: "):
        described(VALUES.astype(np.float64), "data")
