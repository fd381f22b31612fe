"""What a ring is made of, and what it could have been made of: the cost of each, in nanoseconds.

python -m scripts.bench.primitives
"""

from __future__ import annotations

import ctypes
import mmap
import os
import select
import socket
import struct
import time
from collections.abc import Callable, Iterator

import numpy as np

from ipc.timeline.ring import RING_BYTES, GpuEnd, RendererEnd
from ipc.timeline.ring.bells import give_way, make_fence
from ipc.timeline.ring.commands import DISPATCH, NO_TOKEN

_ROUNDS, _CALLS = 7, 20_000
_DONT_WAIT = socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL


def main() -> int:
    for name, call in _candidates():
        print(f"{name:55s} {_nanoseconds(call):7.0f}")
    return 0


def _nanoseconds(call: Callable[[], object]) -> float:
    """Of one call, at best: what else the machine does only makes it slower."""
    best = float("inf")
    for _ in range(_ROUNDS):
        began = time.perf_counter_ns()
        for _ in range(_CALLS):
            call()
        best = min(best, (time.perf_counter_ns() - began) / _CALLS)
    return best


def _candidates() -> Iterator[tuple[str, Callable[[], object]]]:
    memory = mmap.mmap(-1, 4096)
    yield "nothing: a call of a Python function", lambda: None

    words = memoryview(memory).cast("Q")
    array = np.frombuffer(memory, np.uint64)
    word = struct.Struct("Q")
    fields = (ctypes.c_uint64 * 512).from_buffer(memory)
    yield "a word: load by memoryview (used)", lambda: words[8]
    yield "a word: load by struct", lambda: word.unpack_from(memory, 64)
    yield "a word: load by ctypes", lambda: fields[8]
    yield "a word: load by NumPy", lambda: array[8]
    yield "a word: store by memoryview (used)", lambda: words.__setitem__(8, 1)

    yield "a fence: a free lock taken and released (used)", make_fence()
    yield "giving way: sched_yield, interpreter released (used)", give_way
    yield "giving way: os.sched_yield", os.sched_yield

    bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
    epoll = select.epoll()
    epoll.register(bell, select.EPOLLIN | select.EPOLLET)
    yield "to the GPU process: eventfd written (used)", lambda: os.eventfd_write(bell, 1)

    def ring_and_hear() -> None:
        os.eventfd_write(bell, 1)
        epoll.poll(0)

    def ring_hear_and_read() -> None:
        ring_and_hear()
        os.eventfd_read(bell)

    yield "the same, with its edge-triggered event (used)", ring_and_hear
    yield "the same, and read", ring_hear_and_read
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        ours, theirs = socket.socketpair(socket.AF_UNIX, kind)
        name = f"to the renderer: {kind.name}, byte sent and received" + (
            " (used)" if kind == socket.SOCK_STREAM else ""
        )
        yield name, lambda a=ours, b=theirs: (a.send(b"!", _DONT_WAIT), b.recv(64, _DONT_WAIT))  # type: ignore[misc]

    ring = memoryview(bytearray(RING_BYTES))
    renderer = RendererEnd(ring, lambda: None, make_fence())
    gpu = GpuEnd(ring, lambda: None, make_fence())

    def command() -> None:
        renderer.publish(DISPATCH, 1, NO_TOKEN)
        gpu.available()
        gpu.take()
        gpu.complete()
        renderer.take_note(renderer.look())

    yield "a command: published, checked, completed, seen", command


if __name__ == "__main__":
    raise SystemExit(main())
