"""Slots for tensors in memory that a session shares with us.

A pool belongs to one session from its first to its last byte: memory that a renderer could ever map is never given to
another session, nor used for anything private. Regions are few and large, because each is a mapping on both sides; they
live as long as their session.
"""

from __future__ import annotations

import bisect
import os
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass

from gpu_process.faulting import Faulter
from ipc.channel import new_token
from ipc.shared_memory import ALIGNMENT, PAGE, Bytes, Region, create_pool, reserve

Offer = Callable[[bytes, int, int], None]
"""Hands a region over to the renderer: token, descriptor, size."""

_FIRST_REGION = 4 << 20
_LARGEST_REGION = 64 << 20  # unless a single tensor needs more

_FAULTED_AT_ONCE = 256 << 10  # bytes; what takes no longer than to tell another thread, which then is in the way

_faulter = Faulter()  # of all sessions


@dataclass(frozen=True, slots=True, eq=False)
class Slot:
    """Memory of one tensor.

    Attributes:
        region: token of the region that it is in.
        offset: bytes from the start of the region.
        memory: its bytes, as this process sees them.
    """

    region: bytes
    offset: int
    memory: Bytes


class SlotPool:
    """The shared memory of one session, with and without the renderer's permission to write. Thread-safe."""

    def __init__(self, offer: Offer) -> None:
        self._offer = offer
        self._lock = threading.Lock()
        self._arenas: dict[bool, list[_Arena]] = {False: [], True: []}
        self._owners: dict[bytes, _Arena] = {}

    def allocate(self, length: int, *, renderer_may_write: bool) -> Slot:
        """A zeroed slot in memory that is set aside for it, its pages faulted in at once or soon.

        Raises:
            MemoryError: the system has no memory left.
        """
        with self._lock:
            arenas = self._arenas[renderer_may_write]
            for arena in arenas:
                slot = arena.take(length)
                if slot is not None:
                    return slot
            arena = self._grow(length, renderer_may_write)
            slot = arena.take(length)
            assert slot is not None
            return slot

    def free(self, slot: Slot) -> None:
        """Take a slot back; nothing of ours may use it any more."""
        with self._lock:
            owner = self._owners.get(slot.region)
            if owner is not None:  # nor is there one after `close`
                owner.give_back(slot)

    def close(self) -> None:
        """Let go of all regions: each is unmapped when its last tensor is gone, not when Python looks for cycles.

        Their descriptors are closed at once.
        """
        with self._lock:
            self._arenas = {False: [], True: []}
            for arena in self._owners.values():
                arena.close()
            self._owners.clear()

    def mapped_bytes(self) -> int:
        """Size of all regions."""
        with self._lock:
            return sum(arena.region.size for arena in self._owners.values())

    def _grow(self, length: int, renderer_may_write: bool) -> _Arena:
        arenas = self._arenas[renderer_may_write]
        doubled = sum(arena.region.size for arena in arenas) or _FIRST_REGION
        size = max(min(doubled, _LARGEST_REGION), _footprint(length))
        region, fd = create_pool(size, "webnn-pool", peer_may_write=renderer_may_write)
        arena = _Arena(new_token(), region, fd)
        try:
            self._offer(arena.token, fd, region.size)
        except BaseException:
            arena.close()
            raise
        arenas.append(arena)
        self._owners[arena.token] = arena
        return arena


def _unit(length: int) -> int:
    """What a slot's place is a multiple of: large ones have pages of their own; faulting one in touches no other."""
    return PAGE if length >= PAGE else ALIGNMENT


def _footprint(length: int) -> int:
    """What a slot takes."""
    return -(-length // _unit(length)) * _unit(length)


class _Arena:
    """First fit in one region; free gaps are kept in order and merge with their neighbours."""

    def __init__(self, token: bytes, region: Region, fd: int) -> None:
        """Takes over the region's descriptor."""
        self.token = token
        self.region = region
        self.close = weakref.finalize(self, os.close, fd)
        self._fd = fd
        self._gaps = [(0, region.size)]  # (offset, end)
        self._used_up_to = 0  # beyond it, memory is as the kernel gives it: zero, and none before it is asked for

    def take(self, length: int) -> Slot | None:
        size = _footprint(length)
        alignment = _unit(length)
        for index, (start, end) in enumerate(self._gaps):
            offset = -(-start // alignment) * alignment
            if offset + size > end:
                continue
            self._provide(offset + size)
            rest = [(start, offset), (offset + size, end)]
            self._gaps[index : index + 1] = [gap for gap in rest if gap[0] < gap[1]]
            memory = self.region.memory[offset : offset + length]
            memory[: max(0, self._used_up_to - offset)] = 0
            self._used_up_to = max(self._used_up_to, offset + size)
            return Slot(self.token, offset, memory)
        return None

    def _provide(self, end: int) -> None:
        """See to it that there is memory up to `end`, and that it will be faulted in."""
        start = self._used_up_to // PAGE * PAGE
        length = end - start
        if end <= self._used_up_to:
            return
        if length <= _FAULTED_AT_ONCE:
            self.region.prefault(start, length)
        else:
            reserve(self._fd, start, length)
            _faulter.soon(self.region, start, length)

    def give_back(self, slot: Slot) -> None:
        start, end = slot.offset, slot.offset + _footprint(len(slot.memory))
        index = bisect.bisect(self._gaps, (start, end))
        if index < len(self._gaps) and self._gaps[index][0] == end:
            end = self._gaps.pop(index)[1]
        if index and self._gaps[index - 1][1] == start:
            start = self._gaps.pop(index - 1)[0]
            index -= 1
        self._gaps.insert(index, (start, end))
