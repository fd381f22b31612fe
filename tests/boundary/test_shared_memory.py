"""Memory and descriptors in hostile hands, live: changed, filled, drained, closed and reused while commands run."""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import random
import resource
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from ipc.generated.webnn.v1 import common_pb2, context_pb2, graph_pb2
from ipc.verdicts import BadMessageReason as Reason
from tests.boundary import right_graph
from tests.boundary.cases_ring import define, definition
from tests.boundary.hostile_client import (
    ALL_SEALS,
    SECONDS,
    Closed,
    HostileRenderer,
    Ring,
    Session,
    descriptor,
    dispatch,
    dispatch_again,
    memfd,
    read,
    seal,
    sealed,
    send_packet,
    write,
)
from tests.boundary.stage import REGION, Honest, Stage
from tests.boundary.target import Target

MEBIBYTE = 1 << 20


@pytest.fixture
def stage(target: Target) -> Stage:
    return Stage(target.renderer().open())


@pytest.fixture
def honest(target: Target) -> Iterator[Honest]:
    honest = Honest(target.renderer().open(), (64, 64))
    honest.computes(1.5)
    yield honest
    honest.computes(2.5)
    honest.close()


@contextmanager
def _meanwhile(act: Callable[[], object]) -> Iterator[None]:
    """Do something again and again in another thread."""
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
        thread.join(SECONDS)


# --- slots ------------------------------------------------------------------------------------------------------------

# Graphs whose kernels look at their operands more than once, index with them, or count by them.
GRAPHS = ["relu", "gather", "scatter_elements", "softmax", "cumulative_sum", "div"]


def _indexing(name: str) -> tuple[graph_pb2.Graph, list[tuple[int, tuple[int, ...]]]]:
    """A graph with that operator, and type and shape of its inputs."""
    f32, i32 = common_pb2.DATA_TYPE_FLOAT32, common_pb2.DATA_TYPE_INT32
    of = right_graph
    axis = of.attribute("axis", uint=0)
    inputs, output, slots, attributes = {
        "relu": ([(f32, (256,))], (f32, (256,)), ["input"], []),
        "gather": ([(f32, (256,)), (i32, (256,))], (f32, (256,)), ["input", "indices"], [axis]),
        "scatter_elements": (
            [(f32, (256,)), (i32, (256,)), (f32, (256,))],
            (f32, (256,)),
            ["input", "indices", "updates"],
            [axis],
        ),
        "softmax": ([(f32, (16, 16))], (f32, (16, 16)), ["input"], [axis]),
        "cumulative_sum": (
            [(i32, (256,))],
            (i32, (256,)),
            ["input"],
            [axis, of.attribute("exclusive", boolean=False), of.attribute("reversed", boolean=False)],
        ),
        "div": ([(i32, (256,)), (i32, (256,))], (i32, (256,)), ["a", "b"], []),
    }[name]
    count = len(inputs)
    graph = graph_pb2.Graph(
        operands=[
            *(of.operand(of.INPUT, *shape, data_type=kind) for kind, shape in inputs),
            of.operand(of.MADE, *output[1], data_type=output[0]),
        ],
        inputs=[of.named(str(at), at) for at in range(count)],
        outputs=[of.named("y", count)],
        operations=[of.operation(name, dict(zip(slots, range(count), strict=True)), count, *attributes)],
    )
    return graph, [*inputs, output]


@pytest.mark.parametrize("name", GRAPHS)
def test_slots_may_change_under_a_running_graph(honest: Honest, stage: Stage, name: str) -> None:
    """Whatever comes out of it: the process lives, and everybody else's results are right."""
    graph, described = _indexing(name)
    session, context = stage.session, stage.context
    infos = [
        session.create_tensor(context, descriptor=descriptor(*shape, data_type=kind)).tensor
        for kind, shape in described
    ]
    fd, size = session.offered(infos[0].slot.region)
    token = session.graph(context, graph)
    dice = random.Random(name)
    lowest = min(info.slot.offset for info in infos)
    with mmap.mmap(fd, size) as memory:

        def scribble() -> None:
            start = lowest + dice.randrange(8 * 1024)
            memory[start : start + 8] = struct.pack("q", dice.choice([0, -1, 1, 2**31, -(2**31), 2**63 - 1, -(2**63)]))

        with _meanwhile(scribble):
            timeline = session.timeline(context)
            named = [(str(at), info.token) for at, info in enumerate(infos[:-1])]
            timeline.results(timeline.commands(dispatch(token, named, [("y", infos[-1].token)])))
            for round_ in range(20):
                commands = [write(info.token) for info in infos[:-1]]
                last = timeline.commands(*commands, *(dispatch_again() for _ in range(5)), read(infos[-1].token))
                timeline.results(last)
                honest.computes(round_ - 9.5)


