"""Renderers that flood the GPU process, each with something else: `python -m tests.boundary.floods SOCKET NAME`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ipc.generated.webnn.v1 import context_pb2, timeline_pb2
from ipc.processes import python_command, python_environment
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
from tests.boundary.stage import Stage
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


@contextmanager
def flooded(target: Target, name: str) -> Iterator[None]:
    """While a renderer in a process of its own floods the target."""
    command = python_command("tests.boundary.floods", str(target.path), name)
    with subprocess.Popen(command, env=python_environment(), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == b"connected\n"
            yield
            assert process.poll() is None, "it has flooded nobody"
        finally:
            process.kill()


def main() -> None:
    """Flood until killed."""
    path, name = sys.argv[1:]
    with HostileRenderer(Path(path)) as renderer:
        session = renderer.open()
        print("connected", flush=True)
        FLOODS[name](session)


if __name__ == "__main__":
    main()
