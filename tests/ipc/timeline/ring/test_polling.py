"""How long a side polls: as long as nobody else wants the core. The clock is a number, and giving way adds to it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from ipc.timeline.ring.polling import MAX_ABSTAINED, MAX_SHARED, MIN_SHARED, SHARED, WANTED, Polling

SPIN = 100_000
ALONE = 400


class _Side:
    """A side of a ring and its core: each time it gives way, somebody else runs for a while."""

    def __init__(self, spin: int = SPIN, *, waits_for_answers: bool = True) -> None:
        self.now = 0
        self.others: Iterator[int] = itertools.repeat(ALONE)
        self.polling = Polling(
            spin, waits_for_answers=waits_for_answers, give_way=self._give_way, clock=lambda: self.now
        )

    def _give_way(self) -> None:
        self.now += next(self.others)

    def wait(self, *others: int, found_after: int | None = None, until: float = float("inf")) -> int:
        """One wait in which the others run for so long, and for a moment from then on; how many rounds it had."""
        self.others = itertools.chain(others, itertools.repeat(ALONE))
        count = 0
        for _ in self.polling.rounds(until):
            count += 1
            if count == found_after:
                break
        return count

    def sleeps(self, waits: int, *others: int) -> int:
        """How many of some waits that find what they wait for in their second round sleep at once."""
        return sum(self.wait(*others, found_after=2) == 0 for _ in range(waits))


def test_a_wait_with_a_core_of_its_own_polls_for_as_long_as_it_may() -> None:
    assert _Side().wait() == SPIN // ALONE
    assert _Side(spin=0).wait() == 0
    assert _Side().sleeps(1000) == 0


def test_a_wait_polls_no_longer_than_until_its_deadline() -> None:
    assert _Side().wait(until=4 * ALONE) == 4


def test_a_deadline_is_no_reason_to_poll_less_afterwards() -> None:
    side = _Side()
    side.wait(until=4 * ALONE)
    assert side.wait(found_after=2) == 2


def test_a_wait_stops_polling_when_another_program_has_had_the_core() -> None:
    for waits_for_answers in (False, True):
        assert _Side(waits_for_answers=waits_for_answers).wait(ALONE, WANTED) == 2


def test_after_that_waits_sleep_at_once_more_and_more_of_them() -> None:
    for waits_for_answers in (False, True):
        side = _Side(waits_for_answers=waits_for_answers)
        polled = [wait for wait in range(400) if side.wait(WANTED)]
        between = [after - before - 1 for before, after in itertools.pairwise(polled)]
        assert between[:8] == [1, 2, 4, 8, 16, 32, MAX_ABSTAINED, MAX_ABSTAINED]


def test_one_wait_that_polls_undisturbed_makes_up_for_it() -> None:
    side = _Side()
    for _ in range(5):
        side.wait(WANTED)
        side.sleeps(MAX_ABSTAINED)
    side.wait(WANTED)
    assert side.sleeps(MAX_ABSTAINED) == 1


def test_who_has_polled_in_vain_for_an_answer_sleeps_at_once_the_next_time() -> None:
    side = _Side()
    assert side.wait() > 1
    assert side.sleeps(10) == 1


def test_nothing_is_in_vain_for_who_waits_for_what_may_never_come() -> None:
    side = _Side(waits_for_answers=False)
    assert side.wait() > 1
    assert side.sleeps(10) == 0


def test_a_core_that_is_shared_with_the_other_side_is_polled_on_but_now_and_then_a_wait_sleeps() -> None:
    side = _Side()
    for tried in (MIN_SHARED, 2 * MIN_SHARED, 4 * MIN_SHARED):
        assert [side.wait(SHARED, found_after=2) for _ in range(tried)] == [2] * tried
        assert side.wait(SHARED, found_after=2) == 0
    side.sleeps(100 * MAX_SHARED, SHARED)
    assert side.sleeps(100 * MAX_SHARED, SHARED) in (99, 100)


def test_waits_on_a_shared_core_count_only_in_a_row() -> None:
    side = _Side()
    for _ in range(10):
        assert side.sleeps(MIN_SHARED - 1, SHARED) == 0
        assert side.sleeps(1) == 0


def test_only_who_waits_for_answers_looks_for_a_core_of_its_own() -> None:
    assert _Side(waits_for_answers=False).sleeps(10 * MAX_SHARED, SHARED) == 0