def test_a_slot_is_the_tensors_content_only_when_the_renderer_says_so(stage: Stage) -> None:
    """What is scribbled into the slot of a tensor that a graph has made is not read."""
    session, context = stage.session, stage.context
    infos = [session.create_tensor(context).tensor for _ in range(3)]
    timeline = session.timeline(context)
    graph = session.graph(context, right_graph.relu())
    fd, size = session.offered(infos[0].slot.region)
    with mmap.mmap(fd, size) as memory:
        source, middle, target = (slice(it.slot.offset, it.slot.offset + 24) for it in infos)
        memory[source] = struct.pack("6f", *[1.0] * 6)
        timeline.results(
            timeline.commands(write(infos[0].token), dispatch(graph, [("x", infos[0].token)], [("y", infos[1].token)]))
        )
        memory[middle] = struct.pack("6f", *[9.0] * 6)
        command = dispatch(graph, [("x", infos[1].token)], [("y", infos[2].token)], define=2)
        timeline.results(timeline.commands(command, read(infos[2].token)))
        assert struct.unpack("6f", memory[target])[0] in (1.0, 9.0)  # private memory, or in place: never anything else


# --- regions ----------------------------------------------------------------------------------------------------------


def test_the_size_of_a_pool_is_final(stage: Stage) -> None:
    reply = stage.session.create_tensor(stage.context)
    fd, size = stage.session.offered(reply.tensor.slot.region)
    for length in (0, size - 1, size + 1):
        with pytest.raises(PermissionError):
            os.ftruncate(fd, length)
    stage.runs()


def test_holes_punched_into_a_pool_are_the_renderers_own_loss(honest: Honest, stage: Stage) -> None:
    """The kernel permits it on memory that can be written: its content is zero then, and nobody dies."""
    reply = stage.session.create_tensor(stage.context, descriptor=descriptor(MEBIBYTE))
    fd, size = stage.session.offered(reply.tensor.slot.region)
    punch = 1 | 2  # linux/falloc.h: FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE
    libc = ctypes.CDLL(None)

    def hole() -> None:
        assert libc.fallocate(fd, punch, ctypes.c_long(0), ctypes.c_long(size)) == 0

    with _meanwhile(hole):
        timeline = stage.session.timeline(stage.context)
        for _ in range(10):
            timeline.results(timeline.commands(write(reply.tensor.token), read(reply.tensor.token)))
            honest.computes(3.5)


def test_constants_cannot_change_after_they_were_handed_over(stage: Stage) -> None:
    fd = sealed(REGION)
    region = stage.session.offer(fd, len(REGION))
    stage.session.graph(stage.context, right_graph.incremented(region))
    for attempt in (
        lambda: os.pwrite(fd, b"x", 0),
        lambda: mmap.mmap(fd, len(REGION)),
        lambda: os.ftruncate(fd, 0),
        lambda: os.posix_fallocate(fd, 0, 1 << 16),
    ):
        with pytest.raises(OSError, match=r"not permitted|denied"):
            attempt()
    os.close(fd)


def test_a_mapping_that_could_still_write_prevents_the_seal() -> None:
    """Which is why a region with the seal cannot have one."""
    fd = memfd(bytes(4096))
    with mmap.mmap(fd, 4096), pytest.raises(OSError, match="busy"):
        seal(fd, ALL_SEALS)
    os.close(fd)


def test_a_position_in_a_shared_file_means_nothing(stage: Stage) -> None:
    """Whoever shares an open file shares its position; constants are mapped, not read."""
    fd = sealed(REGION)
    os.lseek(fd, 1 << 40, os.SEEK_SET)
    fcntl.fcntl(fd, fcntl.F_SETFL, os.O_NONBLOCK | os.O_APPEND)
    region = stage.session.offer(fd, len(REGION))
    assert stage.session.graph(stage.context, right_graph.incremented(region))
    os.close(fd)


