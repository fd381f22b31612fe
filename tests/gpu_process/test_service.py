"""Calls and sessions over the real wire: what is replied, what ends a session, and what is left behind."""

from __future__ import annotations

import gc
import inspect
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from gpu_process.backends import BackendError
from gpu_process.running_note import Work
from gpu_process.scheduler import Scheduler
from gpu_process.service import GpuService
from ipc.channel import (
    MAX_MESSAGE_BYTES,
    PROTOCOL_VERSION,
    SECRET_BYTES,
    SESSION_METADATA,
    ChannelClosed,
    ChannelError,
    open_grpc_channel,
    pair,
)
from ipc.codec import decode_limits, encode_graph
from ipc.descriptors import DataType, Descriptor
from ipc.errors import InvalidStateError
from ipc.generated.webnn.v1 import common_pb2, context_pb2, session_pb2
from ipc.graph import Graph
from ipc.limits import SupportLimits
from ipc.shared_memory import create_pool, seal_constants
from ipc.timeline import ClientTensor
from ipc.verdicts import BadMessageReason as Reason
from tests.gpu_process.backends_for_tests import GatedBackend, MeddlingBackend
from tests.service_rig import (
    FLOAT,
    SECONDS,
    GraphMaker,
    RawContext,
    RawRenderer,
    Rig,
    as_floats,
    expect_bad,
    increment,
    quotas,
    running,
    unary,
)

ONES = np.ones(FLOAT.shape, np.float32).tobytes()


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with running(tmp_path_factory.mktemp("gpu")) as rig:
        yield rig


@pytest.fixture
def renderer(rig: Rig) -> Iterator[RawRenderer]:
    renderer = rig.renderer()
    yield renderer
    renderer.close()


@pytest.fixture
def context(renderer: RawRenderer) -> RawContext:
    return renderer.context()


def _assert_ended(rig: Rig, renderer: RawRenderer, reason: Reason) -> None:
    """That the renderer and the host were told why, and that the secret is worth nothing any more."""
    assert renderer.closed()[0] == reason
    assert rig.reports.of(renderer.number)[0] == reason
    with pytest.raises(grpc.RpcError) as raised:
        renderer.create_context_reply()
    assert raised.value.code() is grpc.StatusCode.UNAUTHENTICATED  # type: ignore[attr-defined]


# --- sessions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "metadata",
    [
        (),
        ((SESSION_METADATA, b""),),
        ((SESSION_METADATA, bytes(SECRET_BYTES)),),
        ((SESSION_METADATA, bytes(SECRET_BYTES - 1)),),
        ((SESSION_METADATA.removesuffix("-bin"), "text"),),
    ],
)
@pytest.mark.parametrize(
    "method", ["CreateContext", "DestroyContext", "CreateTensor", "CreateConstantTensor", "CreateGraph", "Timeline"]
)
def test_nothing_is_done_without_the_secret(rig: Rig, method: str, metadata: Any) -> None:
    with open_grpc_channel(rig.service.address) as channel:
        streams = method in ("CreateGraph", "Timeline")
        kind = f"{'stream' if streams else 'unary'}_{'stream' if method == 'Timeline' else 'unary'}"
        call = getattr(channel, kind)(f"/webnn.v1.WebNN/{method}")
        with pytest.raises(grpc.RpcError) as raised:
            list(call(iter([b"garbage"]) if streams else b"garbage", metadata=metadata, timeout=SECONDS))
    assert raised.value.code() is grpc.StatusCode.UNAUTHENTICATED  # type: ignore[attr-defined]


def test_secrets_are_random_and_long(rig: Rig) -> None:
    secrets = {rig.renderer().granted.secret for _ in range(5)}
    assert len(secrets) == 5
    assert {len(secret) for secret in secrets} == {SECRET_BYTES}


def test_a_token_of_another_session_is_unknown(rig: Rig, context: RawContext) -> None:
    other = rig.renderer()
    request = context_pb2.CreateTensorRequest(context=context.token)
    assert expect_bad(other.stub.CreateTensor, request, metadata=other.metadata) == Reason.UNKNOWN_CONTEXT
    _assert_ended(rig, other, Reason.UNKNOWN_CONTEXT)
    assert context.tensor(), "the session whose token it was goes on"


