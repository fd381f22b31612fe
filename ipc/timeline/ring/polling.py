"""How long to poll before sleeping: as long as nobody else wants the core.

Polling is cheap where each side has a core of its own. Giving way, sched_yield(2), tells whether it has: alone it takes
less than a microsecond, and what takes longer has let somebody else run.

- *Wanted* by another program: who polls then gets its core back a time slice later, and who sleeps is woken in the
  midst of the other's. So the wait stops polling, and those that follow sleep at once.
- *In vain*: what is waited for takes longer than that, or is kept from running by whoever polls, for the kernel need
  not let anybody run when somebody gives way. Those that follow sleep at once.
- *Shared* with the other side: it runs when we give way, and we run when it does. That is faster than sleeping, but two
  cores were faster still, and who never sleeps stays where it is: the kernel looks for an idle core when it wakes
  somebody up. So now and then a wait sleeps at once.

Each is tried again less and less often, until a wait has polled without it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Final

SHARED: Final = 5_000
"""Nanoseconds of giving way after which somebody else has run, who may be the other side."""

WANTED: Final = 50_000
"""Nanoseconds of giving way after which that was more than the other side with a small command."""

MAX_ABSTAINED: Final = 64
"""Waits that sleep at once before one polls again, at most."""

MIN_SHARED: Final = 8
"""Waits in a row on a shared core before one sleeps at once; twice as many each time."""

MAX_SHARED: Final = 1024
"""And at most."""


class Polling:
    """Decides for one side of a ring; has neither a clock of its own nor a way to give way.

    Threads may use it at once: they disturb one another's counts, on which nothing depends but speed.
    """

    __slots__ = (
        "_abstain",
        "_abstained",
        "_clock",
        "_give_way",
        "_is_shared",
        "_is_wanted",
        "_noticeable",
        "_shared",
        "_spin",
        "_tried",
        "_waits_for_answers",
    )

    def __init__(
        self,
        spin: int,
        *,
        waits_for_answers: bool,
        give_way: Callable[[], object],
        clock: Callable[[], int],
    ) -> None:
        """
        Args:
            spin: nanoseconds to poll, where nobody minds; 0 sleeps at once.
            waits_for_answers: what is waited for is under way. Otherwise nothing is in vain, for it may be a long time
                until anything comes; nor does this side look for a core of its own, which is for one of them to do.
            clock: in nanoseconds.
        """
        self._spin = spin
        self._waits_for_answers = waits_for_answers
        self._noticeable = SHARED if waits_for_answers else WANTED
        self._give_way = give_way
        self._clock = clock
        self._abstain = 0  # waits that are to sleep at once
        self._abstained = 0  # how many they were the last time
        self._shared = 0  # waits on a shared core since one has slept for that reason
        self._tried = MIN_SHARED  # how many they are to be
        self._is_shared = self._is_wanted = False  # in the wait that has polled last

    def rounds(self, until: float = math.inf) -> Iterator[bool]:
        """The rounds of one wait, each to look for what is waited for; gives way between them, ends when to sleep.

        Args:
            until: time of the clock to stop at.

        Yields:
            True.
        """
        if self._abstain:
            self._abstain -= 1
            return
        if self._is_shared or self._is_wanted:
            self._is_shared = self._is_wanted = False
        else:
            self._abstained, self._shared, self._tried = 0, 0, MIN_SHARED
        clock, give_way, noticeable = self._clock, self._give_way, self._noticeable
        now = clock()
        end = min(until, now + self._spin)
        while now < end:
            yield True
            give_way()
            before, now = now, clock()
            if now - before >= noticeable:
                if now - before >= WANTED:
                    self._wanted()
                    return
                self._found_shared()
        if self._waits_for_answers and now < until:
            self._wanted()

    def _wanted(self) -> None:
        self._is_wanted = True
        self._abstain = self._abstained = min(2 * self._abstained or 1, MAX_ABSTAINED)

    def _found_shared(self) -> None:
        if self._is_shared:
            return
        self._is_shared = True
        self._shared += 1
        if self._shared >= self._tried:
            self._shared, self._tried = 0, min(2 * self._tried, MAX_SHARED)
            self._abstain = 1
