"""What a renderer can do to a ring and its bells, live: it ends as a bad message or harms nobody but its author."""

from __future__ import annotations

import fcntl
import mmap
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from ipc.processes import python_environment
from ipc.timeline.ring.layout import PUBLISHED, WAKE_AT
from renderer import ML, MLContext
from tests.boundary.cases_ring import define, definition
from tests.boundary.hostile_client import SECONDS, HostileRenderer, Ring
from tests.boundary.stage import Stage
from tests.boundary.target import Target

WORD = struct.Struct("=Q")


@pytest.fixture
def attacker(renderer: HostileRenderer) -> Stage:
    return Stage(renderer.open())


@pytest.fixture
def bystander(target: Target) -> Iterator[MLContext]:
    """A correct renderer on a ring of the same GPU process."""
    with ML(socket=target.path, backend="reference") as ml, ml.create_context(carrier="ring") as context:
        assert context.gpu_process_pid
        yield context


def _goes_on(context: MLContext) -> None:
    """Several round trips of somebody else, with the right result."""
    with context.create_tensor("float32", (2,), readable=True, writable=True) as tensor:
        for turn in range(20):
            content = np.full(2, turn, np.float32)
            context.write_tensor(tensor, content)
            assert np.array_equal(context.read_tensor(tensor, timeout=SECONDS), content)


def _fill(ring: Ring) -> None:
    os.eventfd_read(ring.doorbell)  # the ring was used: it counts something
    os.eventfd_write(ring.doorbell, 2**64 - 2)


def _make_blocking(ring: Ring) -> None:
    for descriptor in (ring.doorbell, ring.bell.fileno()):
        flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
        fcntl.fcntl(descriptor, fcntl.F_SETFL, flags & ~os.O_NONBLOCK)


def _close_both(ring: Ring) -> None:
    os.close(ring.doorbell)
    ring.bell.close()
    ring.doorbell = os.open(os.devnull, os.O_RDONLY)
    ring.bell = socket.socket()


def _shut_down(ring: Ring) -> None:
    ring.bell.shutdown(socket.SHUT_RDWR)


def _flood(ring: Ring) -> None:
    _make_blocking(ring)
    ring.bell.setblocking(False)
    try:
        while True:
            ring.bell.send(b"x" * 4096)
    except BlockingIOError:
        return


def _send_descriptors(ring: Ring) -> None:
    pipe = os.pipe()
    socket.send_fds(ring.bell, [b"x"], list(pipe))
    for end in pipe:
        os.close(end)


_ABUSES: dict[str, Callable[[Ring], None]] = {
    "filled": _fill,
    "made blocking": _make_blocking,
    "filled and made blocking": lambda ring: (_fill(ring), _make_blocking(ring))[1],
    "closed": _close_both,
    "shut down": _shut_down,
    "flooded": _flood,
    "given descriptors": _send_descriptors,
}


@pytest.mark.parametrize("abuse", _ABUSES)
def test_bells_block_and_end_nobody_whatever_is_done_to_them(attacker: Stage, bystander: MLContext, abuse: str) -> None:
    ring, token = attacker.ring, attacker.ring_tensor
    ring.wait_for(ring.command(Ring.READ, token=token))
    _ABUSES[abuse](ring)
    for _ in range(30):  # each completion rings
        ring.sequence += 1
        ring.put(ring.sequence, Ring.READ, 0, token)
        WORD.pack_into(ring.memory, 8 * WAKE_AT, ring.sequence)
        WORD.pack_into(ring.memory, 8 * PUBLISHED, ring.sequence)
        _goes_on(bystander)  # whose commands wake the thread that polls, if no bell does
        ring.wait_for(ring.sequence)