def test_a_token_of_another_context_is_unknown(rig: Rig, renderer: RawRenderer) -> None:
    one, two = renderer.context(), renderer.context()
    timeline = two.connect()
    timeline.destroy_tensor(one.tensor())
    assert renderer.closed()[0] == Reason.UNKNOWN_TENSOR
    timeline.fail(InvalidStateError("over"))


def test_a_wrong_protocol_version_is_refused(rig: Rig) -> None:
    ours, theirs = pair()
    rig.service.adopt_session(1000, theirs)
    renderer = RawRenderer.__new__(RawRenderer)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.service_rig.PROTOCOL_VERSION", PROTOCOL_VERSION + 1)
        renderer.__init__(1000, ours, rig.backend)  # type: ignore[misc]
    assert renderer.closed()[0] == Reason.PROTOCOL_VERSION
    renderer.close()


SAYS: dict[str, tuple[Callable[[RawRenderer], object], Reason]] = {
    "hello twice": (lambda r: r.say(hello=session_pb2.Hello(protocol_version=1)), Reason.UNEXPECTED_MESSAGE),
    "what only the service says": (lambda r: r.say(closed=session_pb2.SessionClosed()), Reason.UNEXPECTED_MESSAGE),
    "withdraws what it never offered": (
        lambda r: r.say(region_withdrawn=session_pb2.RegionWithdrawn(token=b"u" * 16)),
        Reason.UNKNOWN_REGION,
    ),
    "a region with a short token": (lambda r: _offer(r, token=b"short"), Reason.INVALID_TOKEN),
    "a region twice": (lambda r: (_offer(r, token=b"t" * 16), _offer(r, token=b"t" * 16)), Reason.DUPLICATE_REGION),
    "a region of another size": (lambda r: _offer(r, size=23), Reason.REGION_SIZE),
    "a region that can change": (lambda r: _offer_pool(r), Reason.REGION_SEALS),
    "not a message": (lambda r: r.socket._sock.send(b"\xff\xff"), Reason.MALFORMED),
}


def _offer(renderer: RawRenderer, size: int = len(ONES), token: bytes | None = None) -> None:
    fd = seal_constants([ONES], "test")
    renderer.offer_fd(fd, size, token)
    os.close(fd)


def _offer_pool(renderer: RawRenderer) -> None:
    region, fd = create_pool(1, "test", peer_may_write=True)
    renderer.offer_fd(fd, region.size)
    os.close(fd)


@pytest.mark.parametrize("name", SAYS)
def test_a_wrong_packet_ends_the_session_and_leaks_no_descriptor(rig: Rig, name: str) -> None:
    say, reason = SAYS[name]
    renderer = rig.renderer()
    say(renderer)
    _assert_ended(rig, renderer, reason)


def test_other_sessions_notice_nothing(rig: Rig, context: RawContext) -> None:
    timeline = context.connect()
    tensor = context.tensor()
    timeline.write(tensor, memoryview(ONES))
    hostile = rig.renderer()
    hostile.say(closed=session_pb2.SessionClosed())
    _assert_ended(rig, hostile, Reason.UNEXPECTED_MESSAGE)
    assert timeline.read(tensor).result(SECONDS) == ONES
    timeline.fail(InvalidStateError("over"))


def test_a_session_too_many_is_closed_at_once(tmp_path: Path) -> None:
    with running(tmp_path, quotas=quotas(sessions=1)) as rig:
        first = rig.renderer()
        ours, theirs = pair()
        rig.service.adopt_session(2, theirs)
        with ours:
            assert ours.recv(1 << 16) == b""
        assert first.context()


def test_the_end_of_a_session_is_reported_without_a_reason(rig: Rig) -> None:
    renderer = rig.renderer()
    renderer.close()
    assert rig.reports.of(renderer.number) == ("", "")


