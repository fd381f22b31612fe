"""One thread polls all rings: others go on while a command takes long, nobody is missed, and what ends is freed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from gpu_process.poller_limits import threads_for
from ipc.errors import InvalidStateError
from ipc.timeline import ClientTensor, TimelineClient
from ipc.timeline.ring.layout import ASLEEP, PUBLISHED
from ipc.verdicts import BadMessageReason
from tests.gpu_process.backends_for_tests import GatedBackend
from tests.service_rig import FLOAT, SECONDS, RawContext, Rig, as_floats, increment, running, unary


class Renderer:
    """A session with one context on a ring."""

    def __init__(self, rig: Rig) -> None:
        self.session = rig.renderer()
        self.context: RawContext = self.session.context("ring")
        self.timeline: TimelineClient = self.context.connect()
        self.source, self.target = self.context.tensor(), self.context.tensor()

    @property
    def words(self) -> memoryview:
        return self.session.rings[self.context.token].region.memory.data[:4096].cast("Q")

    def round_trip(self, value: float) -> None:
        write(self.timeline, self.source, value)
        assert as_floats(self.timeline.read(self.source).result(SECONDS))[0, 0] == value

    def close(self) -> None:
        self.timeline.fail(InvalidStateError("the test is over"))
        self.session.close()


def write(timeline: TimelineClient, tensor: ClientTensor, value: float) -> None:
    timeline.write(tensor, np.full(FLOAT.shape, value, np.float32).data.cast("B"))


@pytest.fixture
def gated(tmp_path: Path) -> Iterator[tuple[Rig, GatedBackend]]:
    backend = GatedBackend()
    with running(tmp_path, backend) as rig:
        yield rig, backend
        backend.open.set()


def _hold_up(renderer: Renderer, backend: GatedBackend) -> None:
    """Have it run what does not end before the gate opens."""
    graph = renderer.context.build(unary("relu"))
    renderer.timeline.dispatch(graph, {"x": renderer.source}, {"y": renderer.target})
    assert backend.entered.wait(SECONDS)


def test_others_go_on_while_a_dispatch_takes_long(gated: tuple[Rig, GatedBackend]) -> None:
    rig, backend = gated
    slow, fast = Renderer(rig), Renderer(rig)
    _hold_up(slow, backend)
    for turn in range(50):
        fast.round_trip(turn)
    pending = slow.timeline.read(slow.target)
    assert not pending.done()
    backend.open.set()
    pending.result(SECONDS)
    slow.round_trip(7)


def test_who_comes_while_the_only_one_is_held_up_is_served(gated: tuple[Rig, GatedBackend]) -> None:
    rig, backend = gated
    slow = Renderer(rig)
    _hold_up(slow, backend)
    Renderer(rig).round_trip(1)


def test_several_can_be_held_up_at_once(gated: tuple[Rig, GatedBackend]) -> None:
    rig, backend = gated
    slow = [Renderer(rig) for _ in range(4)]
    for renderer in slow:
        backend.entered.clear()
        _hold_up(renderer, backend)
    Renderer(rig).round_trip(1)
    backend.open.set()
    for renderer in slow:
        renderer.timeline.read(renderer.target).result(SECONDS)


def test_one_session_cannot_take_all_threads(gated: tuple[Rig, GatedBackend]) -> None:
    rig, backend = gated
    greedy = rig.renderer()
    contexts = [greedy.context("ring") for _ in range(8)]
    timelines = [context.connect() for context in contexts]
    targets = []
    for context, timeline in zip(contexts, timelines, strict=True):
        graph = context.build(unary("relu"))
        targets.append(context.tensor())
        timeline.dispatch(graph, {"x": context.tensor()}, {"y": targets[-1]})
    assert backend.entered.wait(SECONDS)
    other = Renderer(rig)
    for turn in range(20):
        other.round_trip(turn)
    assert backend.runs <= 2
    assert len(_pollers()) <= threads_for(sessions=1)
    backend.open.set()
    for timeline, target in zip(timelines, targets, strict=True):
        timeline.read(target).result(SECONDS)


def test_threads_that_were_needed_for_a_moment_do_not_stay(gated: tuple[Rig, GatedBackend]) -> None:
    rig, backend = gated
    slow = [Renderer(rig) for _ in range(8)]
    for renderer in slow:
        backend.entered.clear()
        _hold_up(renderer, backend)
    assert len(_pollers()) >= 9
    backend.open.set()
    for renderer in slow:
        renderer.timeline.read(renderer.target).result(SECONDS)
    for thread in _pollers():
        thread.join(0.2)
    assert len(_pollers()) <= 4


def _pollers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "webnn-rings"]


def test_a_write_is_ordered_behind_a_dispatch_that_runs(gated: tuple[Rig, GatedBackend]) -> None:
    rig, backend = gated
    renderer = Renderer(rig)
    write(renderer.timeline, renderer.source, 1)
    _hold_up(renderer, backend)
    for value in (2, 3, 4):
        write(renderer.timeline, renderer.source, value)
    result = renderer.timeline.read(renderer.target)
    backend.open.set()
    assert as_floats(result.result(SECONDS))[0, 0] == 1
    assert as_floats(renderer.timeline.read(renderer.source).result(SECONDS))[0, 0] == 4


@pytest.mark.parametrize("spin_us", [0, 20])
def test_no_wake_up_is_lost_when_both_sides_sleep_all_the_time(tmp_path: Path, spin_us: int) -> None:
    with running(tmp_path, spin_us=spin_us) as rig:
        session = rig.renderer()
        context = session.context("ring")
        timeline = context.connect(spin_us=0)
        graph = context.build(increment(session.offer(np.ones(FLOAT.shape, np.float32).tobytes())))
        tensors = [context.tensor(), context.tensor()]
        for turn in range(2000):
            source, target = tensors if turn % 2 == 0 else reversed(tensors)
            timeline.dispatch(graph, {"x": source}, {"y": target})
            if turn % 3 == 0:
                assert as_floats(timeline.read(target).result(SECONDS))[0, 0] == turn + 1
        timeline.fail(InvalidStateError("the test is over"))


def test_who_has_nothing_to_do_sleeps(tmp_path: Path) -> None:
    with running(tmp_path) as rig:
        renderer = Renderer(rig)
        renderer.round_trip(1)
        asleep = threading.Event()
        for _ in range(1000):
            if renderer.words[ASLEEP]:
                break
            asleep.wait(0.01)
        assert renderer.words[ASLEEP]
        renderer.round_trip(2)


def test_a_bad_command_ends_its_session_and_no_other(tmp_path: Path) -> None:
    with running(tmp_path) as rig:
        bad, good = Renderer(rig), Renderer(rig)
        bad.words[PUBLISHED] = 2**40
        good.round_trip(1)  # wakes the thread, which then looks at all rings
        assert rig.reports.of(bad.session.number) == (BadMessageReason.RING_CURSOR.value, "ring.published")
        good.round_trip(2)


def _disconnect(rig: Rig, renderer: Renderer) -> None:
    number = renderer.session.number
    renderer.session.close()
    rig.reports.of(number)  # it has been noticed, before anything goes on


Ending = Callable[[Rig, Renderer], object]
_ENDINGS: dict[str, Ending] = {
    "destroyed": lambda rig, renderer: renderer.context.destroy(),
    "disconnected": _disconnect,
    "ended by the host": lambda rig, renderer: rig.service.end_session(renderer.session.number),
}


@pytest.mark.parametrize("ending", _ENDINGS)
def test_an_end_in_the_middle_of_a_command_frees_everything_after_it(
    gated: tuple[Rig, GatedBackend], ending: str
) -> None:
    rig, backend = gated
    closed = threading.Event()
    backend.on_close = closed.set
    renderer, other = Renderer(rig), Renderer(rig)
    _hold_up(renderer, backend)
    pending = renderer.timeline.read(renderer.target)
    told = threading.Event()
    pending.add_done_callback(lambda _: told.set())
    _ENDINGS[ending](rig, renderer)
    other.round_trip(1)
    assert not closed.is_set()  # the graph is running still
    backend.open.set()
    assert closed.wait(SECONDS)
    assert "ended" in renderer.context.broken.get(timeout=SECONDS)
    renderer.timeline.fail(InvalidStateError("over"))
    assert told.wait(SECONDS)
    other.round_trip(2)
