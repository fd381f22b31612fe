"""Pages that are faulted in ahead, in a thread that nobody waits for."""

from __future__ import annotations

import os
import queue
import weakref
from collections.abc import Iterator

import pytest

from gpu_process.faulting import Faulter
from ipc.shared_memory import Region, allocated_bytes, create_pool

MIB = 1 << 20


@pytest.fixture
def pool() -> Iterator[tuple[Region, int]]:
    region, fd = create_pool(16 * MIB, "test", peer_may_write=True)
    yield region, fd
    os.close(fd)


class Watched(Region):
    """Tells what was done."""

    __slots__ = ("done",)

    def __init__(self, fd: int) -> None:
        super().__init__(fd, 16 * MIB, writable=True)
        self.done: queue.SimpleQueue[tuple[int, int]] = queue.SimpleQueue()

    def prefault(self, offset: int, length: int) -> None:
        super().prefault(offset, length)
        self.done.put((offset, length))


@pytest.fixture
def watched(pool: tuple[Region, int]) -> Watched:
    return Watched(pool[1])


def test_what_was_asked_for_is_there_and_no_more(pool: tuple[Region, int], watched: Watched) -> None:
    Faulter().soon(watched, MIB, 9 * MIB)
    pieces = [watched.done.get(timeout=30) for _ in range(3)]
    assert pieces == [(MIB, 4 * MIB), (5 * MIB, 4 * MIB), (9 * MIB, MIB)]
    assert allocated_bytes(pool[1]) == 9 * MIB
    assert not watched.memory.any()


def test_what_was_written_before_it_came_stays(watched: Watched) -> None:
    watched.memory[:] = 7
    Faulter().soon(watched, 0, MIB)
    watched.done.get(timeout=30)
    assert (watched.memory == 7).all()


def test_no_region_lives_longer_for_it(pool: tuple[Region, int], watched: Watched) -> None:
    faulter, (region, _) = Faulter(), pool
    forgotten = Watched(pool[1])
    gone, unmapped, done = weakref.ref(forgotten), queue.SimpleQueue[None](), forgotten.done
    forgotten.when_unmapped(lambda: unmapped.put(None))
    faulter.soon(region, 0, 16 * MIB)  # so that it has something else to do
    faulter.soon(forgotten, 0, 16 * MIB)
    del forgotten
    faulter.soon(watched, 0, MIB)
    watched.done.get(timeout=30)  # it is past it
    assert gone() is None
    unmapped.get(timeout=30)
    assert done.qsize() <= 1  # no more than the piece that was under way