def test_a_ring_that_is_filled_and_whose_completions_nobody_reads_holds_up_nobody(
    attacker: Stage, bystander: MLContext
) -> None:
    ring, token = attacker.ring, attacker.ring_tensor
    for _ in range(4):
        first = ring.sequence
        for number in range(first + 1, first + Ring.CAPACITY + 1):
            ring.put(number, Ring.READ, 0, token)
        ring.sequence = first + Ring.CAPACITY
        ring.publish(ring.sequence)
        ring.wait_for(ring.sequence)
    _goes_on(bystander)


def test_commands_that_change_after_they_are_published_are_obeyed_once_or_refused(
    attacker: Stage, bystander: MLContext
) -> None:
    ring, token = attacker.ring, attacker.ring_tensor
    dice = random.Random(3)
    for _ in range(50):
        ring.command(Ring.READ, 0, token)
        ring.memory[4096 : 4096 + 64 * Ring.CAPACITY] = dice.randbytes(64 * Ring.CAPACITY)
    ring.command(0)  # if it was fast enough to obey all of them
    closed = attacker.session.closed()
    assert closed is not None
    assert closed[0] in ("sequence", "ring_command")
    _goes_on(bystander)


def test_garbage_all_over_the_ring_ends_its_session_only(attacker: Stage, bystander: MLContext) -> None:
    ring = attacker.ring
    ring.memory[:] = random.Random(4).randbytes(len(ring.memory))
    os.eventfd_write(ring.doorbell, 1)
    closed = attacker.session.closed()
    assert closed is not None
    assert closed[0] in ("ring_cursor", "sequence")
    _goes_on(bystander)


_HALF_WAY = """
import os, signal, sys
from tests.boundary.hostile_client import HostileRenderer, Ring
from tests.boundary.stage import Stage
from pathlib import Path
stage = Stage(HostileRenderer(Path(sys.argv[1])).open())
ring, token = stage.ring, stage.ring_tensor
ring.wait_for(ring.command(Ring.READ, 0, token))
half, what = Ring._COMMAND.pack(2, Ring.READ, 0, token, b""), sys.argv[2]
if what == "written":
    ring.memory[4096 + 64 : 4096 + 64 + 20] = half[:20]
else:
    ring.memory[4096 + 64 : 4096 + 64 + 12] = half[:12]
    ring.publish(2)
print("stopping", flush=True)
os.kill(os.getpid(), signal.SIGSTOP)
"""


@pytest.mark.parametrize("what", ["written", "published"])
def test_a_renderer_that_stops_half_way_through_a_command_holds_up_nobody(
    target: Target, bystander: MLContext, what: str
) -> None:
    root = Path(__file__).parents[2]
    stopped = subprocess.Popen(
        [sys.executable, "-c", _HALF_WAY, str(target.path), what],
        cwd=root,
        env=python_environment(),
        stdout=subprocess.PIPE,
    )
    try:
        assert stopped.stdout is not None
        assert stopped.stdout.readline() == b"stopping\n"
        _, status = os.waitpid(stopped.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        _goes_on(bystander)
        sessions = len(target.sessions())
        assert sessions == (2 if what == "written" else 1)  # what is published by halves is a bad message
    finally:
        os.kill(stopped.pid, signal.SIGKILL)
        stopped.communicate()
    deadline = time.monotonic() + SECONDS
    while len(target.sessions()) > 1:
        assert time.monotonic() < deadline, "the session of a killed renderer stays"


def test_tensors_that_change_while_a_graph_runs_change_results_only(attacker: Stage, bystander: MLContext) -> None:
    ring = attacker.ring
    define(attacker, definition(attacker))
    token = attacker.ring_tensor
    info = attacker.session.create_tensor(attacker.ring_context).tensor
    fd, size = attacker.session.offered(info.slot.region)
    memory = mmap.mmap(fd, size)
    dice = random.Random(5)
    for _ in range(200):
        ring.command(Ring.WRITE, 0, token)
        last = ring.command(Ring.DISPATCH, 1)
        memory[:4096] = dice.randbytes(4096)
        ring.wait_for(last)
    memory.close()
    _goes_on(bystander)
