"""Slots in the shared memory of one session."""

from __future__ import annotations

import errno
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_process.pools import Slot, SlotPool
from ipc.shared_memory import ALIGNMENT, PAGE, Region, allocated_bytes, map_pool


class Offered:
    """What a renderer would have mapped."""

    def __init__(self) -> None:
        self.regions: dict[bytes, Region] = {}

    def __call__(self, token: bytes, fd: int, size: int) -> None:
        duplicate = os.dup(fd)
        self.regions[token] = map_pool(duplicate, size)
        os.close(duplicate)


def test_the_renderer_finds_a_slot_where_it_is_told_to_look() -> None:
    offered = Offered()
    slot = SlotPool(offered).allocate(1000, renderer_may_write=True)
    slot.memory[:] = 7
    assert bytes(offered.regions[slot.region].view(slot.offset, 1000)) == b"\7" * 1000


def test_slots_that_may_be_written_and_those_that_may_not_share_no_region() -> None:
    offered = Offered()
    pool = SlotPool(offered)
    writable = pool.allocate(10, renderer_may_write=True)
    readable = pool.allocate(10, renderer_may_write=False)
    assert offered.regions[writable.region].writable
    assert not offered.regions[readable.region].writable


def test_a_slot_that_is_used_again_is_zero() -> None:
    pool = SlotPool(Offered())
    slot = pool.allocate(3 * PAGE, renderer_may_write=True)
    slot.memory[:] = 255
    pool.free(slot)
    again = pool.allocate(PAGE, renderer_may_write=True)
    assert (again.region, again.offset) == (slot.region, slot.offset)
    assert not again.memory.any()


def test_regions_are_few_and_serve_again() -> None:
    offered = Offered()
    pool = SlotPool(offered)
    for _ in range(1000):
        slots = [pool.allocate(length, renderer_may_write=True) for length in (1, 100_000, 64, 1 << 20)]
        for slot in slots:
            pool.free(slot)
    assert len(offered.regions) == 1


def test_a_slot_larger_than_a_region_gets_one_of_its_own() -> None:
    offered = Offered()
    slot = SlotPool(offered).allocate(65 << 20, renderer_may_write=True)
    assert offered.regions[slot.region].size == 65 << 20


def test_no_descriptor_stays_open_after_a_pool() -> None:
    before = len(os.listdir("/proc/self/fd"))
    pool = SlotPool(Offered())
    pool.allocate(10, renderer_may_write=True)
    kept = pool.allocate(1 << 20, renderer_may_write=False)
    assert len(os.listdir("/proc/self/fd")) == before + 2
    arenas = list(pool._owners.values())  # whoever else still has them
    pool.close()
    assert len(os.listdir("/proc/self/fd")) == before
    assert pool.mapped_bytes() == 0
    assert not kept.memory.any()
    del arenas


def test_no_descriptor_stays_open_where_a_region_cannot_be_offered() -> None:
    def offer(token: bytes, fd: int, size: int) -> None:
        raise ConnectionError

    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(ConnectionError) as raised:
        SlotPool(offer).allocate(10, renderer_may_write=True)
    assert len(os.listdir("/proc/self/fd")) == before, "whoever has the error holds what it was raised in"
    del raised


def test_regions_grow_with_what_there_is() -> None:
    offered = Offered()
    pool = SlotPool(offered)
    for _ in range(17):
        pool.allocate(4 << 20, renderer_may_write=True)
    assert [region.size >> 20 for region in offered.regions.values()] == [4, 4, 8, 16, 32, 64]


def test_large_slots_have_pages_of_their_own_and_small_ones_share_them() -> None:
    pool = SlotPool(Offered())
    lengths = (10, 10, PAGE, PAGE + 1, 10, 10)
    offsets = [pool.allocate(length, renderer_may_write=True).offset for length in lengths]
    assert offsets == [0, ALIGNMENT, PAGE, 2 * PAGE, 2 * ALIGNMENT, 3 * ALIGNMENT]


def test_memory_of_a_slot_is_set_aside_before_anybody_touches_it() -> None:
    descriptors: list[int] = []
    pool = SlotPool(lambda token, fd, size: descriptors.append(os.dup(fd)))
    for count in range(1, 4):
        pool.allocate(1 << 20, renderer_may_write=True)
        assert allocated_bytes(descriptors[0]) == count << 20  # no more either: others need it
    os.close(descriptors[0])


def test_memory_of_a_small_slot_is_there_too() -> None:
    descriptors: list[int] = []
    pool = SlotPool(lambda token, fd, size: descriptors.append(os.dup(fd)))
    pool.allocate(10, renderer_may_write=True)
    assert allocated_bytes(descriptors[0]) == PAGE
    os.close(descriptors[0])


def test_what_is_taken_leaves_one_gap_and_what_is_given_back_none_between() -> None:
    pool = SlotPool(Offered())
    slots = [pool.allocate(length, renderer_may_write=True) for length in (10, 100, 1000) * 10]
    (arena,) = pool._owners.values()
    assert len(arena._gaps) == 1
    for slot in (*slots[::2], *slots[1::2]):
        pool.free(slot)
    assert arena._gaps == [(0, arena.region.size)]


def test_a_region_may_be_full_and_be_used_again_from_its_end() -> None:
    pool = SlotPool(Offered())
    slots = [pool.allocate(1 << 20, renderer_may_write=True) for _ in range(4)]
    (arena,) = pool._owners.values()
    assert arena._gaps == []
    for slot in reversed(slots):
        pool.free(slot)
    assert arena._gaps == [(0, arena.region.size)]


def test_a_large_slot_is_faulted_in_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[int, int]] = []

    class Told:
        def soon(self, region: Region, offset: int, length: int) -> None:
            told.append((offset, length))

    monkeypatch.setattr("gpu_process.pools._faulter", Told())
    pool = SlotPool(Offered())
    pool.allocate(10, renderer_may_write=True)
    pool.allocate(1 << 20, renderer_may_write=True)
    assert told == [(0, PAGE + (1 << 20))], "from the page on that is not full"


def test_where_no_memory_is_left_it_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(fd: int, offset: int, length: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", fails)
    with pytest.raises(MemoryError, match="No space left"):
        SlotPool(Offered()).allocate(1 << 20, renderer_may_write=True)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 3 * PAGE), st.integers(0, 1000)), max_size=60))
def test_slots_are_aligned_and_never_overlap(steps: list[tuple[bool, int, int]]) -> None:
    pool = SlotPool(Offered())
    slots: list[Slot] = []
    for frees, length, pick in steps:
        if frees and slots:
            slot = slots.pop(pick % len(slots))
            assert (slot.memory == slot.memory[0]).all()
            pool.free(slot)
        else:
            slot = pool.allocate(length, renderer_may_write=True)
            assert slot.offset % (PAGE if length >= PAGE else ALIGNMENT) == 0
            assert not slot.memory.any()
            slot.memory[:] = pick % 255 + 1  # who overlaps, is seen when either is freed
            slots.append(slot)
    for slot in slots:
        assert np.unique(slot.memory).size == 1