def test_status_counts_what_a_session_has(rig: Rig, context: RawContext) -> None:
    context.tensor()
    status: Any = rig.service.status()
    mine = next(entry for entry in status["sessions"] if entry["session"] == context.renderer.number)
    assert mine["contexts"] == 1
    assert mine["tensors"] == 1
    assert mine["tensor_bytes"] == FLOAT.byte_length
    assert "reference" in status["backends"]


# --- contexts -----------------------------------------------------------------------------------------------------


def test_a_context_has_the_limits_of_its_backend(rig: Rig, renderer: RawRenderer) -> None:
    info = renderer.create_context_reply(accelerated=True).context
    limits = decode_limits(info.limits)
    assert "relu" in limits.operators
    assert DataType.INT4 not in limits.constant.data_types
    assert list(info.devices) == ["cpu"]
    assert "CPU" in info.device_note
    plain = renderer.create_context_reply(experimental_int4=True).context
    assert plain.device_note == ""
    assert DataType.INT4 in decode_limits(plain.limits).constant.data_types


class _SmallBackend(MeddlingBackend):
    """Its tensors have no more than 24 bytes."""

    def support_limits(self) -> SupportLimits:
        return replace(super().support_limits(), max_tensor_byte_length=FLOAT.byte_length)


def test_a_tensor_beyond_what_the_backend_can_take_is_a_bad_message(tmp_path: Path) -> None:
    larger = Descriptor(DataType.FLOAT32, (7,))
    with running(tmp_path, _SmallBackend()) as rig:
        context = rig.renderer().context()
        assert context.tensor(FLOAT)
        assert context.build(unary("relu", FLOAT))
        for call, arguments in (
            (RawContext.create_tensor_reply, (larger,)),
            (RawContext.constant_tensor_reply, (larger, b"r" * 16)),
            (RawContext.build_reply, (unary("relu", larger),)),
        ):
            assert expect_bad(call, rig.renderer().context(), *arguments) == Reason.INVALID_DESCRIPTOR


@pytest.mark.parametrize("changes", [{"backend": "cuda"}])
def test_what_it_does_not_have_is_not_supported(renderer: RawRenderer, changes: dict[str, Any]) -> None:
    assert renderer.create_context_reply(**changes).error.code == common_pb2.ERROR_CODE_NOT_SUPPORTED


@pytest.mark.parametrize("field", ["power_preference", "carrier"])
@pytest.mark.parametrize("value", [0, 99])
def test_an_unknown_enum_is_a_bad_message(rig: Rig, field: str, value: int) -> None:
    renderer = rig.renderer()
    assert expect_bad(renderer.create_context_reply, **{field: value}) == Reason.UNKNOWN_ENUM_VALUE
    _assert_ended(rig, renderer, Reason.UNKNOWN_ENUM_VALUE)


def test_destroying_is_idempotent_and_calls_that_cross_it_are_told(context: RawContext) -> None:
    context.destroy()
    context.destroy()
    assert context.create_tensor_reply(readable=True).error.code == common_pb2.ERROR_CODE_INVALID_STATE
    assert context.build_reply(unary("relu")).error.code == common_pb2.ERROR_CODE_INVALID_STATE


def test_a_destroyed_context_ends_its_timeline(context: RawContext) -> None:
    timeline = context.connect()
    tensor = context.tensor()
    timeline.read(tensor).result(SECONDS)
    context.destroy()
    timeline.read(tensor)
    assert context.broken.get(timeout=SECONDS)
    timeline.fail(InvalidStateError("over"))
    assert context.renderer.context(), "the session goes on"


def test_a_context_has_one_timeline(rig: Rig, context: RawContext) -> None:
    first, second = context.connect(), context.connect()
    assert context.renderer.closed()[0] == Reason.DUPLICATE_TIMELINE
    for timeline in (first, second):
        timeline.fail(InvalidStateError("over"))


# --- tensors ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("usage", "shared"),
    [
        ({"readable": True, "writable": True}, True),
        ({"readable": True}, True),
        ({"writable": True}, True),
        ({}, False),
    ],
)
def test_only_what_the_renderer_may_touch_is_shared(context: RawContext, usage: dict[str, bool], shared: bool) -> None:
    assert context.create_tensor_reply(**usage).tensor.HasField("slot") is shared


