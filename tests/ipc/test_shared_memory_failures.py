"""Shared memory that cannot be had: an error that says so, and no descriptor left behind."""

from __future__ import annotations

import errno
import os
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from ipc import shared_memory
from ipc.shared_memory import PAGE, Region, check_constants, create_pool, map_constants, seal_constants
from ipc.verdicts import BadMessage


@pytest.fixture(autouse=True)
def no_descriptor_is_left() -> Iterator[None]:
    before = os.listdir("/proc/self/fd")
    yield
    assert os.listdir("/proc/self/fd") == before


@contextmanager
def _limited(which: int, limit: int) -> Iterator[None]:
    """A resource limit of this process for a while."""
    soft, hard = resource.getrlimit(which)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(which, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(which, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)


def _failing(error: BaseException) -> Callable[..., Any]:
    def fail(*_: object, **__: object) -> Any:
        raise error

    return fail


MAKES: dict[str, Callable[[], object]] = {
    "a pool": lambda: create_pool(2 * PAGE, "test", peer_may_write=True),
    "constants": lambda: seal_constants([bytes(2 * PAGE)], "test"),
}


@pytest.mark.parametrize("name", MAKES)
def test_a_file_that_may_not_be_so_large_is_no_memory(name: str) -> None:
    with _limited(resource.RLIMIT_FSIZE, PAGE), pytest.raises(MemoryError, match=r"shared memory.*too large"):
        MAKES[name]()


@pytest.mark.parametrize("name", MAKES)
def test_no_descriptor_is_no_memory(name: str) -> None:
    taken = []
    with _limited(resource.RLIMIT_NOFILE, len(os.listdir("/proc/self/fd")) + 16):
        try:
            while True:
                taken.append(os.dup(2))
        except OSError:
            pass
        with pytest.raises(MemoryError, match="shared memory: Too many open files"):
            MAKES[name]()
        for fd in taken:
            os.close(fd)


@pytest.mark.parametrize("name", MAKES)
@pytest.mark.parametrize("error", [OSError(errno.EBUSY, "busy"), KeyboardInterrupt()])
def test_a_seal_that_cannot_be_set_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, name: str, error: BaseException
) -> None:
    monkeypatch.setattr("ipc.shared_memory.fcntl.fcntl", _failing(error))
    expected = MemoryError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected):
        MAKES[name]()


def test_addresses_that_are_used_up_are_no_memory() -> None:
    fd = seal_constants([bytes(PAGE)], "test")
    with _limited(resource.RLIMIT_AS, 1 << 30), pytest.raises(MemoryError, match=r"mapping .* Cannot allocate"):
        map_constants(fd, 1 << 40)
    os.close(fd)


def test_what_cannot_be_mapped_is_an_error_of_its_own() -> None:
    fd = os.open("/", os.O_RDONLY)
    with pytest.raises(OSError, match="mapping 4096 bytes: No such device"):
        Region(fd, PAGE, writable=False)
    os.close(fd)


def test_a_kernel_that_cannot_fault_pages_in_ahead_is_only_slower(monkeypatch: pytest.MonkeyPatch) -> None:
    region, fd = create_pool(PAGE, "test", peer_may_write=True)
    os.close(fd)
    monkeypatch.setattr(shared_memory, "_MADV_POPULATE_WRITE", 9999)  # EINVAL, as before Linux 5.14
    region.prefault(0, PAGE)


def test_pages_that_there_is_no_memory_for_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    region, fd = create_pool(2 * PAGE, "test", peer_may_write=True)
    os.ftruncate(fd, 2 * PAGE)
    os.close(fd)
    monkeypatch.setattr("ipc.shared_memory.ctypes.get_errno", lambda: errno.ENOMEM)
    monkeypatch.setattr(shared_memory, "_MADV_POPULATE_WRITE", 9999)
    with pytest.raises(MemoryError, match="shared memory of 4096 bytes"):
        region.prefault(PAGE, PAGE)
    with pytest.raises(ValueError, match="not within"):
        region.prefault(PAGE, PAGE + 1)


def test_read_only_pages_are_faulted_in_for_reading() -> None:
    """For writing, the kernel would refuse."""
    fd = seal_constants([bytes(PAGE)], "test")
    region = map_constants(fd, PAGE)
    os.close(fd)
    region.prefault(0, PAGE)


def test_a_kernel_without_the_seal_against_execution_does_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real, tried = os.memfd_create, []

    def older(name: str, flags: int) -> int:
        tried.append(flags)
        if flags & shared_memory._MFD_NOEXEC_SEAL:
            raise OSError(errno.EINVAL, "Invalid argument")
        return real(name, flags)

    monkeypatch.setattr("ipc.shared_memory.os.memfd_create", older)
    region, fd = create_pool(PAGE, "test", peer_may_write=True)
    os.close(fd)
    assert region.size == PAGE
    assert len(tried) == 2


def test_exactly_as_much_as_is_declared_is_no_hole() -> None:
    fd = seal_constants([bytes(PAGE)], "test")
    assert check_constants(fd, PAGE) == PAGE
    os.close(fd)


def test_one_byte_is_a_region_and_none_is_not() -> None:
    fd = seal_constants([b"x"], "test")
    assert check_constants(fd, 1) == PAGE
    os.close(fd)
    fd = seal_constants([], "test")
    with pytest.raises(BadMessage, match="region_size"):
        check_constants(fd, 0)
    os.close(fd)


def test_the_largest_region_and_one_byte_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_memory, "MAX_REGION_BYTES", PAGE)
    for size in (PAGE, PAGE + 1):
        fd = seal_constants([bytes(size)], "test")
        if size == PAGE:
            check_constants(fd, size)
        else:
            with pytest.raises(BadMessage, match="region_size"):
                check_constants(fd, size)
        os.close(fd)


def test_views_may_be_empty_and_at_the_very_end() -> None:
    region, fd = create_pool(PAGE, "test", peer_may_write=True)
    os.close(fd)
    assert region.view(PAGE, 0).nbytes == 0
    assert region.view(0, PAGE).nbytes == PAGE
    for offset, length in ((-1, 1), (0, -1), (1, PAGE), (PAGE + 1, 0)):
        with pytest.raises(ValueError, match="not within"):
            region.view(offset, length)
