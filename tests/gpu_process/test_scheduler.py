"""Commands that a correct renderer never sends, one by one, as bytes on a real stream; and what in-place means."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ipc.descriptors import DataType, Descriptor
from ipc.errors import InvalidStateError, OperationError
from ipc.generated.webnn.v1 import timeline_pb2
from ipc.graph import Graph
from ipc.timeline.limits import CHUNK_BYTES, MAX_BINDINGS, MAX_COMMANDS
from ipc.verdicts import BadMessageReason as Reason
from tests.gpu_process.backends_for_tests import MeddlingBackend
from tests.service_rig import FLOAT, SECONDS, GraphMaker, RawContext, Rig, as_floats, expect_bad, running, unary

OTHER = Descriptor(DataType.FLOAT32, (3, 2))
LARGE = Descriptor(DataType.UINT8, (CHUNK_BYTES + 10,))


@pytest.fixture(scope="module")
def shared_rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with running(tmp_path_factory.mktemp("gpu")) as rig:
        yield rig


@pytest.fixture
def rig(shared_rig: Rig) -> Iterator[Rig]:
    yield shared_rig
    shared_rig.hang_up()


class Commands:
    """A context with a graph y = relu(x) and tensors, and the commands that name them."""

    def __init__(self, context: RawContext) -> None:
        self.context = context
        self.graph = context.build(unary("relu"))
        self.pair = context.build(_two_inputs())
        self.x, self.y, self.z = (context.tensor().token for _ in range(3))
        self.other = context.tensor(OTHER).token
        self.large = context.tensor(LARGE).token
        self.write_only = context.tensor(readable=False).token
        self.read_only = context.tensor(writable=False).token
        region = context.renderer.offer(bytes(FLOAT.byte_length))
        self.constant = context.constant_tensor_reply(FLOAT, region).tensor.token

    def dispatch(self, **changes: Any) -> dict[str, Any]:
        right = {"define": 1, "graph": self.graph, "inputs": {"x": self.x}, "outputs": {"y": self.y}}
        return {"dispatch": {**right, **changes}}

    def write(self, tensor: bytes, data: bytes | None = None, offset: int = 0) -> dict[str, Any]:
        inline = self.context.carrier == "inline"
        data = bytes(FLOAT.byte_length) if data is None and inline else data
        return {"write": {"tensor": tensor, "offset": offset} | ({} if data is None else {"data": data})}


def _two_inputs() -> Any:
    maker = GraphMaker()
    maker.output("y", maker.apply("add", maker.input("a"), maker.input("b")))
    return maker.graph


def _read(tensor: bytes) -> dict[str, Any]:
    return {"read": {"tensor": tensor}}


def _destroy(**what: bytes) -> dict[str, Any]:
    return {"destroy": what}


def _batch(*commands: dict[str, Any], first: int = 1) -> timeline_pb2.CommandBatch:
    batch = timeline_pb2.CommandBatch()
    for sequence, command in enumerate(commands, first):
        message = batch.commands.add(sequence=sequence)
        for kind, fields in command.items():
            target = getattr(message, kind)
            target.SetInParent()
            for name, value in fields.items():
                if isinstance(value, dict):
                    value = value.items()
                if not isinstance(value, bytes | int):
                    for item, tensor in value:
                        getattr(target, name).add(name=item, tensor=tensor)
                else:
                    setattr(target, name, value)
    return batch


def _stream(context: RawContext, *batches: timeline_pb2.CommandBatch | bytes) -> list[Any]:
    raw = [batch if isinstance(batch, bytes) else batch.SerializeToString() for batch in batches]
    call = context.renderer.channel.stream_stream("/webnn.v1.WebNN/Timeline")
    replies = call(iter(raw), metadata=context.metadata, timeout=SECONDS)
    return [timeline_pb2.CompletionBatch.FromString(reply) for reply in replies]


Make = Callable[[Commands], timeline_pb2.CommandBatch | bytes]

BAD: dict[str, tuple[Make, Reason]] = {
    "garbage": (lambda c: b"\xff\xff", Reason.MALFORMED),
    "no command": (lambda c: _batch(), Reason.BATCH_SIZE),
    "too many commands": (lambda c: _batch(*[_read(c.x)] * (MAX_COMMANDS + 1)), Reason.BATCH_SIZE),
    "unknown field of a batch": (lambda c: _batch(_read(c.x)).SerializeToString() + b"\x78\x01", Reason.UNKNOWN_FIELD),
    "unknown field of a command": (lambda c: b"\x0a\x04\x08\x01\x78\x01", Reason.UNKNOWN_FIELD),
    "unknown field of a read": (
        lambda c: b"\x0a\x18\x08\x01\x22\x14\x0a\x10" + c.x + b"\x78\x01",
        Reason.UNKNOWN_FIELD,
    ),
    "unknown field of a tensor's name": (
        lambda c: b"\x0a\x08\x08\x01\x1a\x04\x22\x02\x78\x01",
        Reason.UNKNOWN_FIELD,
    ),
    "empty command": (lambda c: _batch({}), Reason.MISSING_FIELD),
    "destroys nothing": (lambda c: _batch(_destroy()), Reason.MISSING_FIELD),
    "number zero": (lambda c: _batch(_read(c.x), first=0), Reason.SEQUENCE),
    "number skipped": (lambda c: _batch(_read(c.x), first=2), Reason.SEQUENCE),
    "number huge": (lambda c: _batch(_read(c.x), first=2**64 - 1), Reason.SEQUENCE),
    "read unknown": (lambda c: _batch(_read(b"u" * 16)), Reason.UNKNOWN_TENSOR),
    "read short token": (lambda c: _batch(_read(b"u")), Reason.INVALID_TOKEN),
    "read constant": (lambda c: _batch(_read(c.constant)), Reason.CONSTANT_TENSOR),
    "read what is not readable": (lambda c: _batch(_read(c.write_only)), Reason.NOT_READABLE),
    "write unknown": (lambda c: _batch(c.write(b"u" * 16)), Reason.UNKNOWN_TENSOR),
    "write short token": (lambda c: _batch(c.write(b"")), Reason.INVALID_TOKEN),
    "write constant": (lambda c: _batch(c.write(c.constant)), Reason.CONSTANT_TENSOR),
    "write what is not writable": (lambda c: _batch(c.write(c.read_only)), Reason.NOT_WRITABLE),
    "read after destroy": (lambda c: _batch(_destroy(tensor=c.x), _read(c.x)), Reason.UNKNOWN_TENSOR),
    "destroy twice": (lambda c: _batch(_destroy(tensor=c.x), _destroy(tensor=c.x)), Reason.UNKNOWN_TENSOR),
    "destroy graph twice": (
        lambda c: _batch(_destroy(graph=c.graph), _destroy(graph=c.graph)),
        Reason.UNKNOWN_GRAPH,
    ),
    "destroy short tensor": (lambda c: _batch(_destroy(tensor=b"u")), Reason.INVALID_TOKEN),
    "destroy short graph": (lambda c: _batch(_destroy(graph=b"u")), Reason.INVALID_TOKEN),
    "destroy a graph as a tensor": (lambda c: _batch(_destroy(tensor=c.graph)), Reason.UNKNOWN_TENSOR),
    "binding never defined": (lambda c: _batch({"dispatch": {"binding": 1}}), Reason.UNKNOWN_BINDING),
    "binding zero": (lambda c: _batch({"dispatch": {}}), Reason.UNKNOWN_BINDING),
    "binding and definition": (lambda c: _batch(c.dispatch(binding=1)), Reason.BINDING_ID),
    "define zero": (lambda c: _batch(c.dispatch(define=0)), Reason.BINDING_ID),
    "define too large": (lambda c: _batch(c.dispatch(define=MAX_BINDINGS + 1)), Reason.BINDING_ID),
    "binding of a destroyed tensor": (
        lambda c: _batch(c.dispatch(), _destroy(tensor=c.x), {"dispatch": {"binding": 1}}),
        Reason.UNKNOWN_BINDING,
    ),
    "binding of a destroyed graph": (
        lambda c: _batch(c.dispatch(), _destroy(graph=c.graph), {"dispatch": {"binding": 1}}),
        Reason.UNKNOWN_BINDING,
    ),
    "tensor in and out": (lambda c: _batch(c.dispatch(outputs={"y": c.x})), Reason.DUPLICATE_TENSOR),
    "tensor in twice": (
        lambda c: _batch(c.dispatch(graph=c.pair, inputs={"a": c.x, "b": c.x})),
        Reason.DUPLICATE_TENSOR,
    ),
    "tensor out twice": (lambda c: _batch(c.dispatch(outputs={"y": c.y, "z": c.y})), Reason.DUPLICATE_TENSOR),
    "duplicates are seen before an unknown graph": (
        lambda c: _batch(c.dispatch(graph=b"u" * 16, outputs={"y": c.x})),
        Reason.DUPLICATE_TENSOR,
    ),
    "graph unknown": (lambda c: _batch(c.dispatch(graph=b"u" * 16)), Reason.UNKNOWN_GRAPH),
    "graph short": (lambda c: _batch(c.dispatch(graph=b"u")), Reason.INVALID_TOKEN),
    "input unknown": (lambda c: _batch(c.dispatch(inputs={"x": b"u" * 16})), Reason.UNKNOWN_TENSOR),
    "input short": (lambda c: _batch(c.dispatch(inputs={"x": b"u"})), Reason.INVALID_TOKEN),
    "output unknown": (lambda c: _batch(c.dispatch(outputs={"y": b"u" * 16})), Reason.UNKNOWN_TENSOR),
    "input constant": (lambda c: _batch(c.dispatch(inputs={"x": c.constant})), Reason.CONSTANT_TENSOR),
    "output constant": (lambda c: _batch(c.dispatch(outputs={"y": c.constant})), Reason.CONSTANT_TENSOR),
    "input missing": (lambda c: _batch(c.dispatch(inputs={})), Reason.BINDING_NAMES),
    "input too many": (lambda c: _batch(c.dispatch(inputs={"x": c.x, "w": c.z})), Reason.BINDING_NAMES),
    "input of another name": (lambda c: _batch(c.dispatch(inputs={"w": c.x})), Reason.BINDING_NAMES),
    "input name twice": (lambda c: _batch(c.dispatch(inputs=[("x", c.x), ("x", c.z)])), Reason.BINDING_NAMES),
    "output missing": (lambda c: _batch(c.dispatch(outputs={})), Reason.BINDING_NAMES),
    "output too many": (lambda c: _batch(c.dispatch(outputs={"y": c.y, "w": c.z})), Reason.BINDING_NAMES),
    "output name twice": (lambda c: _batch(c.dispatch(outputs=[("y", c.y), ("y", c.z)])), Reason.BINDING_NAMES),
    "input of another shape": (lambda c: _batch(c.dispatch(inputs={"x": c.other})), Reason.BINDING_DESCRIPTOR),
    "output of another shape": (lambda c: _batch(c.dispatch(outputs={"y": c.other})), Reason.BINDING_DESCRIPTOR),
}

BAD_STREAM: dict[str, tuple[Make, Reason]] = {
    "bytes beside shared memory": (lambda c: _batch(c.write(c.x, bytes(24))), Reason.WRITE_FORM),
    "offset beside shared memory": (lambda c: _batch(c.write(c.x, offset=1)), Reason.WRITE_FORM),
}

BAD_INLINE: dict[str, tuple[Make, Reason]] = {
    "no bytes": (lambda c: _batch({"write": {"tensor": c.x}}), Reason.WRITE_FORM),
    "too few bytes": (lambda c: _batch(c.write(c.x, bytes(23))), Reason.WRITE_LENGTH),
    "too many bytes": (lambda c: _batch(c.write(c.x, bytes(25))), Reason.WRITE_LENGTH),
    "empty": (lambda c: _batch(c.write(c.x, b"")), Reason.WRITE_LENGTH),
    "at an offset": (lambda c: _batch(c.write(c.x, bytes(20), offset=4)), Reason.WRITE_LENGTH),
    "a short first piece": (lambda c: _batch(c.write(c.large, bytes(CHUNK_BYTES - 1))), Reason.WRITE_LENGTH),
    "a long last piece": (
        lambda c: _batch(c.write(c.large, bytes(CHUNK_BYTES)), c.write(c.large, bytes(11), CHUNK_BYTES)),
        Reason.WRITE_LENGTH,
    ),
    "a piece twice": (
        lambda c: _batch(c.write(c.large, bytes(CHUNK_BYTES)), c.write(c.large, bytes(CHUNK_BYTES))),
        Reason.WRITE_LENGTH,
    ),
    "another write between the pieces": (
        lambda c: _batch(c.write(c.large, bytes(CHUNK_BYTES)), c.write(c.x)),
        Reason.WRITE_LENGTH,
    ),
    "a read between the pieces": (
        lambda c: _batch(c.write(c.large, bytes(CHUNK_BYTES)), _read(c.large)),
        Reason.WRITE_LENGTH,
    ),
    "a dispatch between the pieces": (
        lambda c: _batch(c.write(c.large, bytes(CHUNK_BYTES)), c.dispatch()),
        Reason.WRITE_LENGTH,
    ),
    "a destroy between the pieces": (
        lambda c: _batch(c.write(c.large, bytes(CHUNK_BYTES)), _destroy(tensor=c.large)),
        Reason.WRITE_LENGTH,
    ),
    "a destroyed graph between the pieces": (
        lambda c: _batch(c.write(c.large, bytes(CHUNK_BYTES)), _destroy(graph=c.graph)),
        Reason.WRITE_LENGTH,
    ),
}

_CASES = [
    *((carrier, name, case) for carrier in ("inline", "stream") for name, case in BAD.items()),
    *(("stream", name, case) for name, case in BAD_STREAM.items()),
    *(("inline", name, case) for name, case in BAD_INLINE.items()),
]


@pytest.mark.parametrize(("carrier", "name", "case"), _CASES, ids=[f"{case[0]}-{case[1]}" for case in _CASES])
def test_a_command_no_correct_renderer_sends_ends_the_session(
    rig: Rig, carrier: str, name: str, case: tuple[Make, Reason]
) -> None:
    make, reason = case
    commands = Commands(rig.renderer().context(carrier))
    assert expect_bad(_stream, commands.context, make(commands)) == reason
    told, field = commands.context.renderer.closed()
    assert told == reason
    assert rig.reports.of(commands.context.renderer.number) == (reason, field)
    assert field


@pytest.mark.parametrize(
    ("token", "reason"),
    [(b"", Reason.INVALID_TOKEN), (b"u" * 16, Reason.UNKNOWN_CONTEXT), (None, Reason.INVALID_TOKEN)],
)
def test_a_timeline_needs_its_context(rig: Rig, token: bytes | None, reason: Reason) -> None:
    context = rig.renderer().context()
    context.metadata = (
        context.renderer.metadata if token is None else (*context.renderer.metadata, ("webnn-context-bin", token))
    )
    assert expect_bad(_stream, context, _batch(_read(b"u" * 16))) == reason


@pytest.mark.parametrize("carrier", ["inline", "stream"])
def test_the_same_batches_done_right_are_answered(rig: Rig, carrier: str) -> None:
    commands = Commands(rig.renderer().context(carrier))
    batch = _batch(
        commands.write(commands.x),
        commands.dispatch(define=MAX_BINDINGS),
        {"dispatch": {"binding": MAX_BINDINGS}},
        commands.dispatch(define=MAX_BINDINGS, outputs={"y": commands.z}),  # the number names another one now
        _read(commands.z),
        _destroy(tensor=commands.constant),
        _destroy(graph=commands.graph),
    )
    (reply,) = _stream(commands.context, batch)
    assert [completion.sequence for completion in reply.completions] == [5, 7]
    assert reply.completions[0].read.WhichOneof("result") == ("data" if carrier == "inline" else "in_slot")


def test_the_end_of_the_stream_is_the_end_of_the_context(rig: Rig) -> None:
    context = rig.renderer().context()
    _stream(context, _batch(_read(context.tensor().token)))
    assert context.create_tensor_reply(readable=True).HasField("error")


@pytest.mark.parametrize(("in_place", "allowed"), [(True, True), (True, False), (False, True)])
@pytest.mark.parametrize("end", ["input", "output"])
def test_a_graph_uses_shared_memory_only_where_it_and_the_service_allow_it(
    tmp_path: Path, in_place: bool, allowed: bool, end: str
) -> None:
    backend = MeddlingBackend(in_place=in_place)
    with running(tmp_path, backend, in_place=allowed) as rig:
        context = rig.renderer().context()
        timeline = context.connect()
        graph = context.build(unary("identity"))
        source, target = context.tensor(), context.tensor()
        if end == "input":
            backend.before_run = lambda graph: _scribble(source.slot)
        else:
            backend.after_run = lambda graph: _scribble(target.slot)
        timeline.write(source, memoryview(np.ones(FLOAT.shape, np.float32)).cast("B"))
        timeline.dispatch(graph, {"x": source}, {"y": target})
        seen = float(as_floats(timeline.read(target).result(SECONDS))[0, 0])
        timeline.fail(InvalidStateError("over"))
    # What the renderer changes while the graph runs is seen exactly where it may be.
    assert seen == (9.0 if in_place and allowed else 1.0)


def test_memory_that_runs_out_in_a_dispatch_poisons_its_outputs(tmp_path: Path) -> None:
    def runs_out(graph: Graph) -> None:
        raise MemoryError("no room for scratch")

    with running(tmp_path, MeddlingBackend(before_run=runs_out)) as rig:
        context = rig.renderer().context()
        timeline = context.connect()
        source, target = context.tensor(), context.tensor()
        timeline.write(source, memoryview(bytes(FLOAT.byte_length)))
        timeline.dispatch(context.build(unary("identity")), {"x": source}, {"y": target})
        with pytest.raises(OperationError, match="dispatch: out of memory: no room for scratch"):
            timeline.read(target).result(SECONDS)
        timeline.fail(InvalidStateError("over"))


def _scribble(slot: memoryview | None) -> None:
    assert slot is not None
    slot[:] = np.full(FLOAT.shape, 9, np.float32).tobytes()