def test_what_may_only_be_read_cannot_be_written(context: RawContext) -> None:
    tensor = context.tensor(readable=True, writable=False)
    assert tensor.slot is not None
    assert tensor.slot.readonly


def test_inline_shares_nothing(renderer: RawRenderer) -> None:
    context = renderer.context("inline")
    assert not context.create_tensor_reply(readable=True, writable=True).tensor.HasField("slot")


@pytest.mark.parametrize(
    ("descriptor", "reason"),
    [
        (None, Reason.MISSING_FIELD),
        (common_pb2.Descriptor(data_type=0, shape=[1]), Reason.UNKNOWN_ENUM_VALUE),
        (common_pb2.Descriptor(data_type=99, shape=[1]), Reason.UNKNOWN_ENUM_VALUE),
        (common_pb2.Descriptor(data_type=1, shape=[0]), Reason.INVALID_DESCRIPTOR),
        (common_pb2.Descriptor(data_type=1, shape=[2**31 - 1]), Reason.INVALID_DESCRIPTOR),
        (common_pb2.Descriptor(data_type=1, shape=[65536] * 8), Reason.INVALID_DESCRIPTOR),
        (common_pb2.Descriptor(data_type=common_pb2.DATA_TYPE_INT4, shape=[1]), Reason.UNSUPPORTED_INPUT),
    ],
)
def test_a_descriptor_that_cannot_be_is_a_bad_message(
    rig: Rig, descriptor: common_pb2.Descriptor | None, reason: Reason
) -> None:
    renderer = rig.renderer()
    request = context_pb2.CreateTensorRequest(context=renderer.context().token, descriptor=descriptor)
    assert expect_bad(renderer.stub.CreateTensor, request, metadata=renderer.metadata) == reason
    _assert_ended(rig, renderer, reason)


def test_an_unknown_field_is_a_bad_message(rig: Rig) -> None:
    renderer = rig.renderer()
    call = renderer.channel.unary_unary("/webnn.v1.WebNN/CreateTensor")
    assert expect_bad(call, b"\x78\x01", metadata=renderer.metadata) == Reason.UNKNOWN_FIELD
    _assert_ended(rig, renderer, Reason.UNKNOWN_FIELD)


def test_a_constant_tensor_is_a_copy_for_graphs(context: RawContext) -> None:
    region = context.renderer.offer(ONES)
    token = context.constant_tensor_reply(FLOAT, region).tensor.token
    context.renderer.say(region_withdrawn=session_pb2.RegionWithdrawn(token=region))
    maker = GraphMaker()
    maker.output("y", maker.apply("add", maker.input("x"), maker.constant_tensor(token)))
    graph = context.build(maker.graph)
    timeline = context.connect()
    source, target = context.tensor(), context.tensor()
    timeline.destroy_tensor(ClientTensor(token, FLOAT.byte_length))
    timeline.dispatch(graph, {"x": source}, {"y": target})
    assert as_floats(timeline.read(target).result(SECONDS)).tolist() == [[1] * 3] * 2
    timeline.fail(InvalidStateError("over"))


@pytest.mark.parametrize(
    ("offset", "descriptor", "reason"),
    [
        (64, FLOAT, Reason.REGION_BOUNDS),
        (2**64 - 64, FLOAT, Reason.REGION_BOUNDS),
        (0, Descriptor(DataType.FLOAT32, (7,)), Reason.REGION_BOUNDS),
        (4, Descriptor(DataType.FLOAT32, (1,)), Reason.UNALIGNED_CONSTANT),
        (0, Descriptor(DataType.UINT4, (2,)), Reason.UNSUPPORTED_CONSTANT),
    ],
)
def test_a_constant_tensor_lies_within_its_region(
    rig: Rig, offset: int, descriptor: Descriptor, reason: Reason
) -> None:
    context = rig.renderer().context()
    region = context.renderer.offer(ONES)
    assert expect_bad(context.constant_tensor_reply, descriptor, region, offset) == reason


