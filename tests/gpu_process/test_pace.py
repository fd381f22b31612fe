"""A session that keeps others waiting is slowed down; one that does not, or is alone, is not."""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gpu_process import scheduler
from gpu_process.pace import Pace
from ipc.shared_memory import seal_constants
from ipc.timeline import ReadHandle
from tests.gpu_process.backends_for_tests import GatedBackend
from tests.service_rig import FLOAT, SECONDS, RawContext, running, unary


class Machine:
    """Clocks that a test turns, and how much others have done."""

    def __init__(self) -> None:
        self.now = 100.0
        self.worked = 0.0
        self.done_by_others = 0
        self.pace = Pace(lambda: self.done_by_others, clock=lambda: self.now, work_clock=lambda: self.worked)

    def spend(self, seconds: float) -> float:
        """Work; the rest that it costs."""
        self.now += seconds
        return self.pace.charge(seconds)


@pytest.fixture
def machine() -> Machine:
    return Machine()


def test_a_burst_is_free_and_a_flood_gets_a_quarter(machine: Machine) -> None:
    rests = []
    began = machine.now
    for _ in range(1000):
        machine.done_by_others += 1
        rests.append(machine.spend(0.001))
        machine.now += rests[-1]
    assert not any(rests[:30])
    assert machine.now - began == pytest.approx(4.0, rel=0.05), "a second's work takes four"


def test_who_is_alone_never_rests(machine: Machine) -> None:
    machine.done_by_others = 1000  # once
    machine.pace.charge(0.0)
    assert not any(machine.spend(0.001) for _ in range(1000))


def test_others_that_stop_are_kept_waiting_by_nobody(machine: Machine) -> None:
    while not machine.spend(0.001):
        machine.done_by_others += 1
    machine.now += 0.02
    assert not any(machine.spend(0.001) for _ in range(1000))


def test_work_in_several_threads_rests_for_one_clock(machine: Machine) -> None:
    while not machine.spend(0.001):
        machine.done_by_others += 1
    rests = [machine.pace.charge(0.001) for _ in range(10)]
    assert all(later - earlier == pytest.approx(0.004) for earlier, later in itertools.pairwise(rests))


def test_what_computes_for_long_counts_for_little(machine: Machine) -> None:
    machine.done_by_others = 1
    assert not machine.spend(60.0)


def test_who_has_to_rest_rests_until_the_end_at_most(machine: Machine) -> None:
    while not machine.spend(0.001):
        machine.done_by_others += 1
    rested = threading.Event()

    def work() -> None:
        with machine.pace.work():
            machine.now += 0.01
            machine.done_by_others += 1
            for _ in range(1000):
                machine.pace.charge(0.02)
        rested.set()

    thread = threading.Thread(target=work)
    thread.start()
    assert not rested.wait(0.2), "of a minute and more"
    machine.pace.end()
    assert rested.wait(SECONDS)
    thread.join()


# --- in the service ---------------------------------------------------------------------------------------------------


class _Noted(Pace):
    """Counts what was charged."""

    def __init__(self) -> None:
        super().__init__(lambda: 0)
        self.charges = 0

    def charge(self, seconds: float) -> float:
        self.charges += 1
        return super().charge(seconds)


def test_every_call_and_every_packet_is_charged(tmp_path: Path) -> None:
    with running(tmp_path) as rig:
        renderer = rig.renderer()
        session = rig.service._sessions[renderer.number]
        noted = session.pace = _Noted()
        context = renderer.context()
        context.tensor()
        context.build(unary("relu"))
        context.destroy()
        assert noted.charges >= 4, "calls"
        other = renderer.context()
        before = noted.charges
        fd = seal_constants([bytes(64)], "test")
        regions = [renderer.offer_fd(fd, 64) for _ in range(20)]
        os.close(fd)
        other.constant_tensor_reply(FLOAT, regions[-1])
        assert noted.charges >= before + 21, "packets"


def test_only_commands_of_others_count(tmp_path: Path) -> None:
    with running(tmp_path) as rig:
        one, two = rig.renderer(), rig.renderer()
        context = one.context()
        timeline = context.connect()
        tensor = context.tensor()
        timeline.write(tensor, memoryview(bytes(24)))
        timeline.read(tensor).result(SECONDS)
        assert [rig.service.done_by_others(it.number) for it in (one, two)] == [0, 2]


class _Working:
    """A context that has its graph run once already, so that the next run is known to be short."""

    def __init__(self, context: RawContext) -> None:
        self._graph = context.build(unary("relu"))
        self._x, self._y = context.tensor(), context.tensor()
        self._timeline = context.connect()
        self.run().result(SECONDS)

    def run(self) -> ReadHandle:
        self._timeline.dispatch(self._graph, {"x": self._x}, {"y": self._y})
        return self._timeline.read(self._y)


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        os.sched_yield()


def test_timelines_of_a_session_take_turns_and_those_of_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is short: one thread of each session competes for the interpreter."""
    monkeypatch.setattr(scheduler, "LONG", 10**15)  # whatever ran once is short, on any machine
    backend = GatedBackend()
    backend.open.set()
    with running(tmp_path, backend) as rig:
        session, bystander = rig.renderer(), rig.renderer()
        first, second = (_Working(session.context()) for _ in range(2))
        other = _Working(bystander.context())
        backend.open.clear()
        backend.entered.clear()
        results = [first.run()]
        assert backend.entered.wait(SECONDS)
        before = backend.runs
        results.append(second.run())
        results.append(other.run())
        _wait_for(lambda: backend.runs > before)
        # That is the bystander's: the second had not to wait for it, and would have come before.
        assert backend.runs == before + 1, "two of one session at a time"
        backend.open.set()
        for result in results:
            result.result(SECONDS)


def test_what_takes_long_holds_up_no_other_timeline_of_its_session(tmp_path: Path) -> None:
    backend = GatedBackend()
    with running(tmp_path, backend) as rig:
        session = rig.renderer()
        context, other = session.context(), session.context()
        graph = context.build(unary("relu"))
        x, y = context.tensor(), context.tensor()
        timeline = context.connect()
        timeline.dispatch(graph, {"x": x}, {"y": y})  # nobody knows yet how long it takes
        slow = timeline.read(y)
        assert backend.entered.wait(SECONDS)
        tensor, quick = other.tensor(), other.connect()
        quick.write(tensor, memoryview(b"\1" * 24))
        assert quick.read(tensor).result(SECONDS) == b"\1" * 24
        backend.open.set()
        slow.result(SECONDS)
