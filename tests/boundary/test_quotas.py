"""Each quota, reached exactly and then exceeded by one: an error that names it, before anything is allocated."""

from __future__ import annotations

import ctypes
import os
import queue
from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import Any

import grpc
import pytest

from gpu_process.quotas import Quotas
from ipc.generated.webnn.v1 import common_pb2, context_pb2, graph_pb2
from ipc.verdicts import BadMessageReason as Reason
from tests.boundary import right_graph
from tests.boundary.hostile_client import (
    ALL_SEALS,
    SERVICE,
    Closed,
    Failure,
    Reply,
    Session,
    constant_request,
    descriptor,
    destroy,
    memfd,
    seal,
)
from tests.boundary.right_graph import attribute, named, operand, operation
from tests.boundary.stage import Stage
from tests.boundary.target import Target

PAGE = 4096
_KEEP_SIZE = 1  # linux/falloc.h: FALLOC_FL_KEEP_SIZE
BYTES = common_pb2.DATA_TYPE_UINT8
LIMITS = {
    "sessions": 4,
    "renderer_sessions": 3,
    "contexts": 2,
    "tensors": 2,
    "tensor_bytes": PAGE,
    "graphs": 2,
    "constant_bytes": 2 * PAGE,
    "regions": 2,
    "operations": 3,
    "operands": 5,
    "graph_message_bytes": 1000,
    "intermediate_bytes": 72,
    "name_bytes": 8,
    "graph_macs": 36,
    "builds": 2,
    "calls": 2,
    "ends": 2,
    "wait_seconds": 1,
}
WATCHED = {"build_seconds", "command_seconds"}  # by the host, whose tests hold them


@pytest.fixture(scope="module")
def small_target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    quotas = [f"--quota={name}={limit}" for name, limit in LIMITS.items()]
    target = Target(tmp_path_factory.mktemp("quotas"), *quotas)
    yield target
    target.assert_alive()
    target.assert_silent()
    target.close()


@pytest.fixture
def stage(small_target: Target) -> Iterator[Stage]:
    renderer = small_target.renderer()
    yield Stage(renderer.open())
    renderer.close()
    small_target.assert_footprint(lambda _: not small_target.sessions(), "sessions are left")


def _assert_exceeded(reply: Any, quota: str) -> None:
    assert reply.error.code == common_pb2.ERROR_CODE_QUOTA_EXCEEDED, reply
    assert reply.error.rule == f"quota.{quota}"
    assert str(LIMITS[quota]) in reply.error.message


def _built(stage: Stage, graph: graph_pb2.Graph) -> context_pb2.CreateGraphReply:
    answer = stage.session.build(stage.context, graph)
    assert isinstance(answer, Reply), answer
    return answer.as_a(context_pb2.CreateGraphReply)


def test_every_quota_is_tested_here() -> None:
    assert {entry.name for entry in fields(Quotas)} == set(LIMITS) | WATCHED


# --- what a session has -----------------------------------------------------------------------------------------------


def test_sessions_of_a_renderer(small_target: Target) -> None:
    """However many connections it makes: it is one process."""
    renderer = small_target.renderer()
    sessions = [small_target.renderer().open() for _ in range(LIMITS["renderer_sessions"])]
    assert renderer.is_refused() == "quota renderer_sessions: this renderer has 3 sessions already"
    for session in sessions:
        assert session.context()
        session.renderer.close()
    small_target.assert_footprint(lambda _: not small_target.sessions(), "sessions are left")
    assert renderer.open().context()
    renderer.close()
    small_target.assert_footprint(lambda _: not small_target.sessions(), "a session is left")


def test_sessions(start_target: Callable[..., Target]) -> None:
    target = start_target("--quota=sessions=3")
    renderer = target.renderer()
    sessions = [renderer.open() for _ in range(3)]
    with pytest.raises(Closed):
        renderer.open()
    for session in sessions:
        assert session.context()
    sessions[0].close()
    target.assert_footprint(lambda _: len(target.sessions()) == 2, "a session is left")
    assert renderer.open().context()


def test_contexts(stage: Stage) -> None:
    first, _ = stage.session.context(), stage.session.context()
    _assert_exceeded(stage.session.create_context(), "contexts")
    stage.session.call("DestroyContext", context_pb2.DestroyContextRequest(context=first))
    assert stage.session.context()