@pytest.mark.parametrize(("region", "reason"), [(b"u" * 16, Reason.UNKNOWN_REGION), (b"", Reason.INVALID_TOKEN)])
def test_a_region_that_was_never_offered_is_a_bad_message(rig: Rig, region: bytes, reason: Reason) -> None:
    assert expect_bad(rig.renderer().context().constant_tensor_reply, FLOAT, region) == reason


def test_a_region_of_another_session_is_unknown(rig: Rig) -> None:
    region = rig.renderer().offer(ONES)
    assert expect_bad(rig.renderer().context().constant_tensor_reply, FLOAT, region) == Reason.UNKNOWN_REGION


# --- graphs -------------------------------------------------------------------------------------------------------


def test_a_graph_keeps_its_constants_when_their_region_is_withdrawn(context: RawContext) -> None:
    region = context.renderer.offer(ONES)
    graph = context.build(increment(region))
    context.renderer.say(region_withdrawn=session_pb2.RegionWithdrawn(token=region))
    timeline = context.connect()
    target = context.tensor()
    timeline.dispatch(graph, {"x": context.tensor()}, {"y": target})
    assert as_floats(timeline.read(target).result(SECONDS)).tolist() == [[1] * 3] * 2
    timeline.fail(InvalidStateError("over"))


def test_an_invalid_graph_is_a_bad_message(rig: Rig) -> None:
    context = rig.renderer().context()
    graph = unary("relu")
    graph.outputs.append(("y", 1))
    assert expect_bad(context.build_reply, graph) == Reason.DUPLICATE_NAME
    _assert_ended(rig, context.renderer, Reason.DUPLICATE_NAME)


def test_a_tensor_that_is_not_constant_is_no_constant(rig: Rig) -> None:
    context = rig.renderer().context()
    maker = GraphMaker()
    maker.output("y", maker.apply("relu", maker.constant_tensor(context.tensor().token)))
    assert expect_bad(context.build_reply, maker.graph) == Reason.NOT_A_CONSTANT_TENSOR


def _chunks(context: RawContext, *pieces: bytes, total: int | None = None, **head: Any) -> list[Any]:
    chunks = [context_pb2.CreateGraphChunk(data=piece) for piece in pieces]
    chunks[0].context = context.token
    chunks[0].total_bytes = sum(map(len, pieces)) if total is None else total
    for name, value in head.items():
        setattr(chunks[0], name, value)
    return chunks


def test_a_graph_travels_in_pieces(context: RawContext) -> None:
    data = encode_graph(unary("relu")).SerializeToString()
    reply = context.chunks_reply(*_chunks(context, *(data[at : at + 7] for at in range(0, len(data), 7))))
    assert reply.HasField("graph")


SIZES: dict[str, Callable[[RawContext, bytes], list[Any]]] = {
    "more than declared": lambda c, d: _chunks(c, d, total=len(d) - 1),
    "more than declared, later": lambda c, d: _chunks(c, d[:5], d[5:], total=len(d) - 1),
    "nothing declared": lambda c, d: _chunks(c, d, total=0),
    "an empty piece": lambda c, d: _chunks(c, d[:5], b"", d[5:]),
    "a second head": lambda c, d: [*_chunks(c, d, total=len(d) + 1), *_chunks(c, b"x")],
}


@pytest.mark.parametrize("name", SIZES)
def test_pieces_add_up(rig: Rig, name: str) -> None:
    context = rig.renderer().context()
    chunks = SIZES[name](context, encode_graph(unary("relu")).SerializeToString())
    assert expect_bad(context.chunks_reply, *chunks) == Reason.GRAPH_SIZE


def test_pieces_that_stop_coming_are_an_error_as_a_cancelled_call_may_look_so(context: RawContext) -> None:
    data = encode_graph(unary("relu")).SerializeToString()
    for chunks in ([], _chunks(context, data, total=len(data) + 1)):
        assert context.chunks_reply(*chunks).error.code == common_pb2.ERROR_CODE_OPERATION
    assert context.build(unary("relu"))


