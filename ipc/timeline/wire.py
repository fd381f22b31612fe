"""Batches whose megabytes are not copied into messages and out of them again.

Protocol Buffers in Python copy a field of bytes when it is set, when the message is serialised, when it is parsed, and
when it is asked for. Each copy of a tensor is memory that the kernel has to find first, which takes longer than the
copy. So whoever sends a tensor writes what is around its bytes and puts the bytes there, and whoever receives one takes
the large fields out before the rest is parsed. What travels is a serialised message like any other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

LARGE: Final = 16 << 10
"""Bytes from which a field is worth it."""

WRITTEN: Final = (1, 2, 2)
"""Numbers of the fields in which a `CommandBatch` has what is written: `commands`, `write`, `data`."""

READ: Final = (1, 2, 1)
"""Numbers of the fields in which a `CompletionBatch` has what is read: `completions`, `read`, `data`."""

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_MAX_VARINT: Final = 10  # bytes


class WireError(ValueError):
    """Bytes that are no serialised message."""


def wrapped(path: Sequence[int], content: memoryview, *others: bytes) -> list[bytes | memoryview]:
    """A message with bytes in the field at the end of a path, in pieces: joined, it is serialised.

    Args:
        path: field numbers from the outside to the inside.
        others: the other fields, serialised, of the message that each number but the first is in.
    """
    pieces: list[bytes | memoryview] = [content]
    length = content.nbytes
    for number, fields in zip(reversed(path), (*reversed(others), b""), strict=True):
        head = fields + _head(number, length)
        length += len(head)
        pieces.insert(0, head)
    return pieces


def carved(message: bytes, path: Sequence[int]) -> tuple[bytes, list[memoryview]]:
    """A serialised message without the large bytes at the end of a path, and those: the fields are there, but empty.

    Nothing is checked but what must be to find them. Whoever parses the rest finds as many empty fields as there are
    views, in their order, or the message is not what a correct peer sends.

    Raises:
        WireError: it is no message.
    """
    if len(message) < LARGE:
        return message, []
    views: list[memoryview] = []
    return b"".join(_carve(memoryview(message), path, views)), views


def _carve(message: memoryview, path: Sequence[int], views: list[memoryview]) -> Iterator[bytes | memoryview]:
    for number, start, content, end in _fields(message):
        if number != path[0] or end - content < LARGE:
            yield message[start:end]
        elif len(path) == 1:
            views.append(message[content:end])
            yield _head(number, 0)
        else:
            inner = b"".join(_carve(message[content:end], path[1:], views))
            yield _head(number, len(inner))
            yield inner


def _fields(message: memoryview) -> Iterator[tuple[int, int, int, int]]:
    """Of each field: its number, or 0 if it is not one of bytes; where it starts, where its content does, its end."""
    size = message.nbytes
    at = 0
    while at < size:
        start = at
        tag, at = _varint(message, at)
        kind = tag & 7
        content = at
        if kind == _LENGTH:
            length, content = _varint(message, at)
            at = content + length
        elif kind == _VARINT:
            _, at = _varint(message, at)
        elif kind in (_FIXED32, _FIXED64):
            at += 4 if kind == _FIXED32 else 8
        else:
            raise WireError(f"a field of kind {kind}")
        if at > size:
            raise WireError("a field ends after its message")
        yield tag >> 3 if kind == _LENGTH else 0, start, content, at


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """A number, and where it ends."""
    value = 0
    for i, byte in enumerate(message[at : at + _MAX_VARINT]):
        value |= (byte & 0x7F) << 7 * i
        if byte < 0x80:
            return value, at + i + 1
    raise WireError("a number without an end")


def _head(number: int, length: int) -> bytes:
    """What comes before the content of a field of bytes."""
    head = bytearray((number << 3 | _LENGTH,))  # numbers up to 15
    while length >= 0x80:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    head.append(length)
    return bytes(head)
