"""What is one session's is nobody else's: tokens, memory, and the consequences of what it does."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import grpc
import numpy as np
import pytest

from ipc.generated.webnn.v1 import context_pb2
from ipc.verdicts import BadMessageReason as Reason
from tests.boundary import right_graph
from tests.boundary.hostile_client import (
    METHODS,
    SECONDS,
    SERVICE,
    Failure,
    HostileRenderer,
    Ring,
    Session,
    context_request,
    descriptor,
    destroy,
    dispatch,
    dispatch_again,
    read,
    tensor_request,
    write,
)
from tests.boundary.stage import Answer, Honest, Stage
from tests.boundary.target import Target

MEBIBYTE = 1 << 20
FLOATS = MEBIBYTE // 4


@pytest.fixture
def victim(renderer: HostileRenderer) -> Stage:
    return Stage(renderer.open())


@pytest.fixture
def attacker(target: Target) -> Stage:
    """In another process's place: a control connection of its own."""
    return Stage(target.renderer().open())


# --- tokens -----------------------------------------------------------------------------------------------------------

Theft = tuple[Callable[[Stage, Stage], Answer], Reason]

STOLEN: dict[str, Theft] = {
    "a context": (
        lambda me, other: me.session.call("CreateTensor", tensor_request(other.context)),
        Reason.UNKNOWN_CONTEXT,
    ),
    "a context to destroy": (
        lambda me, other: me.session.call("DestroyContext", context_pb2.DestroyContextRequest(context=other.context)),
        Reason.UNKNOWN_CONTEXT,
    ),
    "a context's timeline": (
        lambda me, other: me.session.timeline(other.context) and None,
        Reason.UNKNOWN_CONTEXT,
    ),
    "a tensor to read": (
        lambda me, other: me.timeline.commands(read(other.tensor)) and None,
        Reason.UNKNOWN_TENSOR,
    ),
    "a tensor to write": (
        lambda me, other: me.timeline.commands(write(other.tensor)) and None,
        Reason.UNKNOWN_TENSOR,
    ),
    "a tensor to destroy": (
        lambda me, other: me.timeline.commands(destroy(tensor=other.tensor)) and None,
        Reason.UNKNOWN_TENSOR,
    ),
    "a tensor to bind": (
        lambda me, other: me.timeline.commands(dispatch(me.relu, [("x", other.tensor)], [("y", me.tensor)])) and None,
        Reason.UNKNOWN_TENSOR,
    ),
    "a tensor in a ring": (
        lambda me, other: me.ring.command(Ring.READ, 0, other.ring_tensor) and None,
        Reason.UNKNOWN_TENSOR,
    ),
    "a graph to run": (
        lambda me, other: (
            me.timeline.commands(dispatch(other.relu, [("x", me.tensor)], [("y", me.other_tensor)])) and None
        ),
        Reason.UNKNOWN_GRAPH,
    ),
    "a graph to destroy": (
        lambda me, other: me.timeline.commands(destroy(graph=other.relu)) and None,
        Reason.UNKNOWN_GRAPH,
    ),
    "a binding": (
        lambda me, other: (_bound(other), me.timeline.commands(dispatch_again(1)), None)[-1],
        Reason.UNKNOWN_BINDING,
    ),
    "a region": (
        lambda me, other: me.session.build(me.context, right_graph.incremented(other.region)),
        Reason.UNKNOWN_REGION,
    ),
    "a region to withdraw": (
        lambda me, other: me.session.say(region_withdrawn={"token": other.region}),
        Reason.UNKNOWN_REGION,
    ),
    "a constant tensor": (
        lambda me, other: me.session.build(me.context, right_graph.every_form(me.region, other.constant_tensor)),
        Reason.UNKNOWN_TENSOR,
    ),
}


def _bound(stage: Stage) -> None:
    command = dispatch(stage.relu, [("x", stage.tensor)], [("y", stage.other_tensor)], define=1)
    stage.timeline.results(stage.timeline.commands(command))