def test_one_file_may_be_many_regions(stage: Stage) -> None:
    """Each is charged; withdrawing one takes nothing from the others."""
    fd = sealed(REGION)
    first, second = (stage.session.offer(fd, len(REGION)) for _ in range(2))
    os.close(fd)
    stage.session.say(region_withdrawn={"token": first})
    assert stage.session.graph(stage.context, right_graph.incremented(second))


# --- descriptors ------------------------------------------------------------------------------------------------------


def test_refused_descriptors_are_closed(target: Target) -> None:
    """Of every kind, in every packet that is refused."""
    before = target.footprint()
    renderer = target.renderer()
    for count in (1, 2, 3, 4, 5, 64, 253):
        session = renderer.open()
        fds = [os.open(os.devnull, os.O_RDONLY)] * count
        with suppress(OSError):
            send_packet(session.sock, b"\x22\x00", fds)
        assert session.closed() is not None or count == 1
        os.close(fds[0])
    renderer.close()
    target.assert_footprint(lambda now: now.descriptors <= before.descriptors, f"before {before}")


def test_descriptors_in_flight_to_a_session_that_ends_are_closed(target: Target) -> None:
    before = target.footprint()
    for _ in range(20):
        renderer = target.renderer()
        session = renderer.open()
        fd = sealed(REGION)
        with suppress(Exception):
            session.say_bytes(b"\xff")
            for _ in range(10):
                session.offer(fd, len(REGION))
        os.close(fd)
        renderer.close()
    target.assert_footprint(lambda now: now.descriptors <= before.descriptors, f"before {before}")


def test_a_process_whose_descriptors_are_used_up_recovers(start_target: Callable[..., Target]) -> None:
    """A crowd of connections takes them all; it goes, and everything works as before."""
    target = start_target("--sandbox=off")
    honest = Honest(target.renderer().open())
    limit = len(os.listdir(f"/proc/{target.gpu_process}/fd")) + 8
    resource.prlimit(target.gpu_process, resource.RLIMIT_NOFILE, (limit, limit))
    hostile = target.renderer().open()
    crowd: list[socket.socket] = []
    for _ in range(40):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(SECONDS)
        with suppress(OSError):
            sock.connect(hostile.address.removeprefix("unix:"))
        crowd.append(sock)
    honest.computes(1.5)  # who is connected goes on
    with pytest.raises(Closed):
        target.renderer().open()  # who comes is turned away
    for sock in crowd:
        sock.close()
    honest.computes(2.5)
    honest.close()
    target.assert_footprint(lambda now: now.descriptors < limit - 4, "descriptors are left")
    after = Honest(target.renderer().open())
    after.computes(3.5)
    after.close()


def test_connections_are_counted_before_anyone_says_who_they_are(start_target: Callable[..., Target]) -> None:
    target = start_target("--quota=sessions=2")
    hostile = target.renderer().open()
    crowd = [socket.socket(socket.AF_UNIX) for _ in range(50)]
    before = target.footprint()
    for sock in crowd:
        with suppress(OSError):
            sock.connect(hostile.address.removeprefix("unix:"))
    target.assert_footprint(lambda now: now.descriptors <= before.descriptors + 5, f"before {before}")
    for sock in crowd:
        sock.close()


# --- rings ------------------------------------------------------------------------------------------------------------


def _ring_runs(stage: Stage) -> None:
    """One dispatch and one read through the stage's ring."""
    ring = stage.ring
    define(stage, definition(stage))
    ring.command(Ring.DISPATCH, 1)
    ring.wait_for(ring.command(Ring.READ, token=stage.ring_tensor))


def _fill_bell(ring: Ring) -> None:
    with suppress(BlockingIOError):
        os.eventfd_write(ring.doorbell, 2**64 - 2)


def _drain_bell(ring: Ring) -> None:
    with suppress(BlockingIOError):
        os.eventfd_read(ring.doorbell)


def _let_bell_block(ring: Ring) -> None:
    fcntl.fcntl(ring.doorbell, fcntl.F_SETFL, fcntl.fcntl(ring.doorbell, fcntl.F_GETFL) & ~os.O_NONBLOCK)


def _full_and_blocking(ring: Ring) -> None:
    _fill_bell(ring)
    _let_bell_block(ring)


