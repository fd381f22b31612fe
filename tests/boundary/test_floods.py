"""Whoever floods the GPU process does not starve the others; how much they feel it is measured in the campaign."""

from __future__ import annotations

import multiprocessing
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ipc.generated.webnn.v1 import context_pb2, timeline_pb2
from tests.boundary import right_graph
from tests.boundary.cases_ring import define, definition
from tests.boundary.hostile_client import (
    HostileRenderer,
    Ring,
    Session,
    context_request,
    descriptor,
    dispatch,
    dispatch_again,
    read,
    sealed,
    tensor_request,
    write,
)
from tests.boundary.stage import Honest, Stage
from tests.boundary.target import Target

BATCH = 4096


def _commands(session: Session) -> None:
    """As many commands as fit into a batch, in all contexts that there may be."""
    stages = [Stage(session) for _ in range(8)]
    runs = []
    for stage in stages:
        command = dispatch(stage.relu, [("x", stage.tensor)], [("y", stage.other_tensor)])
        stage.timeline.results(stage.timeline.commands(command))
        runs.append((stage, stage.timeline))
    while True:
        for stage, timeline in runs:
            last = timeline.commands(*(_cheap(stage, number) for number in range(BATCH)))
        timeline.results(last)


def _cheap(stage: Stage, number: int) -> timeline_pb2.Command:
    return (write(stage.tensor), dispatch_again(), read(stage.other_tensor))[number % 3]


def _heavy(session: Session) -> None:
    """Dispatches that each take long, in all contexts that there may be."""
    runs = []
    for _ in range(8):
        stage = Stage(session)
        large = descriptor(1 << 20)
        x, y = (session.tensor(stage.context, descriptor=large) for _ in range(2))
        graph = session.graph(stage.context, right_graph.relu(1 << 20))
        stage.timeline.results(stage.timeline.commands(dispatch(graph, [("x", x)], [("y", y)])))
        runs.append(stage.timeline)
    while True:
        for timeline in runs:
            last = timeline.commands(*(dispatch_again() for _ in range(20)))
        for timeline in runs:
            timeline.results(last)


def _calls(session: Session) -> None:
    """Calls as fast as they are answered, many at once."""
    context = session.context()
    create: Any = session.channel.unary_unary("/webnn.v1.WebNN/CreateTensor")
    data = tensor_request(context).SerializeToString()
    while True:
        pending = [create.future(data, metadata=session.metadata(), timeout=20) for _ in range(64)]
        for call in pending:
            call.exception()


def _strangers(session: Session) -> None:
    """Calls without a session."""
    session.secret = bytes(32)
    create: Any = session.channel.unary_unary("/webnn.v1.WebNN/CreateContext")
    data = context_request().SerializeToString()
    while True:
        pending = [create.future(data, metadata=session.metadata(), timeout=20) for _ in range(64)]
        for call in pending:
            call.exception()


def _builds(session: Session) -> None:
    context = session.context()
    build: Any = session.channel.stream_unary("/webnn.v1.WebNN/CreateGraph")
    graph = right_graph.relu().SerializeToString()
    chunk = context_pb2.CreateGraphChunk(context=context, total_bytes=len(graph), data=graph).SerializeToString()
    while True:
        pending = [build.future(iter([chunk]), metadata=session.metadata(), timeout=20) for _ in range(16)]
        for call in pending:
            call.exception()


def _regions(session: Session) -> None:
    """Regions offered and withdrawn, as fast as the socket takes them."""
    fd = sealed(bytes(64))
    number = 0
    while True:
        number += 1
        token = number.to_bytes(16, "little")
        session.offer(fd, 64, token)
        session.say(region_withdrawn={"token": token})


def _ring(session: Session) -> None:
    """A ring that is never empty."""
    stage = Stage(session)
    define(stage, definition(stage))
    ring = stage.ring
    published = 0
    while True:
        room = ring.completed() + Ring.CAPACITY - published
        for _ in range(room):
            published += 1
            ring.put(published, Ring.DISPATCH, 1)
        ring.publish(published)


def _sessions(session: Session) -> None:
    """Sessions that end at once."""
    while True:
        other = session.renderer.open()
        other.close()


FLOODS: dict[str, Callable[[Session], None]] = {
    "commands": _commands,
    "heavy": _heavy,
    "calls": _calls,
    "strangers": _strangers,
    "builds": _builds,
    "regions": _regions,
    "ring": _ring,
    "sessions": _sessions,
}


def _flood(path: Path, name: str, ready: Any) -> None:
    """In a process of its own, until it is killed."""
    with HostileRenderer(path) as renderer:
        session = renderer.open()
        ready.set()
        FLOODS[name](session)


@contextmanager
def flooded(target: Target, name: str) -> Iterator[None]:
    """While a renderer floods the target."""
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    process = context.Process(target=_flood, args=(target.path, name, ready), daemon=True)
    process.start()
    assert ready.wait(30)
    try:
        yield
    finally:
        assert process.is_alive(), "it has flooded nobody"
        process.kill()
        process.join()


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
