"""How many gRPC calls of one kind are under way at a time; the others wait for their turn, in their order.

A GPU process refuses what is too much at once, and a renderer with a hundred tasks is no reason to be refused.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

Begin = Callable[[], bool]
"""Begins a call; whether it is under way, and `leave` will be called."""


class Lane:
    """A queue with a number of places at its head."""

    def __init__(self, places: int) -> None:
        self._places = places
        self._waiting: deque[Begin] = deque()
        self._lock = threading.Lock()

    def enter(self, begin: Begin) -> None:
        """Begin the call, now or when its turn comes."""
        with self._lock:
            self._waiting.append(begin)
        self._fill()

    def leave(self) -> None:
        """A call is over."""
        with self._lock:
            self._places += 1
        self._fill()

    def _fill(self) -> None:
        while True:
            with self._lock:
                if not (self._places and self._waiting):
                    return
                self._places -= 1
                begin = self._waiting.popleft()
            if not begin():
                with self._lock:
                    self._places += 1
