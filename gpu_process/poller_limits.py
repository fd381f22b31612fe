"""How many threads poll and serve rings. Apart from `poller`, which imports more than a host may."""

from __future__ import annotations

from typing import Final

MAX_IDLE: Final = 2
"""Threads that wait to lead; more than that end."""

MAX_HELD_UP: Final = 2
"""Threads that execute long commands of one session at a time; its other rings wait, so that nobody else's have to."""


def threads_for(sessions: int) -> int:
    """How many threads there can be at most."""
    return 1 + MAX_IDLE + sessions * MAX_HELD_UP
