"""Calls wait for their turn, in order, and one that does not come to be takes no place."""

from __future__ import annotations

from renderer._lanes import Lane


def test_as_many_calls_as_there_are_places_are_under_way() -> None:
    begun: list[int] = []
    lane = Lane(2)
    for number in range(4):
        lane.enter(lambda number=number: begun.append(number) is None)  # type: ignore[misc]
    assert begun == [0, 1]
    lane.leave()
    assert begun == [0, 1, 2]
    lane.leave()
    lane.leave()
    assert begun == [0, 1, 2, 3]


def test_calls_that_do_not_come_to_be_do_not_stop_the_others() -> None:
    tried: list[int] = []
    lane = Lane(1)
    lane.enter(lambda: True)
    for number in range(5000):
        lane.enter(lambda number=number: tried.append(number) is not None)  # type: ignore[misc]
    lane.leave()
    assert tried == list(range(5000))
    lane.enter(lambda: tried.append(-1) is None)
    assert tried[-1] == -1