def test_a_graph_waits_for_its_place_in_the_timeline_but_not_for_ever(tmp_path: Path) -> None:
    with running(tmp_path, quotas=quotas(wait_seconds=0)) as rig:
        reply = rig.renderer().context().build_reply(unary("relu"), after=1)
        assert reply.error.code == common_pb2.ERROR_CODE_OPERATION


def test_a_waiting_build_is_told_that_its_context_ended(context: RawContext, monkeypatch: pytest.MonkeyPatch) -> None:
    wait_for, waits = Scheduler.wait_for, threading.Event()

    def announced(scheduler: Scheduler, sequence: int, timeout: float) -> bool:
        waits.set()
        return wait_for(scheduler, sequence, timeout)

    monkeypatch.setattr(Scheduler, "wait_for", announced)
    replies: list[Any] = []
    thread = threading.Thread(target=lambda: replies.append(context.build_reply(unary("relu"), after=1)))
    thread.start()
    assert waits.wait(SECONDS)
    context.destroy()
    thread.join(SECONDS)
    assert replies[0].error.code == common_pb2.ERROR_CODE_INVALID_STATE


def test_what_the_backend_cannot_compile_is_an_operation_error(tmp_path: Path) -> None:
    def refuse(graph: Graph) -> None:
        raise BackendError("relu [odd]: cannot be compiled")

    with running(tmp_path, MeddlingBackend(before_compile=refuse)) as rig:
        error = rig.renderer().context().build_reply(unary("relu")).error
        assert error.code == common_pb2.ERROR_CODE_OPERATION
        assert "relu [odd]" in error.message


def test_a_message_over_the_cap_ends_its_call_only(context: RawContext) -> None:
    with pytest.raises(grpc.RpcError):
        context.chunks_reply(*_chunks(context, bytes(MAX_MESSAGE_BYTES + 1)))
    assert context.tensor()


# --- quotas -------------------------------------------------------------------------------------------------------


def _big(mebibytes: int) -> Descriptor:
    return Descriptor(DataType.UINT8, (mebibytes << 20,))


EXCEEDS: dict[str, tuple[dict[str, int], Callable[[RawContext], Any]]] = {
    "contexts": ({"contexts": 1}, lambda c: c.renderer.create_context_reply()),
    "tensors": ({"tensors": 0}, lambda c: c.create_tensor_reply(readable=True)),
    "constant tensors": ({"tensors": 0}, lambda c: c.constant_tensor_reply(FLOAT, c.renderer.offer(ONES))),
    "tensor_bytes": ({"tensor_bytes": 2**20 - 1}, lambda c: c.create_tensor_reply(_big(1), readable=True)),
    "constant_bytes": ({"constant_bytes": 4095}, lambda c: c.constant_tensor_reply(FLOAT, c.renderer.offer(ONES))),
    "regions": ({"regions": 0}, lambda c: c.constant_tensor_reply(FLOAT, c.renderer.offer(ONES))),
    "regions of a graph": ({"regions": 0}, lambda c: c.build_reply(increment(c.renderer.offer(ONES)))),
    "graphs": ({"graphs": 0}, lambda c: c.build_reply(unary("relu"))),
    "operations": ({"operations": 0}, lambda c: c.build_reply(unary("relu"))),
    "operands": ({"operands": 1}, lambda c: c.build_reply(unary("relu"))),
    "name_bytes": ({"name_bytes": 0}, lambda c: c.build_reply(unary("relu"))),
    "graph_message_bytes": ({"graph_message_bytes": 10}, lambda c: c.build_reply(unary("relu"))),
    "intermediate_bytes": ({"intermediate_bytes": 23}, lambda c: c.build_reply(unary("relu"))),
    "graph_macs": ({"graph_macs": 5}, lambda c: c.build_reply(unary("relu"))),
    "builds": ({"builds": 0}, lambda c: c.build_reply(unary("relu"))),
}