def _never_listen(ring: Ring) -> None:
    """And whoever rings it gets an error."""
    ring.bell.shutdown(socket.SHUT_RD)


DOORBELLS: dict[str, Callable[[Ring], None]] = {
    "full": _fill_bell,
    "drained": _drain_bell,
    "set to block": _let_bell_block,
    "full and set to block": _full_and_blocking,
    "never listened to": _never_listen,
}


@pytest.mark.parametrize("name", DOORBELLS)
def test_no_bell_can_block_the_gpu_process(honest: Honest, target: Target, stage: Stage, name: str) -> None:
    """Whatever is done to one that is shared: the others' rings are served."""
    other = Stage(target.renderer().open())
    _ring_runs(other)
    _ring_runs(stage)
    DOORBELLS[name](stage.ring)
    published = stage.ring.sequence
    for _ in range(100):
        published += 1
        stage.ring.put(published, Ring.READ, 0, stage.ring_tensor)
        struct.pack_into("=Q", stage.ring.memory, 64, published)  # wake me at each
        struct.pack_into("=Q", stage.ring.memory, 0, published)
    with suppress(OSError):
        if "block" not in name:
            os.eventfd_write(stage.ring.doorbell, 1)
    for _ in range(5):
        other.ring.wait_for(other.ring.command(Ring.READ, token=other.ring_tensor))
        honest.computes(4.5)


def test_a_ring_may_change_while_its_commands_run(honest: Honest, target: Target) -> None:
    """Every byte of it: the session is closed for a reason, or goes on; nobody else notices."""
    dice = random.Random(5)
    reasons = set()
    for _ in range(6):
        stage = Stage(target.renderer().open())
        _ring_runs(stage)
        ring = stage.ring

        def scribble(ring: Ring = ring) -> None:
            start = dice.randrange(len(ring.memory) - 8) if dice.random() < 0.5 else dice.randrange(4096 + 64 * 64)
            ring.memory[start : start + 8] = dice.randbytes(8)

        with _meanwhile(scribble):
            for number in range(2, 40):
                ring.put(number, Ring.READ, 0, stage.ring_tensor)
                with suppress(OSError):
                    ring.publish(number)
            honest.computes(5.5)
        ring.memory[0:8] = b"\xff" * 8
        os.eventfd_write(ring.doorbell, 1)
        closed = stage.session.closed()
        assert closed is not None
        reasons.add(closed[0])
    assert reasons <= {Reason.RING_CURSOR, Reason.RING_COMMAND, Reason.SEQUENCE, Reason.UNKNOWN_TENSOR}


def test_a_ring_outlives_no_context(stage: Stage) -> None:
    """Commands in the ring of a context that is destroyed are not obeyed, nor is anybody harmed by them."""
    _ring_runs(stage)
    stage.session.call("DestroyContext", context_pb2.DestroyContextRequest(context=stage.ring_context))
    stage.ring.command(Ring.READ, token=stage.ring_tensor)
    stage.ring.publish(2**64 - 1)
    stage.runs()


def test_an_end_of_a_session_in_each_way_closes_its_ring(target: Target) -> None:
    def end_all(rounds: int) -> None:
        for _ in range(rounds):
            for end in (_say_goodbye, _publish_nonsense, _vanish):
                renderer = target.renderer()
                stage = Stage(renderer.open())
                _ring_runs(stage)
                end(renderer, stage.session, stage.ring)
                renderer.close()
        target.assert_footprint(lambda _: not target.sessions(), "sessions are left")

    end_all(1)
    before = target.footprint()
    end_all(5)
    target.assert_footprint(
        lambda now: now.descriptors <= before.descriptors and now.shared_mappings <= before.shared_mappings,
        f"before {before}",
    )


def _say_goodbye(renderer: HostileRenderer, session: Session, ring: Ring) -> None:
    session.sock.shutdown(socket.SHUT_RDWR)


def _publish_nonsense(renderer: HostileRenderer, session: Session, ring: Ring) -> None:
    ring.publish(2**63)
    assert session.closed() == (Reason.RING_CURSOR, "ring.published")


def _vanish(renderer: HostileRenderer, session: Session, ring: Ring) -> None:
    for number in range(2, 300):
        ring.put(number, Ring.DISPATCH, 1)
    ring.publish(299)
