"""Regions: what their holder cannot do to their reader, tried live."""

from __future__ import annotations

import fcntl
import gc
import mmap
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from ipc.shared_memory import (
    ALIGNMENT,
    CONSTANT_SEALS,
    MAX_REGION_BYTES,
    PAGE,
    POOL_SEALS,
    allocated_bytes,
    check_constants,
    create_pool,
    map_constants,
    map_pool,
    seal_constants,
    seals_of,
)
from ipc.verdicts import BadMessage, BadMessageReason

SIZE = 4 * PAGE


@contextmanager
def _memfd(size: int, seals: int, content: bytes = b"") -> Iterator[int]:
    fd = os.memfd_create("test", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(fd, size)
        os.pwrite(fd, content, 0)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
        yield fd
    finally:
        os.close(fd)


@pytest.fixture(params=[True, False], ids=["writable", "read-only"])
def pool_fd(request: pytest.FixtureRequest) -> Iterator[int]:
    region, fd = create_pool(SIZE, "test", peer_may_write=request.param)
    yield fd
    os.close(fd)
    del region


def test_both_sides_of_a_pool_see_the_same_bytes() -> None:
    ours, fd = create_pool(SIZE, "test", peer_may_write=True)
    theirs = map_pool(fd, SIZE)
    os.close(fd)
    ours.view(100, 3)[:] = b"abc"
    theirs.view(103, 3)[:] = b"def"
    assert bytes(theirs.view(100, 6)) == bytes(ours.view(100, 6)) == b"abcdef"


def test_a_pool_starts_zeroed_and_in_whole_pages() -> None:
    region, fd = create_pool(SIZE - 1, "test", peer_may_write=True)
    os.close(fd)
    assert region.size == SIZE
    assert not region.memory.any()


@pytest.mark.parametrize("size", [0, PAGE, 2 * SIZE])
def test_no_holder_can_change_the_size_of_a_pool(pool_fd: int, size: int) -> None:
    with pytest.raises(PermissionError):
        os.ftruncate(pool_fd, size)


def test_a_read_only_pool_can_be_changed_by_its_maker_only() -> None:
    region, fd = create_pool(SIZE, "test", peer_may_write=False)
    peer = map_pool(fd, SIZE)
    assert not peer.writable
    with pytest.raises(PermissionError):
        os.pwrite(fd, b"x", 0)
    with pytest.raises(PermissionError):
        mmap.mmap(fd, SIZE)
    with pytest.raises(TypeError):
        peer.view(0, 1)[:] = b"x"
    region.memory[0] = 7
    assert peer.memory[0] == 7
    os.close(fd)


@pytest.mark.parametrize("missing", [fcntl.F_SEAL_SHRINK, fcntl.F_SEAL_GROW])
def test_a_pool_that_could_change_its_size_is_not_mapped(missing: int) -> None:
    with _memfd(SIZE, POOL_SEALS & ~missing) as fd, pytest.raises(BadMessage) as raised:
        map_pool(fd, SIZE)
    assert raised.value.reason is BadMessageReason.REGION_SEALS


def test_views_must_be_within_the_region() -> None:
    region, fd = create_pool(SIZE, "test", peer_may_write=True)
    os.close(fd)
    for offset, length in ((SIZE - 3, 4), (-1, 2), (0, -1), (SIZE + 1, 0)):
        with pytest.raises(ValueError, match="not within a region"):
            region.view(offset, length)
    with pytest.raises(ValueError, match="not within a region"):
        region.array(SIZE - 4, np.dtype(np.int64), ())
    with pytest.raises(ValueError, match="not aligned"):
        region.array(4, np.dtype(np.int64), (2,))


def test_memory_lives_as_long_as_its_last_view() -> None:
    region, fd = create_pool(SIZE, "test", peer_may_write=True)
    os.close(fd)
    unmapped: list[bool] = []
    region.when_unmapped(lambda: unmapped.append(True))
    array = region.array(ALIGNMENT, np.dtype(np.float32), (2, 3))[1:]
    del region
    gc.collect()
    array[...] = 1
    assert array.sum() == 3
    assert not unmapped
    del array
    gc.collect()
    assert unmapped


def test_mapping_keeps_no_descriptor() -> None:
    before = len(os.listdir("/proc/self/fd"))
    regions = []
    for _ in range(20):
        region, fd = create_pool(SIZE, "test", peer_may_write=True)
        os.close(fd)
        regions.append(region)
    assert len(os.listdir("/proc/self/fd")) == before


def test_prefaulting_takes_the_pages_ahead() -> None:
    region, fd = create_pool(SIZE, "test", peer_may_write=True)
    assert allocated_bytes(fd) == 0
    region.prefault(PAGE + 1, PAGE)
    assert allocated_bytes(fd) == 2 * PAGE
    os.close(fd)


# --- constants ----------------------------------------------------------------------------------------------------


def test_constants_arrive_as_they_were_sealed() -> None:
    chunks = [b"abc" * 5000, memoryview(np.arange(3.0)).cast("B")]
    fd = seal_constants(chunks, "test")
    size = 15024
    assert check_constants(fd, size) >= size
    region = map_constants(fd, size)
    os.close(fd)
    assert bytes(region.view(0, size)) == b"".join(map(bytes, chunks))
    assert not region.memory.flags.writeable


def test_sealed_constants_cannot_be_changed_by_anyone() -> None:
    fd = seal_constants([bytes(SIZE)], "test")
    for change in (
        lambda: os.pwrite(fd, b"x", 0),
        lambda: os.ftruncate(fd, 0),
        lambda: os.ftruncate(fd, 2 * SIZE),
        lambda: mmap.mmap(fd, SIZE),
        lambda: fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE),
    ):
        with pytest.raises(PermissionError):
            change()
    os.close(fd)


