"""What a session does beside its timelines, held to a share of the process while others have commands executed.

Python executes one thread at a time, so that every call and every packet of one session keeps the commands of all
others waiting. A burst is free, as it takes to create a model's tensors; whoever goes on like that is made to wait
between one call and the next. Where nobody else is at work, nobody waits.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

_FACTOR: Final = 4.0
"""Seconds that a session's account is charged for each second of work: a quarter of a processor is its share."""

_BURST: Final = 0.1
"""Seconds that it may be ahead."""

_LOOK: Final = 0.01
"""Seconds between two looks at what others do."""

_RECENT: Final = 1.0
"""Seconds after which a look tells nothing any more."""

_LONGEST: Final = 0.02
"""Seconds of one piece of work that count. What takes longer computes, which holds up nobody."""


class Pace:
    """Of one session. Thread-safe.

    Work is charged to a clock that runs ahead of the real one; when it is too far ahead, whoever worked rests until it
    is not. As all rest for the same clock, it does not help a session to work in many threads.
    """

    def __init__(
        self,
        others_done: Callable[[], int],
        *,
        clock: Callable[[], float] = time.monotonic,
        work_clock: Callable[[], float] = time.thread_time,
    ) -> None:
        """
        Args:
            others_done: how many commands of other sessions have been executed.
        """
        self._others_done = others_done
        self._clock = clock
        self._work_clock = work_clock
        self._lock = threading.Lock()
        self._ahead = 0.0  # what the clock of the work shows
        self._seen = 0
        self._looked = 0.0
        self._others_work = False
        self._over = threading.Event()

    @contextmanager
    def work(self, overhead: float = 0.0) -> Iterator[None]:
        """Charge the session for what this thread does within, and rest after it if there was too much.

        Args:
            overhead: seconds of work that others do for it.
        """
        began = self._work_clock()
        try:
            yield
        finally:
            rest = self.charge(self._work_clock() - began + overhead)
            if rest > 0:
                self._over.wait(rest)

    def charge(self, seconds: float) -> float:
        """Note work that was done; the seconds to rest now."""
        with self._lock:
            now = self._clock()
            self._ahead = max(self._ahead, now) + _FACTOR * min(seconds, _LONGEST)
            rest = self._ahead - now - _BURST
            if rest > 0 and not self._others_are_at_work(now):
                self._ahead = now
                return 0.0
            return max(0.0, rest)

    def end(self) -> None:
        """Nobody needs to rest any more."""
        self._over.set()

    def _others_are_at_work(self, now: float) -> bool:
        since = now - self._looked
        if since >= _LOOK:
            done = self._others_done()
            self._others_work = since < _RECENT and done != self._seen
            self._seen, self._looked = done, now
        return self._others_work