def test_tensors(stage: Stage) -> None:
    tokens = [stage.tensor, stage.constant_tensor]
    _assert_exceeded(stage.session.create_tensor(stage.context), "tensors")
    _assert_exceeded(stage.session.create_constant_tensor(stage.context, stage.region), "tensors")
    for token in tokens:
        last = stage.timeline.commands(destroy(tensor=token))
        made = stage.session.create_tensor(stage.context, after=last)
        assert made.HasField("tensor"), "room that was made in the timeline counts"


@pytest.mark.parametrize("usage", [{}, {"readable": False, "writable": False}])
def test_tensor_bytes(stage: Stage, usage: dict[str, bool]) -> None:
    create = stage.session.create_tensor
    limit = LIMITS["tensor_bytes"]
    _assert_exceeded(create(stage.context, descriptor=descriptor(limit + 1, data_type=BYTES), **usage), "tensor_bytes")
    assert create(stage.context, descriptor=descriptor(limit, data_type=BYTES), **usage).HasField("tensor")
    other = stage.session.context()
    _assert_exceeded(create(other, descriptor=descriptor(1, data_type=BYTES), **usage), "tensor_bytes")


def test_bytes_of_constant_tensors(stage: Stage) -> None:
    region = stage.session.region(bytes(PAGE))
    create = stage.session.create_constant_tensor
    whole = create(stage.context, region, descriptor=descriptor(PAGE, data_type=BYTES))
    assert whole.HasField("tensor")
    _assert_exceeded(create(stage.context, region, descriptor=descriptor(1, data_type=BYTES)), "tensor_bytes")
    last = stage.timeline.commands(destroy(tensor=whole.tensor.token))
    assert create(stage.context, region, descriptor=descriptor(1, data_type=BYTES), after=last).HasField("tensor")


def test_nothing_is_allocated_for_what_is_refused(small_target: Target, stage: Stage) -> None:
    before = small_target.footprint()
    for usage in ({}, {"readable": False, "writable": False}):
        wanted = descriptor(2**31 - 1, data_type=BYTES)
        _assert_exceeded(stage.session.create_tensor(stage.context, descriptor=wanted, **usage), "tensor_bytes")
    now = small_target.footprint()
    assert now.shared_mappings == before.shared_mappings
    assert now.resident < before.resident + (16 << 20)


def test_graphs(stage: Stage) -> None:
    for _ in range(LIMITS["graphs"]):
        token = stage.session.graph(stage.context, right_graph.relu())
    _assert_exceeded(_built(stage, right_graph.relu()), "graphs")
    last = stage.timeline.commands(destroy(graph=token))
    answer = stage.session.build(stage.context, right_graph.relu(), after=last)
    assert isinstance(answer, Reply)
    assert answer.as_a(context_pb2.CreateGraphReply).HasField("graph")


def test_regions(stage: Stage) -> None:
    tokens = [stage.session.region(b"x" * 64) for _ in range(LIMITS["regions"])]
    one_too_many = stage.session.region(b"x" * 64)
    byte = {"descriptor": descriptor(1, data_type=BYTES)}
    for token in tokens:
        request = constant_request(stage.context, token, **byte)
        assert isinstance(stage.session.call("CreateConstantTensor", request), Reply)
    refused = stage.session.create_constant_tensor(stage.context, one_too_many, **byte)
    _assert_exceeded(refused, "regions")
    stage.session.say(region_withdrawn={"token": one_too_many})
    stage.session.say(region_withdrawn={"token": tokens[0]})
    room = stage.session.region(b"x" * 64)
    other = stage.session.context()
    assert stage.session.create_constant_tensor(other, room, **byte).HasField("tensor")


def test_a_region_is_charged_with_the_memory_that_it_holds_down(stage: Stage) -> None:
    """A byte is a page."""
    for _ in range(2):
        stage.session.region(b"x")
    stage.session.say(region_withdrawn={"token": stage.session.region(b"x")})  # refused, and forgotten
    answer = stage.session.create_constant_tensor(
        stage.context, stage.session.region(b"x"), descriptor=descriptor(1, data_type=BYTES)
    )
    assert answer.error.rule in ("quota.constant_bytes", "quota.regions")