@pytest.mark.parametrize("name", STOLEN)
def test_what_was_stolen_means_nothing(target: Target, victim: Stage, attacker: Stage, name: str) -> None:
    steal, reason = STOLEN[name]
    victim.runs()
    other = Stage(victim.session)
    steal(attacker, other)
    closed = attacker.session.closed()
    assert closed is not None
    assert closed[0] == reason
    Stage(other.session).runs()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("secret", [None, b"", bytes(32), bytes(31), bytes(33)])
def test_without_the_secret_nothing_is_looked_at(victim: Stage, method: str, secret: bytes | None) -> None:
    metadata = [] if secret is None else [("webnn-session-bin", secret)]
    call = victim.session.channel.stream_stream(SERVICE + method)
    with pytest.raises(grpc.RpcError) as raised:
        list(call(iter([b"\xff"]), metadata=metadata, timeout=SECONDS))
    assert raised.value.code() is grpc.StatusCode.UNAUTHENTICATED  # type: ignore[attr-defined]
    victim.runs()


def test_one_byte_of_the_secret_matters(victim: Stage) -> None:
    right = victim.session.secret
    for position in (0, len(right) - 1):
        changed = bytearray(right)
        changed[position] ^= 1
        victim.session.secret = bytes(changed)
        answer = victim.session.call("CreateContext", context_request())
        assert isinstance(answer, Failure)
        assert answer.code is grpc.StatusCode.UNAUTHENTICATED


# --- memory -----------------------------------------------------------------------------------------------------------


@contextmanager
def _kept_mappings(session: Session) -> Iterator[list[mmap.mmap]]:
    """All that the session was ever given to map, held by a process that has no session any more."""
    mappings = [mmap.mmap(fd, size) for fd, size in session._regions.values()]
    yield mappings
    for mapping in mappings:
        mapping.close()


def _fill(session: Session, context: bytes) -> bytes:
    """A tensor of a mebibyte, filled through its slot; its token."""
    reply = session.create_tensor(context, descriptor=descriptor(FLOATS))
    fd, size = session.offered(reply.tensor.slot.region)
    with mmap.mmap(fd, size) as mapping:
        mapping[reply.tensor.slot.offset : reply.tensor.slot.offset + MEBIBYTE] = SECRET.tobytes()
    return reply.tensor.token


SECRET = np.full(FLOATS, 1234.5, np.float32)


@pytest.mark.parametrize("how", ["destroyed", "ended"])
def test_memory_that_one_could_map_reaches_no_other(target: Target, how: str) -> None:
    """An old mapping shows nothing of what others do, whatever they do with their memory."""
    attacker = target.renderer().open()
    context = attacker.context()
    tokens = [_fill(attacker, context) for _ in range(8)]
    with _kept_mappings(attacker) as mappings:
        if how == "destroyed":
            timeline = attacker.timeline(context)
            timeline.results(timeline.commands(*(destroy(tensor=token) for token in tokens)))
        else:
            attacker.close()
            target.renderer()  # the host has heard of it when it answers
        for mapping in mappings:
            mapping[:] = b"\xee" * len(mapping)
        _use_all_kinds_of_memory(target)
        for mapping in mappings:
            content = mapping[:]
            assert SECRET[:4].tobytes() not in content
            assert content == b"\xee" * len(content), "somebody else has written to it"


def _use_all_kinds_of_memory(target: Target) -> None:
    """Slots, private tensors, constants, constant tensors, scratch and results of another renderer."""
    honest = target.renderer().open()
    context = honest.context()
    source, region = _fill(honest, context), honest.region(SECRET.tobytes())
    honest.create_constant_tensor(context, region, descriptor=descriptor(FLOATS))
    hidden = honest.tensor(context, descriptor=descriptor(FLOATS), readable=False, writable=False)
    result = honest.create_tensor(context, descriptor=descriptor(FLOATS)).tensor
    graph = right_graph.incremented(region)
    for operand in graph.operands:
        operand.descriptor.shape[:] = [FLOATS]
    built = honest.graph(context, graph)
    timeline = honest.timeline(context)
    last = timeline.commands(
        write(source),
        dispatch(built, [("x", source)], [("y", hidden)]),
        dispatch(built, [("x", hidden)], [("y", result.token)], define=2),
        read(result.token),
    )
    timeline.results(last)
    fd, size = honest.offered(result.slot.region)
    with mmap.mmap(fd, size) as mapping:
        found = np.frombuffer(mapping[result.slot.offset : result.slot.offset + MEBIBYTE], np.float32)
    assert np.array_equal(found, SECRET * 3), "what others once could map has leaked into a result"


