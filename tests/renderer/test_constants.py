"""The bytes of a builder's constants: copied once, each at an aligned place, and gone with whoever held them."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from ipc.shared_memory import ALIGNMENT, check_constants, map_constants
from renderer._constants import Constants

SMALL, LARGE = 10, 1 << 20


@pytest.fixture(autouse=True)
def no_descriptor_is_left() -> Iterator[None]:
    before = _descriptors()
    yield
    assert _descriptors() == before


def _descriptors() -> list[str]:
    return [path for fd in os.listdir("/proc/self/fd") if "webnn-constants" in (path := _target(fd))]


def _target(fd: str) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except FileNotFoundError:  # that of the listing itself
        return ""


def _content(number: int, size: int) -> bytes:
    return bytes([number % 255 + 1]) * size


@pytest.mark.parametrize(
    "sizes",
    [[SMALL], [LARGE], [SMALL, LARGE], [LARGE, SMALL], [SMALL, SMALL, LARGE + 3, SMALL, LARGE, 1], [1000] * 700],
    ids=["small", "large", "small, large", "large, small", "mixed", "many small"],
)
def test_every_constant_is_where_it_was_said_to_be(sizes: list[int]) -> None:
    constants = Constants()
    contents = [_content(number, size) for number, size in enumerate(sizes)]
    offsets = [constants.add(memoryview(content)) for content in contents]
    read = [constants.read(offset, len(content)) for offset, content in zip(offsets, contents, strict=True)]
    assert read == contents
    descriptor = constants.seal()
    try:
        size = os.fstat(descriptor).st_size
        check_constants(descriptor, size)
        memory = map_constants(descriptor, size).memory.tobytes()
    finally:
        os.close(descriptor)
    for offset, content in zip(offsets, contents, strict=True):
        assert offset % ALIGNMENT == 0
        assert memory[offset : offset + len(content)] == content


def test_a_constant_is_copied_when_it_is_added() -> None:
    for size in (SMALL, LARGE):
        constants, data = Constants(), bytearray(_content(1, size))
        offset = constants.add(memoryview(data))
        data[:] = bytes(size)
        assert constants.read(offset, size) == _content(1, size)


def test_small_constants_hold_no_descriptor() -> None:
    constants = Constants()
    for number in range(100):
        constants.add(memoryview(_content(number, SMALL)))
    assert _descriptors() == []


def test_constants_that_are_never_built_let_go_of_their_memory() -> None:
    constants = Constants()
    constants.add(memoryview(_content(1, LARGE)))
    assert len(_descriptors()) == 1
    del constants
    assert _descriptors() == []