@pytest.mark.parametrize(("pages", "fits"), [(2, True), (3, False)])
def test_constant_bytes(stage: Stage, pages: int, fits: bool) -> None:
    region = stage.session.region(bytes(pages * PAGE))
    answer = stage.session.create_constant_tensor(stage.context, region, descriptor=descriptor(1, data_type=BYTES))
    if fits:
        assert answer.HasField("tensor")
    else:
        _assert_exceeded(answer, "constant_bytes")


def test_memory_beyond_the_end_of_a_region_is_charged_as_well(stage: Stage) -> None:
    """A sealed file may hold down more than it shows."""
    fd = memfd(bytes(PAGE))
    assert ctypes.CDLL(None).fallocate(fd, _KEEP_SIZE, ctypes.c_long(PAGE), ctypes.c_long(1 << 20)) == 0
    seal(fd, ALL_SEALS)
    assert os.fstat(fd).st_blocks * 512 > LIMITS["constant_bytes"], "the kernel holds nothing down"
    region = stage.session.offer(fd, PAGE)
    os.close(fd)
    answer = stage.session.create_constant_tensor(stage.context, region, descriptor=descriptor(1, data_type=BYTES))
    _assert_exceeded(answer, "constant_bytes")


def test_a_hole_is_not_taken_at_all(stage: Stage) -> None:
    fd = memfd(size=1 << 30, seals=ALL_SEALS)
    stage.session.offer(fd, 1 << 30)
    os.close(fd)
    assert stage.session.closed() == (Reason.REGION_SPARSE, "region_offered.size")


# --- what a graph is --------------------------------------------------------------------------------------------------


def _chain(operations: int) -> graph_pb2.Graph:
    graph = right_graph.relu(1)
    for made in range(2, operations + 1):
        graph.operands.append(operand(right_graph.MADE, 1))
        graph.operations.append(operation("relu", {"input": made - 1}, made))
    graph.outputs[0].operand = operations
    return graph


def _joined(inputs: int) -> graph_pb2.Graph:
    graph = graph_pb2.Graph(
        operands=[*(operand(right_graph.INPUT, 1) for _ in range(inputs)), operand(right_graph.MADE, inputs)],
        inputs=[named(str(at), at) for at in range(inputs)],
        outputs=[named("y", inputs)],
    )
    graph.operations.append(operation("concat", {"inputs": list(range(inputs))}, inputs, attribute("axis", uint=0)))
    return graph


def _product(inner: int) -> graph_pb2.Graph:
    return graph_pb2.Graph(
        operands=[
            operand(right_graph.INPUT, 3, inner),
            operand(right_graph.INPUT, inner, 3),
            operand(right_graph.MADE, 3, 3),
        ],
        inputs=[named("a", 0), named("b", 1)],
        outputs=[named("y", 2)],
        operations=[operation("matmul", {"a": 0, "b": 1}, 2)],
    )


def _called(name: str) -> graph_pb2.Graph:
    graph = right_graph.relu()
    graph.inputs[0].name = name
    return graph


def _labelled(label: str) -> graph_pb2.Graph:
    graph = right_graph.relu()
    graph.operations[0].label = label
    return graph