@pytest.mark.parametrize("name", EXCEEDS)
def test_a_quota_is_an_error_and_the_session_goes_on(tmp_path: Path, name: str) -> None:
    limits, exceed = EXCEEDS[name]
    with running(tmp_path, quotas=quotas(**limits)) as rig:
        context = rig.renderer().context()
        for _ in range(2):
            error = exceed(context).error
            assert error.code == common_pb2.ERROR_CODE_QUOTA_EXCEEDED, error
            assert error.rule == f"quota.{next(iter(limits))}"
        status: Any = rig.service.status()
        assert status["sessions"][0]["tensor_bytes"] == 0


def test_refused_regions_are_not_remembered_without_end(tmp_path: Path) -> None:
    with running(tmp_path, quotas=quotas(regions=0)) as rig:
        renderer = rig.renderer()
        fd = seal_constants([ONES], "test")
        with suppress(ChannelClosed, ChannelError):  # at some point, it is closed on us
            for _ in range(1100):
                renderer.offer_fd(fd, len(ONES))
        os.close(fd)
        _assert_ended(rig, renderer, Reason.REGION_FLOOD)


def test_calls_in_flight_are_limited(tmp_path: Path) -> None:
    with running(tmp_path, quotas=quotas(calls=0)) as rig:
        assert rig.renderer().create_context_reply().error.rule == "quota.calls"


def test_what_is_destroyed_makes_room(tmp_path: Path) -> None:
    limits = quotas(tensors=1, tensor_bytes=2**20, graphs=1, contexts=1, regions=1)
    with running(tmp_path, quotas=limits) as rig:
        renderer = rig.renderer()
        for _ in range(3):
            context = renderer.context()
            timeline = context.connect()
            for _ in range(3):
                reply = context.create_tensor_reply(_big(1), after=timeline.sequence, writable=True)
                tensor = ClientTensor(reply.tensor.token, 2**20)
                assert context.create_tensor_reply(readable=True).HasField("error")
                region = renderer.offer(ONES)
                graph = context.build(increment(region), after=timeline.sequence)
                renderer.say(region_withdrawn=session_pb2.RegionWithdrawn(token=region))
                timeline.destroy_graph(graph)
                timeline.destroy_tensor(tensor)
            context.destroy()
            timeline.fail(InvalidStateError("over"))


# --- ends ---------------------------------------------------------------------------------------------------------


def _resources() -> tuple[int, int]:
    gc.collect()
    mappings = Path("/proc/self/maps").read_text().count("webnn-pool")
    return len(os.listdir("/proc/self/fd")), mappings


def _join(others: set[threading.Thread]) -> None:
    """Until the service's threads that began after `others` have ended, and with them what they hold."""
    for thread in set(threading.enumerate()) - others:
        if thread.name.startswith("webnn-"):
            thread.join(SECONDS)


def test_a_session_that_ends_with_commands_running_and_queued_frees_everything(tmp_path: Path) -> None:
    backend = GatedBackend()
    freed = threading.Event()
    backend.on_close = freed.set
    with running(tmp_path, backend) as rig:
        others = set(threading.enumerate())
        before = _resources()[1]
        renderer = rig.renderer()
        context = renderer.context()
        timeline = context.connect()
        graph = context.build(unary("relu"))
        source, target = context.tensor(), context.tensor()
        for _ in range(100):
            timeline.dispatch(graph, {"x": source}, {"y": target})
            timeline.read(target)
        assert backend.entered.wait(SECONDS)
        renderer.close()
        assert rig.reports.of(renderer.number) == ("", "")
        assert not freed.is_set(), "a graph is not freed under the command that runs it"
        backend.open.set()
        assert freed.wait(SECONDS)
        assert backend.runs == 1, "what was queued is dropped"
        timeline.fail(InvalidStateError("over"))
        del source, target
        renderer.regions.clear()
    _join(others)
    assert _resources()[1] == before


