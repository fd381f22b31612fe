"""What wakes the other side of a ring, and what orders memory.

Both descriptors are shared with somebody hostile, and whoever shares an open file shares its `O_NONBLOCK` and its
content. The GPU process therefore never makes a call on one that could wait:

- towards the GPU process: an eventfd. The renderer writes to it, the GPU process only watches it, edge-triggered: a
  write makes an event whatever the counter holds, and nothing is ever read. Filled, drained, set to block: whatever the
  renderer does to it, it does to itself.
- towards the renderer: a socket pair, of which each side holds one end. The GPU process sends one byte with
  `MSG_DONTWAIT`, which holds for the call and not for the file. If the buffer is full, there are bells that the
  renderer has not heard yet.

What the alternatives cost is in docs/ipc.md.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import threading
import weakref
from collections.abc import Callable
from typing import Final

from ipc.timeline.ring.ends import Bell, Fence

_SEND_FLAGS: Final = socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL

give_way: Callable[[], object] = ctypes.CDLL(None).sched_yield
"""sched_yield(2), with the interpreter's lock released meanwhile: os.sched_yield keeps it before CPython 3.12."""


def make_fence() -> Fence:
    """A memory fence: taking a lock that nobody holds is a locked instruction, which on x86-64 is a full one."""
    lock = threading.Lock()
    acquire, release = lock.acquire, lock.release

    def fence() -> None:
        acquire(False)
        release()

    return fence


def eventfd_bell(descriptor: int) -> Bell:
    """The renderer's way to wake the GPU process."""
    ring = os.eventfd_write

    def bell() -> None:
        try:
            ring(descriptor, 1)
        except BlockingIOError:  # full, so that somebody else rings it as well: it makes no difference
            return

    return bell


def socket_bell(sock: socket.socket) -> Bell:
    """The GPU process's way to wake a renderer, which may be gone."""
    send = sock.send

    def bell() -> None:
        try:
            send(b"!", _SEND_FLAGS)
        except (BlockingIOError, BrokenPipeError, ConnectionResetError):
            return  # it has not heard the last ones yet, or is gone, and its session ends elsewhere

    return bell


class RendererBells:
    """The descriptors of a ring that the renderer holds; they are closed with the object, or before.

    Attributes:
        doorbell: eventfd that wakes the GPU process.
        socket: where it rings.
        nudge: eventfd with which threads of this process wake the one that listens.
    """

    def __init__(self, doorbell: int, sock: socket.socket) -> None:
        self.doorbell = doorbell
        self.socket = sock
        self.nudge = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._is_nudged = False
        self._close = weakref.finalize(self, _close, doorbell, self.nudge, sock)

    def wake_driver(self) -> None:
        """Have whoever listens look again."""
        os.eventfd_write(self.nudge, 1)
        self._is_nudged = True

    def heard(self) -> bool:
        """Take all bells that were rung; False if the other side has closed its end."""
        if self._is_nudged:
            self._is_nudged = False
            # Somebody may nudge just now: then this takes both, and the next one finds nothing.
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(self.nudge)
        try:
            return bool(self.socket.recv(4096, socket.MSG_DONTWAIT))
        except BlockingIOError:
            return True
        except OSError:  # reset, or shut down by ourselves
            return False

    def hush(self) -> None:
        """Wake whoever waits for bells, for there are no more."""
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # closed, or the other side is gone: nobody waits

    def close(self) -> None:
        """Idempotent."""
        self._close()


def _close(doorbell: int, nudge: int, sock: socket.socket) -> None:
    os.close(doorbell)
    os.close(nudge)
    sock.close()
