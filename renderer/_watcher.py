"""The one thread beside the caller's: it hears host and GPU processes, and frees what was forgotten."""

from __future__ import annotations

import contextlib
import heapq
import itertools
import logging
import os
import selectors
import threading
import time
from collections import deque
from collections.abc import Callable

logger = logging.getLogger(__name__)

Job = Callable[[], object]


class Watcher:
    """Calls back when a descriptor is readable, when a time has come, or as soon as it can.

    `soon` is all that a finalizer may use: garbage is collected anywhere, also inside a locked section.
    """

    def __init__(self) -> None:
        self._selector = selectors.PollSelector()  # no epoll: a forked child would share its state with us
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._selector.register(self._wake, selectors.EVENT_READ, lambda: None)
        self._jobs: deque[Job] = deque()
        self._timers: list[tuple[float, int, Job]] = []
        self._order = itertools.count()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="webnn-renderer-watcher", daemon=True)
        self._thread.start()

    def watch(self, descriptor: int, readable: Job) -> None:
        """Call `readable` whenever the descriptor is; until `unwatch`."""
        self.soon(lambda: self._register(descriptor, readable))

    def unwatch(self, descriptor: int, then: Job) -> None:
        """Forget the descriptor, and only then do what closes it."""

        def forget() -> None:
            if descriptor in self._selector.get_map():
                self._selector.unregister(descriptor)
            then()

        self.soon(forget)

    def soon(self, job: Job) -> None:
        """Do the job in the watcher's thread. Takes no lock."""
        self._jobs.append(job)
        if self._wake >= 0:
            os.eventfd_write(self._wake, 1)

    def after(self, seconds: float, job: Job) -> None:
        """Do the job later."""
        timer = (time.monotonic() + seconds, next(self._order), job)
        self.soon(lambda: heapq.heappush(self._timers, timer))

    def close(self) -> None:
        """Do the jobs that are waiting, drop the timers, and end the thread."""
        self.soon(self._stop)
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def __del__(self) -> None:
        # Not before: a late `soon` must never write to whatever descriptor has the number then. One may come even now,
        # from the finalizer of what is collected together with this.
        wake, self._wake = self._wake, -1
        os.close(wake)

    def _stop(self) -> None:
        self._closing = True

    def _register(self, descriptor: int, readable: Job) -> None:
        self._selector.register(descriptor, selectors.EVENT_READ, readable)

    def _run(self) -> None:
        while not self._closing:
            for key, _ in self._selector.select(self._until_next_timer()):
                _guarded(key.data)
            self._drain()
            while self._jobs:
                _guarded(self._jobs.popleft())
            while self._timers and self._timers[0][0] <= time.monotonic():
                _guarded(heapq.heappop(self._timers)[2])
        self._selector.close()
        self._timers.clear()  # they refer to what refers to us, and our descriptor should not wait for a collection

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError):  # nobody has written since
            os.eventfd_read(self._wake)

    def _until_next_timer(self) -> float | None:
        if self._jobs:
            return 0
        return max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else None


def _guarded(job: Job) -> None:
    try:
        job()
    except Exception:
        logger.exception("a job of the watcher failed")  # one broken session must not deafen the others
