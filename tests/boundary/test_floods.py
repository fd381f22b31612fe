"""Whoever floods the GPU process does not starve the others; how much they feel it is measured in the campaign."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.boundary.floods import FLOODS, flooded
from tests.boundary.stage import Honest
from tests.boundary.target import Target


@pytest.mark.parametrize("name", FLOODS)
def test_others_are_served_and_right_while_one_floods(target: Target, name: str) -> None:
    honest = Honest(target.renderer().open())
    with flooded(target, name):
        for number in range(20):
            honest.computes(number - 9.5)
        late = Honest(target.renderer().open())  # who comes later is served as well
        late.computes(0.5)
        late.close()
    honest.computes(1.5)
    honest.close()


def test_a_flooded_session_that_is_gone_is_gone(target: Target) -> None:
    """With all that it had queued."""
    before = target.footprint()
    with flooded(target, "commands"):
        pass
    target.assert_footprint(lambda _: not target.sessions(), "the flood goes on")
    target.assert_footprint(lambda now: now.descriptors <= before.descriptors + 2, f"before {before}")


# --- campaign ---------------------------------------------------------------------------------------------------------


def _milliseconds(act: Callable[[], object], rounds: int) -> list[float]:
    found = []
    for _ in range(rounds):
        began = time.perf_counter()
        act()
        found.append((time.perf_counter() - began) * 1e3)
    return found


@pytest.mark.campaign
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_raises_the_others_median_at_most_threefold(
    start_target: Callable[..., Target], capsys: pytest.CaptureFixture[str], name: str
) -> None:
    target = start_target()
    honest = Honest(target.renderer().open(), (64, 64))
    calm, wild = [], []
    for _ in range(3):  # in turns, for the machine may have other things to do
        calm += _milliseconds(lambda: honest.computes(1.0), 300)
        with flooded(target, name):
            wild += _milliseconds(lambda: honest.computes(1.0), 300)
    honest.close()
    before, during = statistics.median(calm), statistics.median(wild)
    with capsys.disabled():
        print(f"\n{name}: median {before:.2f} ms alone, {during:.2f} ms beside the flood ({during / before:.1f} times)")
    assert during <= 3 * before


@pytest.mark.campaign
@pytest.mark.timeout(300)
def test_what_timing_tells_of_others(start_target: Callable[..., Target], capsys: pytest.CaptureFixture[str]) -> None:
    """Not prevented, only measured: how well one renderer can tell from its own latency whether another is at work."""
    target = start_target()
    spy, victim = (Honest(target.renderer().open(), (64, 64)) for _ in range(2))
    heavy = Honest(target.renderer().open(), (1024, 1024))
    silent = _milliseconds(lambda: spy.computes(1.0), 500)
    seen: dict[str, list[float]] = {}
    for name, other in (("small dispatches", victim), ("large dispatches", heavy)):
        with _meanwhile(lambda other=other: other.computes(1.0)):  # type: ignore[misc]
            seen[name] = _milliseconds(lambda: spy.computes(1.0), 500)
    threshold = statistics.median(silent)
    with capsys.disabled():
        print(f"\nalone: median {threshold:.2f} ms")
        for name, found in seen.items():
            above = sum(it > threshold for it in found) / len(found)
            print(f"beside {name}: median {statistics.median(found):.2f} ms; {above:.0%} above the median alone")
    for each in (spy, victim, heavy):
        each.close()


@contextmanager
def _meanwhile(act: Callable[[], object]) -> Iterator[None]:
    over = threading.Event()

    def work() -> None:
        while not over.is_set():
            act()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