def test_a_new_tensor_is_zero_where_another_was(victim: Stage) -> None:
    session = victim.session
    for _ in range(3):
        token = _fill(session, victim.context)
        victim.timeline.results(victim.timeline.commands(destroy(tensor=token)))
        reply = session.create_tensor(victim.context, descriptor=descriptor(FLOATS))
        fd, size = session.offered(reply.tensor.slot.region)
        with mmap.mmap(fd, size) as mapping:
            start = reply.tensor.slot.offset
            assert not any(mapping[start : start + MEBIBYTE])
        victim.timeline.results(victim.timeline.commands(destroy(tensor=reply.tensor.token)))


def test_a_region_that_may_only_be_read_cannot_be_written(victim: Stage) -> None:
    """Nor truncated, nor sealed further, nor mapped through another descriptor of the same file."""
    reply = victim.session.create_tensor(victim.context, writable=False)
    fd, size = victim.session.offered(reply.tensor.slot.region)
    mmap.mmap(fd, size, prot=mmap.PROT_READ).close()
    for attempt in (
        lambda: mmap.mmap(fd, size),
        lambda: mmap.mmap(os.open(f"/proc/self/fd/{fd}", os.O_RDWR), size),
        lambda: os.pwrite(fd, b"x", 0),
        lambda: os.ftruncate(fd, 0),
        lambda: os.ftruncate(fd, size + 1),
        lambda: os.truncate(f"/proc/self/fd/{fd}", 0),
    ):
        with pytest.raises(OSError, match=r"Operation not permitted|Permission denied|Bad file"):
            attempt()
    private = mmap.mmap(fd, size, flags=mmap.MAP_PRIVATE)  # its own copy, which changes nothing
    private[:4] = b"mine"
    private.close()
    victim.timeline.results(victim.timeline.commands(read(reply.tensor.token)))


def test_only_what_the_renderer_may_touch_is_shared(victim: Stage) -> None:
    create = victim.session.create_tensor
    assert not create(victim.context, readable=False, writable=False).tensor.HasField("slot")
    assert not create(victim.inline_context).tensor.HasField("slot")
    constant = victim.session.create_constant_tensor(victim.context, victim.region)
    assert not constant.tensor.HasField("slot")
    readable = create(victim.context, writable=False).tensor.slot.region
    writable = create(victim.context).tensor.slot.region
    assert readable != writable


# --- consequences -----------------------------------------------------------------------------------------------------


def test_sessions_of_one_renderer_end_alone(renderer: HostileRenderer) -> None:
    first, second = Stage(renderer.open()), Stage(renderer.open())
    first.session.say(closed={})
    assert first.session.closed() == (Reason.UNEXPECTED_MESSAGE, "closed")
    second.runs()


def test_a_renderer_that_is_gone_takes_all_its_sessions_along(target: Target) -> None:
    renderer = target.renderer()
    sessions = [Stage(renderer.open()) for _ in range(3)]
    for stage in sessions:
        stage.runs()
    assert len(target.sessions()) == 3
    renderer.close()
    target.assert_footprint(lambda _: not target.sessions(), "sessions are left")


def test_nine_renderers_are_served_while_a_tenth_attacks(target: Target) -> None:
    """Every other message is an attack; every result is right."""
    honest = [Honest(target.renderer().open()) for _ in range(9)]
    for round_ in range(3):
        for each in honest:
            hostile = target.renderer()
            session = hostile.open()
            session.say(closed={})
            assert session.closed() is not None
            hostile.close()
            each.computes(round_ - 1.5)
    for each in honest:
        each.close()
