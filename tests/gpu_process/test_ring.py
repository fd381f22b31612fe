"""What belongs to a ring in the GPU process."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from gpu_process.ring import RingParts
from ipc.shared_memory import map_pool
from ipc.timeline.ring import RING_BYTES
from ipc.timeline.ring.bells import socket_bell


@pytest.fixture
def parts() -> Iterator[RingParts]:
    parts = RingParts()
    yield parts
    parts.sent()
    parts.close()


def test_the_renderer_can_map_a_ring_and_never_change_its_size(parts: RingParts) -> None:
    region, _, _ = parts.descriptors()
    assert map_pool(region, parts.size).writable
    for size in (0, 4096, 2 * RING_BYTES):
        with pytest.raises(PermissionError):
            os.ftruncate(region, size)


def test_a_new_ring_is_empty(parts: RingParts) -> None:
    assert not parts.end.pending()
    assert parts.end.available() == 0


def test_ringing_a_renderer_that_never_listens_does_not_block() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ring = socket_bell(ours)
        for _ in range(10_000):  # far more than its buffer takes
            ring()
        theirs.close()
        ring()


def test_a_ring_without_descriptors_left_is_a_memory_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(*_: object) -> int:
        raise OSError(24, "Too many open files")

    before = len(os.listdir("/proc/self/fd"))
    for name in ("eventfd", "memfd_create"):
        with monkeypatch.context() as patch:
            patch.setattr(os, name, none_left)
            with pytest.raises(MemoryError, match="Too many open files"):
                RingParts()
    assert len(os.listdir("/proc/self/fd")) == before