GRAPHS: dict[str, tuple[str, Callable[[], graph_pb2.Graph], Callable[[], graph_pb2.Graph]]] = {
    "operations": ("operations", lambda: _chain(3), lambda: _chain(4)),
    "operands": ("operands", lambda: _joined(4), lambda: _joined(5)),
    "intermediate bytes": ("intermediate_bytes", lambda: right_graph.relu(18), lambda: right_graph.relu(19)),
    "multiplications": ("graph_macs", lambda: _product(4), lambda: _product(5)),
    "bytes of a name": ("name_bytes", lambda: _called("12345678"), lambda: _called("123456789")),
    "bytes of a name beyond ASCII": ("name_bytes", lambda: _called("äöüß"), lambda: _called("äöüß1")),
    "bytes of an output's name": (
        "name_bytes",
        lambda: _called("x"),
        lambda: (graph := right_graph.relu(), setattr(graph.outputs[0], "name", "123456789"))[0],
    ),
    "bytes of a label": ("name_bytes", lambda: _labelled("12345678"), lambda: _labelled("123456789")),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_a_graph_may_be_as_large_as_the_quota_and_no_larger(stage: Stage, name: str) -> None:
    quota, largest, larger = GRAPHS[name]
    _assert_exceeded(_built(stage, larger()), quota)
    assert _built(stage, largest()).HasField("graph")


def test_graph_message_bytes(stage: Stage) -> None:
    """Before a byte of it is kept; what just fits is read, and found to be nonsense."""
    limit = LIMITS["graph_message_bytes"]
    head = context_pb2.CreateGraphChunk(context=stage.context, total_bytes=limit + 1, data=b"\xff" * (limit + 1))
    answer = stage.session.call("CreateGraph", head)
    assert isinstance(answer, Reply)
    _assert_exceeded(answer.as_a(context_pb2.CreateGraphReply), "graph_message_bytes")
    fits = context_pb2.CreateGraphChunk(context=stage.context, total_bytes=limit, data=b"\xff" * limit)
    assert stage.session.call("CreateGraph", fits) == Failure(grpc.StatusCode.FAILED_PRECONDITION, Reason.MALFORMED)


# --- what is under way ------------------------------------------------------------------------------------------------


class _HalfOpen:
    """Calls that never say what they want."""

    def __init__(self, session: Session, method: str, count: int) -> None:
        self._never: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        call: Any = session.channel.stream_unary(SERVICE + method)
        self._calls = [call.future(iter(self._never.get, None), metadata=session.metadata()) for _ in range(count)]

    def end(self) -> None:
        for call in self._calls:
            call.cancel()
            self._never.put(None)


def _under_way(stage: Stage, target: Target, number: int) -> None:
    """Waits until so many calls are being served."""

    def calls() -> int:
        return int(next(it for it in target.sessions() if it["session"] == stage.session.number)["calls"])

    target.assert_footprint(lambda _: calls() == number, f"not {number} calls")


def test_calls(small_target: Target, stage: Stage) -> None:
    context = stage.context
    half_open = _HalfOpen(stage.session, "CreateTensor", LIMITS["calls"])
    _under_way(stage, small_target, LIMITS["calls"])
    _assert_exceeded(stage.session.create_tensor(context), "calls")
    _assert_exceeded(stage.session.create_context(), "calls")
    half_open.end()
    _under_way(stage, small_target, 0)
    assert stage.session.tensor(context)


def test_builds(small_target: Target, stage: Stage) -> None:
    context = stage.context
    half_open = _HalfOpen(stage.session, "CreateGraph", LIMITS["builds"])
    _under_way(stage, small_target, LIMITS["builds"])
    _assert_exceeded(_built(stage, right_graph.relu()), "builds")
    assert stage.session.tensor(context), "which is no build"
    half_open.end()
    _under_way(stage, small_target, 0)
    assert stage.session.graph(context, right_graph.relu())


def test_ends(small_target: Target, stage: Stage) -> None:
    request = context_pb2.DestroyContextRequest(context=stage.context)
    half_open = _HalfOpen(stage.session, "DestroyContext", LIMITS["ends"])
    _under_way(stage, small_target, LIMITS["ends"])
    answer = stage.session.call("DestroyContext", request)
    assert isinstance(answer, Failure)
    assert answer.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    half_open.end()
    _under_way(stage, small_target, 0)
    assert isinstance(stage.session.call("DestroyContext", request), Reply)


def test_wait_seconds(stage: Stage) -> None:
    """A call may name a command that never comes."""
    answer = stage.session.build(stage.context, right_graph.relu(), after=2**64 - 1)
    assert isinstance(answer, Reply)
    assert answer.as_a(context_pb2.CreateGraphReply).error.code == common_pb2.ERROR_CODE_OPERATION
    stage.runs()


def test_calls_that_never_say_what_they_want_hold_no_thread_of_others(small_target: Target, stage: Stage) -> None:
    """Many times more than there are threads; with the session's secret and without."""
    threads = sum(LIMITS[name] for name in ("contexts", "calls", "builds", "ends")) * LIMITS["sessions"]
    bystander = Stage(small_target.renderer().open())
    bystander.runs()
    crowd = [_HalfOpen(stage.session, method, 2 * threads) for method in ("CreateTensor", "CreateGraph")]
    stage.session.secret = b""
    crowd += [_HalfOpen(stage.session, method, 2 * threads) for method in ("CreateContext", "CreateGraph", "Timeline")]
    Stage(bystander.session).runs()
    for half_open in crowd:
        half_open.end()
    bystander.session.renderer.close()