def test_a_session_that_ends_while_it_builds_leaves_no_graph(tmp_path: Path) -> None:
    entered, gate, closed = threading.Event(), threading.Event(), threading.Event()

    def wait(graph: Graph) -> None:
        entered.set()
        assert gate.wait(SECONDS)

    backend = MeddlingBackend(before_compile=wait)
    backend.on_close = closed.set
    with running(tmp_path, backend) as rig:
        renderer = rig.renderer()
        context = renderer.context()
        failed = threading.Event()

        def build() -> None:
            with pytest.raises(grpc.RpcError):
                context.build_reply(unary("relu"))
            failed.set()

        threading.Thread(target=build).start()
        assert entered.wait(SECONDS)
        rig.service.end_session(renderer.number)
        assert failed.wait(SECONDS)
        gate.set()
        assert closed.wait(SECONDS)


def test_sessions_leave_nothing_behind(tmp_path: Path) -> None:
    def resources_after(sessions: int) -> tuple[int, int]:
        others = set(threading.enumerate())
        folder = tmp_path / str(sessions)
        folder.mkdir()
        with running(folder) as rig:
            for _ in range(sessions):
                _use(rig)
        _join(others)
        return _resources()

    resources_after(1)  # what is made on first use stays
    few, many = resources_after(2), resources_after(12)
    assert many[0] <= few[0]
    assert many[1] <= few[1]


def _use(rig: Rig) -> None:
    renderer = rig.renderer()
    for carrier in ("inline", "stream"):
        context = renderer.context(carrier)
        timeline = context.connect()
        graph = context.build(increment(renderer.offer(ONES)))
        source, target = context.tensor(), context.tensor()
        timeline.dispatch(graph, {"x": source}, {"y": target})
        timeline.read(target).result(SECONDS)
        timeline.fail(InvalidStateError("over"))
    renderer.close()
    renderer.regions.clear()
    rig.reports.of(renderer.number)


def test_an_internal_error_ends_the_process_and_tells_the_renderer_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(graph: Graph) -> None:
        raise ZeroDivisionError("nobody foresaw this")

    with running(tmp_path, MeddlingBackend(before_compile=fail, before_run=fail)) as rig:
        context = rig.renderer().context()
        with pytest.raises(grpc.RpcError) as raised:
            context.build_reply(unary("relu"))
        assert rig.aborts.happened.wait(SECONDS)
        rig.aborts.happened.clear()
        assert "nobody" not in str(raised.value)
        assert "nobody foresaw this" in caplog.text


def test_an_internal_error_of_a_command_ends_the_process(tmp_path: Path) -> None:
    def fail(graph: Graph) -> None:
        raise ZeroDivisionError("nobody foresaw this")

    with running(tmp_path, MeddlingBackend(before_run=fail)) as rig:
        context = rig.renderer().context()
        timeline = context.connect()
        graph = context.build(unary("relu"))
        timeline.dispatch(graph, {"x": context.tensor()}, {"y": context.tensor()})
        assert rig.aborts.happened.wait(SECONDS)
        rig.aborts.happened.clear()
        assert "nobody" not in context.broken.get(timeout=SECONDS)
        timeline.fail(InvalidStateError("over"))


def test_by_default_the_process_really_ends() -> None:
    assert inspect.signature(GpuService).parameters["abort"].default is os.abort


def test_it_is_told_whose_work_begins_and_ends(tmp_path: Path) -> None:
    told: list[tuple[int, Work]] = []
    with running(tmp_path, running=lambda session, work=Work.COMMANDS: told.append((session, work))) as rig:
        context = rig.renderer().context()
        timeline = context.connect()
        context.build(unary("relu"))
        timeline.read(context.tensor()).result(SECONDS)
        timeline.fail(InvalidStateError("over"))
    assert [session for session, _ in told if session] == [1] * sum(bool(session) for session, _ in told)
    assert told[0] == (1, Work.BUILD)
    assert told[1][0] == 0
    assert (1, Work.COMMANDS) in told
    assert told[-1][0] == 0


def test_the_service_can_use_itself(tmp_path: Path) -> None:
    with running(tmp_path) as rig:
        rig.service.warm_up()
        context = rig.renderer().context()
        assert context.tensor()


def test_stopping_ends_all_sessions(tmp_path: Path) -> None:
    with running(tmp_path) as rig:
        renderer = rig.renderer()
        rig.service.stop()
        assert renderer.closed() == ("", "")