@pytest.mark.parametrize("missing", [fcntl.F_SEAL_WRITE, fcntl.F_SEAL_SHRINK, fcntl.F_SEAL_GROW, fcntl.F_SEAL_SEAL])
def test_constants_need_every_seal(missing: int) -> None:
    with _memfd(SIZE, CONSTANT_SEALS & ~missing, bytes(SIZE)) as fd, pytest.raises(BadMessage) as raised:
        check_constants(fd, SIZE)
    assert raised.value.reason is BadMessageReason.REGION_SEALS


@pytest.mark.parametrize("declared", [SIZE - 1, SIZE + 1, 0, 2**63, MAX_REGION_BYTES + 1])
def test_constants_have_the_declared_size(declared: int) -> None:
    with _memfd(SIZE, CONSTANT_SEALS, bytes(SIZE)) as fd, pytest.raises(BadMessage) as raised:
        check_constants(fd, declared)
    assert raised.value.reason is BadMessageReason.REGION_SIZE


@pytest.mark.parametrize("content", [b"", bytes(SIZE - PAGE)], ids=["all hole", "a hole at the end"])
def test_a_hole_is_refused_before_it_is_read(content: bytes) -> None:
    with _memfd(SIZE, CONSTANT_SEALS, content) as fd, pytest.raises(BadMessage) as raised:
        check_constants(fd, SIZE)
    assert raised.value.reason is BadMessageReason.REGION_SPARSE


def test_only_memfds_are_regions(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(SIZE))
    left, right = socket.socketpair()
    with path.open("rb") as file, open("/dev/zero", "rb") as device, left, right:
        for fd in (file.fileno(), device.fileno(), left.fileno()):
            with pytest.raises(BadMessage) as raised:
                check_constants(fd, SIZE)
            assert raised.value.reason in (BadMessageReason.REGION_KIND, BadMessageReason.REGION_SEALS)


def test_memfds_are_not_executable_where_the_kernel_can() -> None:
    region, fd = create_pool(SIZE, "test", peer_may_write=True)
    assert os.fstat(fd).st_mode & 0o111 == 0
    assert seals_of(fd) == POOL_SEALS
    os.close(fd)
    del region
