"""What looks odd and is right, or at most an error: what a correct renderer may send must never end its session."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ipc.generated.webnn.v1 import common_pb2, context_pb2, graph_pb2
from tests.boundary import right_graph
from tests.boundary.cases_graphs import normalized
from tests.boundary.cases_ring import define, definition
from tests.boundary.hostile_client import (
    HostileRenderer,
    Reply,
    Session,
    context_request,
    descriptor,
    destroy,
    dispatch,
    dispatch_again,
    graph_chunk,
    write,
)
from tests.boundary.right_graph import PAD, TRIANGULAR, P, X, attribute, named, operand, operation
from tests.boundary.stage import Stage

Graph = graph_pb2.Graph


@pytest.fixture
def stage(renderer: HostileRenderer) -> Stage:
    return Stage(renderer.open())


def _epsilon(value: float) -> Callable[[Graph], object]:
    return lambda graph: graph.MergeFrom(normalized(value))


def _attribute(operation: int, index: int, replacement: graph_pb2.Attribute) -> Callable[[Graph], object]:
    return lambda graph: graph.operations[operation].attributes[index].CopyFrom(replacement)


def _product(graph: Graph) -> None:
    """alpha and beta of a product may be anything that a float can be."""
    graph.operands.append(operand(right_graph.MADE, 2, 2))
    scale = (attribute("alpha", real=float("inf")), attribute("beta", real=-float("inf")))
    transposes = (attribute("a_transpose", boolean=False), attribute("b_transpose", boolean=True))
    graph.operations.append(operation("gemm", {"a": X, "b": X}, 14, *scale, *transposes))


RIGHT: dict[str, Callable[[Graph], object]] = {
    "an epsilon that became infinite": _epsilon(float("inf")),
    "an epsilon of zero": _epsilon(0.0),
    "a negative epsilon": _epsilon(-1.0),
    "infinite factors": _product,
    "a padding value that is NaN": _attribute(PAD, 3, attribute("value", real=float("nan"))),
    "the lowest diagonal": _attribute(TRIANGULAR, 1, attribute("diagonal", int=-(2**31))),
    "the highest diagonal": _attribute(TRIANGULAR, 1, attribute("diagonal", int=2**31 - 1)),
    "an input and an output of one name": lambda g: g.outputs.append(named("x", P)),
    "an operand with two names": lambda g: g.outputs.append(named("again", g.outputs[0].operand)),
    "the longest name": lambda g: setattr(g.inputs[0], "name", "n" * 1024),
    "names that mean something elsewhere": lambda g: setattr(g.inputs[0], "name", "../../etc/passwd\0%s{}"),
    "a label full of formats": lambda g: setattr(g.operations[0], "label", "%n%s{0.__class__}\x1b[31m\r\n"),
}


@pytest.mark.parametrize("name", RIGHT)
def test_a_graph_that_is_only_odd_is_built(stage: Stage, name: str) -> None:
    graph = stage.right_graph()
    RIGHT[name](graph)
    assert stage.session.graph(stage.context, graph)


def test_commands_that_are_only_odd_are_obeyed(stage: Stage) -> None:
    """Many in one batch, bindings defined again, things destroyed in any order, the same tensor in many bindings."""
    runs = dispatch(stage.relu, [("x", stage.tensor)], [("y", stage.other_tensor)], define=1024)
    back = dispatch(stage.relu, [("x", stage.other_tensor)], [("y", stage.tensor)], define=1024)
    last = stage.timeline.commands(
        *(write(stage.tensor) for _ in range(4090)),
        runs,
        back,
        dispatch_again(1024),
        destroy(graph=stage.relu),
        destroy(tensor=stage.tensor),
        destroy(tensor=stage.other_tensor),
    )
    stage.timeline.results(last)


def test_as_many_bindings_as_may_be_are_defined_at_once(stage: Stage) -> None:
    assert isinstance(define(stage, *(definition(stage, number=number) for number in range(1, 257))), Reply)
    assert isinstance(define(stage, definition(stage, number=1024)), Reply)
    assert stage.session.context(), "the session goes on"


def _error(answer: object, kind: type[context_pb2.CreateGraphReply | context_pb2.CreateTensorReply]) -> int:
    assert isinstance(answer, Reply), answer
    return answer.as_a(kind).error.code


def test_what_crosses_the_end_of_a_context_is_an_error(stage: Stage) -> None:
    """A correct renderer may not have heard of it yet."""
    stage.timeline.results(stage.timeline.commands(write(stage.tensor)))
    request = context_pb2.DestroyContextRequest(context=stage.context)
    for _ in range(2):
        assert isinstance(stage.session.call("DestroyContext", request), Reply)
    built = stage.session.build(stage.context, right_graph.relu())
    assert _error(built, context_pb2.CreateGraphReply) == common_pb2.ERROR_CODE_INVALID_STATE
    made = stage.session.create_tensor(stage.context)
    assert made.error.code == common_pb2.ERROR_CODE_INVALID_STATE
    assert stage.session.context(), "the session goes on"


def test_a_graph_that_stops_coming_is_an_error(stage: Stage) -> None:
    chunk = graph_chunk(stage.context, right_graph.relu())
    chunk.total_bytes += 1
    assert (
        _error(stage.session.call("CreateGraph", chunk), context_pb2.CreateGraphReply)
        == common_pb2.ERROR_CODE_OPERATION
    )
    assert _error(stage.session.call("CreateGraph"), context_pb2.CreateGraphReply) == common_pb2.ERROR_CODE_OPERATION
    stage.runs()


@pytest.mark.parametrize("backend", ["", "cuda", "../reference", "x" * 4096])
def test_a_backend_that_there_is_not_is_an_error(renderer: HostileRenderer, backend: str) -> None:
    session = renderer.open()
    assert session.create_context(backend=backend).error.code == common_pb2.ERROR_CODE_NOT_SUPPORTED


def test_int4_is_there_for_whoever_asked_for_it(renderer: HostileRenderer) -> None:
    session = renderer.open()
    answer = session.call("CreateContext", context_request(experimental_int4=True))
    assert isinstance(answer, Reply)
    context = answer.as_a(context_pb2.CreateContextReply).context.token
    packed = descriptor(3, data_type=common_pb2.DATA_TYPE_INT4)
    assert session.create_constant_tensor(context, session.region(b"ab"), descriptor=packed).HasField("tensor")


def test_a_session_needs_no_greeting_to_hear_its_end(renderer: HostileRenderer) -> None:
    session: Session = renderer.open(greets=False)
    assert session.context()
    session.sock.shutdown(2)
    assert session.closed() is None


def test_an_empty_packet_is_the_end_of_a_session(renderer: HostileRenderer) -> None:
    """The kernel shows both alike."""
    session = renderer.open()
    session.say_bytes(b"")
    assert session.closed() is None


def test_half_a_timeline_is_its_end(stage: Stage) -> None:
    """Whoever has no more to say has ended the context, and only that."""
    stage.timeline.commands(write(stage.tensor))
    stage.timeline.cancel()
    stage.session.call("DestroyContext", context_pb2.DestroyContextRequest(context=stage.context))
    assert stage.session.context()
