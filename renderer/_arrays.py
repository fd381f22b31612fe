"""Which Python values are buffers, and when one matches a descriptor.

| given | rule |
| --- | --- |
| `bytes`, `bytearray`, `memoryview`, other buffers of bytes, uint8 arrays | exact byte length |
| any other array | data type and shape of the descriptor; strided ones are copied |
| big-endian, bool, object, other dtypes; lists and numbers | MLTypeError |

A uint8 array with several dimensions that is given for a uint8 tensor is an "other array": its shape counts.
int4 and uint4 travel packed, two elements to a byte, low nibble first: bytes for them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ipc.descriptors import DataType, Descriptor
from ipc.errors import MLTypeError

Buffer = Any
"""Anything with the buffer protocol: NumPy arrays, bytes, memoryview, array.array, ..."""

Array = npt.NDArray[Any]

Layout = tuple[np.dtype[Any], tuple[int, ...]]
"""The dtype and the shape of the array that holds a tensor."""


def as_array(data: Buffer, name: str) -> Array:
    """The buffer as an array on the same memory; raw bytes as one-dimensional uint8.

    Raises:
        MLTypeError: it is no buffer; the message begins with `name`.
    """
    if isinstance(data, np.ndarray | np.generic):
        return np.asarray(data)
    try:
        view = memoryview(data)
    except TypeError:
        raise MLTypeError(f"{name}: a {type(data).__name__} is no buffer: give a NumPy array or bytes") from None
    if isinstance(data, memoryview) or view.format in ("b", "B", "c"):
        return np.frombuffer(view if view.c_contiguous else view.tobytes(), np.uint8)
    try:
        return np.asarray(view)
    except ValueError as error:
        raise MLTypeError(f"{name}: a {type(data).__name__} is no buffer of numbers: {error}") from None


def described(array: Array, name: str) -> Descriptor:
    """The descriptor that an array has by itself.

    Raises:
        MLTypeError: no data type is like its dtype; the message begins with `name`.
    """
    try:
        return Descriptor(DataType.of(array.dtype), array.shape)
    except ValueError as error:
        raise MLTypeError(f"{name}: {error}") from None


def matching_bytes(array: Array, descriptor: Descriptor, name: str) -> memoryview:
    """The bytes of an array that matches the descriptor, dense and row-major; a copy only if it was strided.

    Raises:
        MLTypeError: it does not match; the message begins with `name`.
    """
    if _is_raw(array, descriptor):
        if array.nbytes != descriptor.byte_length:
            raise MLTypeError(f"{name}: {array.nbytes} bytes are not the {descriptor.byte_length} of {descriptor}")
    else:
        _check_type(array, descriptor, name)
        if array.shape != descriptor.storage_shape:
            raise MLTypeError(f"{name}: the shape {array.shape} is not that of {descriptor}")
    return _flat(array)


def bytes_of_like(data: Buffer, layout: Layout) -> memoryview | None:
    """The bytes of a dense array of exactly this layout, which is what nearly all are; None for anything else."""
    dtype, shape = layout
    if type(data) is np.ndarray and data.dtype is dtype and data.shape == shape and data.flags.c_contiguous:
        return data.data.cast("B")
    return None


def check_out(out: Array, descriptor: Descriptor, name: str) -> None:
    """Whether a tensor can be read into the caller's array: of its type or raw bytes, and at least as large.

    Raises:
        MLTypeError: it can't.
    """
    if not _is_raw(out, descriptor):
        _check_type(out, descriptor, name)
    if not out.flags.writeable or not out.flags.c_contiguous:
        raise MLTypeError(f"{name}: the buffer must be writable and contiguous")
    if out.nbytes < descriptor.byte_length:
        raise MLTypeError(f"{name}: {out.nbytes} bytes are fewer than the {descriptor.byte_length} of {descriptor}")


def empty(descriptor: Descriptor) -> Array:
    """An array for the bytes of a tensor; the packed types have bytes for elements."""
    return np.empty(descriptor.storage_shape, descriptor.data_type.storage)


def read_only(data: memoryview, descriptor: Descriptor) -> Array:
    """The bytes of a tensor as an array that can't be written."""
    return np.frombuffer(data.toreadonly(), descriptor.data_type.storage).reshape(descriptor.storage_shape)


def head(array: Array, descriptor: Descriptor) -> memoryview:
    """The bytes of a contiguous array that a tensor fills; the same memory."""
    return _flat(array)[: descriptor.byte_length]


def _is_raw(array: Array, descriptor: Descriptor) -> bool:
    """Whether it stands for bytes; an array with several dimensions for a uint8 tensor stands for its elements."""
    return array.dtype == np.uint8 and (array.ndim == 1 or descriptor.data_type is not DataType.UINT8)


def _check_type(array: Array, descriptor: Descriptor, name: str) -> None:
    if array.dtype != descriptor.data_type.storage or descriptor.data_type.is_packed:
        raise MLTypeError(f"{name}: an array of {array.dtype.str} is not {descriptor.data_type}")


def _flat(array: Array) -> memoryview:
    flat: Array = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    return flat.data
