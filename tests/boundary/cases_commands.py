"""Commands with one thing wrong, on the stream of a timeline."""

from __future__ import annotations

from collections.abc import Callable

from ipc.generated.webnn.v1 import common_pb2, timeline_pb2
from ipc.verdicts import BadMessageReason as Reason
from tests.boundary import right_graph
from tests.boundary.hostile_client import (
    descriptor,
    destroy,
    dispatch,
    dispatch_again,
    read,
    write,
)
from tests.boundary.stage import TENSOR_BYTES, UNKNOWN, Case, Stage

Command = timeline_pb2.Command
_MAX_COMMANDS = 4096
_MAX_BINDINGS = 1024
_CHUNK = 4 << 20
_UNKNOWN_FIELD = b"\xf8\x07\x01"


def _commands(name: str, make: Callable[[Stage], list[Command]], reason: Reason, field: str) -> Case:
    """Commands numbered as they should be, the last of which is wrong."""

    def send(stage: Stage) -> None:
        commands = make(stage)
        stage.timeline.commands(*commands)

    return Case(f"command: {name}", send, reason, field)


def _inline(name: str, make: Callable[[Stage], list[Command]], reason: Reason, field: str) -> Case:
    def send(stage: Stage) -> None:
        commands = make(stage)
        stage.inline_timeline.commands(*commands)

    return Case(f"inline command: {name}", send, reason, field)


def _batch(name: str, make: Callable[[Stage], timeline_pb2.CommandBatch | bytes], reason: Reason, field: str) -> Case:
    return Case(f"batch: {name}", lambda s: s.timeline.send(make(s)), reason, field)


def _numbered(*numbers: int) -> Callable[[Stage], timeline_pb2.CommandBatch]:
    def make(stage: Stage) -> timeline_pb2.CommandBatch:
        batch = timeline_pb2.CommandBatch(commands=[write(stage.tensor) for _ in numbers])
        for command, number in zip(batch.commands, numbers, strict=True):
            command.sequence = number
        return batch

    return make


def _unknown_in(command: Callable[[Stage], Command], *path: str) -> Callable[[Stage], bytes]:
    def make(stage: Stage) -> bytes:
        batch = timeline_pb2.CommandBatch(commands=[command(stage)])
        inner = batch.commands[0]
        inner.sequence = 1
        for name in path:
            inner = getattr(inner, name)
            inner = inner[0] if hasattr(inner, "append") else inner
        inner.MergeFromString(_UNKNOWN_FIELD)
        return batch.SerializeToString()

    return make


def _runs(stage: Stage) -> Command:
    return dispatch(stage.relu, [("x", stage.tensor)], [("y", stage.other_tensor)])


_BATCHES = [
    _batch("no message", lambda s: b"\xff\xff", Reason.MALFORMED, "CommandBatch"),
    _batch("empty", lambda s: b"", Reason.BATCH_SIZE, "commands"),
    _batch(
        "one command too many",
        lambda s: _numbered(*range(1, _MAX_COMMANDS + 2))(s),
        Reason.BATCH_SIZE,
        "commands",
    ),
    _batch(
        "an unknown field",
        lambda s: _numbered(1)(s).SerializeToString() + _UNKNOWN_FIELD,
        Reason.UNKNOWN_FIELD,
        "CommandBatch",
    ),
    _batch("an unknown field in a command", _unknown_in(lambda s: read(s.tensor)), Reason.UNKNOWN_FIELD, "Command"),
    _batch(
        "an unknown field in a read", _unknown_in(lambda s: read(s.tensor), "read"), Reason.UNKNOWN_FIELD, "ReadTensor"
    ),
    _batch(
        "an unknown field in a write",
        _unknown_in(lambda s: write(s.tensor), "write"),
        Reason.UNKNOWN_FIELD,
        "WriteTensor",
    ),
    _batch("an unknown field in a dispatch", _unknown_in(_runs, "dispatch"), Reason.UNKNOWN_FIELD, "Dispatch"),
    _batch(
        "an unknown field in an input", _unknown_in(_runs, "dispatch", "inputs"), Reason.UNKNOWN_FIELD, "TensorBinding"
    ),
    _batch(
        "an unknown field in an output",
        _unknown_in(_runs, "dispatch", "outputs"),
        Reason.UNKNOWN_FIELD,
        "TensorBinding",
    ),
    _batch(
        "an unknown field in a destroy",
        _unknown_in(lambda s: destroy(tensor=s.tensor), "destroy"),
        Reason.UNKNOWN_FIELD,
        "DestroyObject",
    ),
    _batch("a number that is 0", _numbered(0), Reason.SEQUENCE, "command.sequence"),
    _batch("a number left out at the start", _numbered(2), Reason.SEQUENCE, "command.sequence"),
    _batch("a number left out", _numbered(1, 2, 4), Reason.SEQUENCE, "command.sequence"),
    _batch("a number twice", _numbered(1, 1), Reason.SEQUENCE, "command.sequence"),
    _batch("a number from before", _numbered(1, 2, 1), Reason.SEQUENCE, "command.sequence"),
    _commands("nothing", lambda s: [Command()], Reason.MISSING_FIELD, "command"),
    _commands("nothing is destroyed", lambda s: [destroy()], Reason.MISSING_FIELD, "destroy.object"),
]


def _tokens(name: str, field: str, make: Callable[[Stage, bytes], Command]) -> list[Case]:
    return [
        _commands(f"{name}: {what}", lambda s, t=token: [make(s, t)], Reason.INVALID_TOKEN, field)  # type: ignore[misc]
        for what, token in {"no token": b"", "a short token": b"s" * 15, "a long token": b"l" * 17}.items()
    ]


_TOKENS = [
    *_tokens("read", "read.tensor", lambda s, t: read(t)),
    *_tokens("write", "write.tensor", lambda s, t: write(t)),
    *_tokens("destroy a tensor", "destroy.tensor", lambda s, t: destroy(tensor=t)),
    *_tokens("destroy a graph", "destroy.graph", lambda s, t: destroy(graph=t)),
    *_tokens("run a graph", "dispatch.graph", lambda s, t: dispatch(t, [("x", s.tensor)], [("y", s.other_tensor)])),
    *_tokens("an input", "dispatch.inputs.tensor", lambda s, t: dispatch(s.relu, [("x", t)], [("y", s.other_tensor)])),
    *_tokens("an output", "dispatch.outputs.tensor", lambda s, t: dispatch(s.relu, [("x", s.tensor)], [("y", t)])),
]

_OBJECTS = [
    _commands("read what there is not", lambda s: [read(UNKNOWN)], Reason.UNKNOWN_TENSOR, "read.tensor"),
    _commands("write what there is not", lambda s: [write(UNKNOWN)], Reason.UNKNOWN_TENSOR, "write.tensor"),
    _commands(
        "destroy what there is not", lambda s: [destroy(tensor=UNKNOWN)], Reason.UNKNOWN_TENSOR, "destroy.tensor"
    ),
    _commands("destroy no graph", lambda s: [destroy(graph=UNKNOWN)], Reason.UNKNOWN_GRAPH, "destroy.graph"),
    _commands(
        "destroy a tensor as a graph", lambda s: [destroy(graph=s.tensor)], Reason.UNKNOWN_GRAPH, "destroy.graph"
    ),
    _commands(
        "destroy a graph as a tensor", lambda s: [destroy(tensor=s.relu)], Reason.UNKNOWN_TENSOR, "destroy.tensor"
    ),
    _commands(
        "read what is destroyed",
        lambda s: [destroy(tensor=s.tensor), read(s.tensor)],
        Reason.UNKNOWN_TENSOR,
        "read.tensor",
    ),
    _commands(
        "write what is destroyed",
        lambda s: [destroy(tensor=s.tensor), write(s.tensor)],
        Reason.UNKNOWN_TENSOR,
        "write.tensor",
    ),
    _commands(
        "destroy a tensor twice",
        lambda s: [destroy(tensor=s.tensor), destroy(tensor=s.tensor)],
        Reason.UNKNOWN_TENSOR,
        "destroy.tensor",
    ),
    _commands(
        "destroy a graph twice",
        lambda s: [destroy(graph=s.relu), destroy(graph=s.relu)],
        Reason.UNKNOWN_GRAPH,
        "destroy.graph",
    ),
    _commands(
        "run a graph that is destroyed",
        lambda s: [destroy(graph=s.relu), _runs(s)],
        Reason.UNKNOWN_GRAPH,
        "dispatch.graph",
    ),
    _commands(
        "run again after the graph is destroyed",
        lambda s: [_runs(s), destroy(graph=s.relu), dispatch_again()],
        Reason.UNKNOWN_BINDING,
        "dispatch.binding",
    ),
    _commands(
        "run again after an input is destroyed",
        lambda s: [_runs(s), destroy(tensor=s.tensor), dispatch_again()],
        Reason.UNKNOWN_BINDING,
        "dispatch.binding",
    ),
    _commands(
        "run again after an output is destroyed",
        lambda s: [_runs(s), destroy(tensor=s.other_tensor), dispatch_again()],
        Reason.UNKNOWN_BINDING,
        "dispatch.binding",
    ),
    _commands("run again what never ran", lambda s: [dispatch_again(1)], Reason.UNKNOWN_BINDING, "dispatch.binding"),
    _commands(
        "run nothing", lambda s: [Command(dispatch=timeline_pb2.Dispatch())], Reason.UNKNOWN_BINDING, "dispatch.binding"
    ),
    _commands(
        "read a tensor of another context",
        lambda s: [read(s.inline_tensor)],
        Reason.UNKNOWN_TENSOR,
        "read.tensor",
    ),
    _commands(
        "run a graph of another context",
        lambda s: [
            dispatch(s.session.graph(s.inline_context, right_graph.relu()), [("x", s.tensor)], [("y", s.other_tensor)])
        ],
        Reason.UNKNOWN_GRAPH,
        "dispatch.graph",
    ),
]

_USAGE = [
    _commands("read what may not be", lambda s: [read(s.private_tensor)], Reason.NOT_READABLE, "read.tensor"),
    _commands("write what may not be", lambda s: [write(s.private_tensor)], Reason.NOT_WRITABLE, "write.tensor"),
    _commands(
        "write what may only be read",
        lambda s: [write(s.session.tensor(s.context, writable=False))],
        Reason.NOT_WRITABLE,
        "write.tensor",
    ),
    _commands(
        "read what may only be written",
        lambda s: [read(s.session.tensor(s.context, readable=False))],
        Reason.NOT_READABLE,
        "read.tensor",
    ),
    _commands("read a constant", lambda s: [read(s.constant_tensor)], Reason.CONSTANT_TENSOR, "read.tensor"),
    _commands("write a constant", lambda s: [write(s.constant_tensor)], Reason.CONSTANT_TENSOR, "write.tensor"),
    _commands(
        "a constant as an input",
        lambda s: [dispatch(s.relu, [("x", s.constant_tensor)], [("y", s.tensor)])],
        Reason.CONSTANT_TENSOR,
        "dispatch.inputs",
    ),
    _commands(
        "a constant as an output",
        lambda s: [dispatch(s.relu, [("x", s.tensor)], [("y", s.constant_tensor)])],
        Reason.CONSTANT_TENSOR,
        "dispatch.outputs",
    ),
    _inline(
        "write what may not be",
        lambda s: [write(s.session.tensor(s.inline_context, writable=False), bytes(TENSOR_BYTES))],
        Reason.NOT_WRITABLE,
        "write.tensor",
    ),
]


def _sum(stage: Stage) -> bytes:
    """y = a + b"""
    graph = right_graph.relu()
    graph.operands.insert(1, right_graph.operand(right_graph.INPUT, 2, 3))
    del graph.inputs[:], graph.operations[:]
    graph.inputs.extend([right_graph.named("a", 0), right_graph.named("b", 1)])
    graph.operations.append(right_graph.operation("add", {"a": 0, "b": 1}, 2))
    graph.outputs[0].operand = 2
    return stage.session.graph(stage.context, graph)


def _like(stage: Stage, *shape: int, data_type: int = common_pb2.DATA_TYPE_FLOAT32) -> bytes:
    return stage.session.tensor(stage.context, descriptor=descriptor(*shape, data_type=data_type))


_BINDINGS = [
    _commands(
        "a tensor as input and output",
        lambda s: [dispatch(s.relu, [("x", s.tensor)], [("y", s.tensor)])],
        Reason.DUPLICATE_TENSOR,
        "dispatch",
    ),
    _commands(
        "a tensor as two inputs, which Chromium takes",
        lambda s: [dispatch(_sum(s), [("a", s.tensor), ("b", s.tensor)], [("y", s.other_tensor)])],
        Reason.DUPLICATE_TENSOR,
        "dispatch",
    ),
    _commands(
        "a tensor as two outputs",
        lambda s: [dispatch(s.relu, [("x", s.tensor)], [("y", s.other_tensor), ("z", s.other_tensor)])],
        Reason.DUPLICATE_TENSOR,
        "dispatch",
    ),
    _commands(
        "a tensor twice, before the graph is looked up",
        lambda s: [dispatch(UNKNOWN, [("x", s.tensor)], [("y", s.tensor)])],
        Reason.DUPLICATE_TENSOR,
        "dispatch",
    ),
    _commands(
        "an input missing",
        lambda s: [dispatch(s.relu, [], [("y", s.tensor)])],
        Reason.BINDING_NAMES,
        "dispatch.inputs",
    ),
    _commands(
        "an output missing",
        lambda s: [dispatch(s.relu, [("x", s.tensor)], [])],
        Reason.BINDING_NAMES,
        "dispatch.outputs",
    ),
    _commands(
        "an input of another name",
        lambda s: [dispatch(s.relu, [("y", s.tensor)], [("y", s.other_tensor)])],
        Reason.BINDING_NAMES,
        "dispatch.inputs",
    ),
    _commands(
        "an output of another name",
        lambda s: [dispatch(s.relu, [("x", s.tensor)], [("x", s.other_tensor)])],
        Reason.BINDING_NAMES,
        "dispatch.outputs",
    ),
    _commands(
        "an input twice",
        lambda s: [dispatch(s.relu, [("x", s.tensor), ("x", _like(s, 2, 3))], [("y", s.other_tensor)])],
        Reason.BINDING_NAMES,
        "dispatch.inputs",
    ),
    _commands(
        "an output twice",
        lambda s: [dispatch(s.relu, [("x", s.tensor)], [("y", s.other_tensor), ("y", _like(s, 2, 3))])],
        Reason.BINDING_NAMES,
        "dispatch.outputs",
    ),
    _commands(
        "an input too many",
        lambda s: [dispatch(s.relu, [("x", s.tensor), ("", _like(s, 2, 3))], [("y", s.other_tensor)])],
        Reason.BINDING_NAMES,
        "dispatch.inputs",
    ),
    _commands(
        "an input of another shape",
        lambda s: [dispatch(s.relu, [("x", _like(s, 3, 2))], [("y", s.other_tensor)])],
        Reason.BINDING_DESCRIPTOR,
        "dispatch.inputs",
    ),
    _commands(
        "an input that is smaller",
        lambda s: [dispatch(s.relu, [("x", _like(s, 1))], [("y", s.other_tensor)])],
        Reason.BINDING_DESCRIPTOR,
        "dispatch.inputs",
    ),
    _commands(
        "an output of another type",
        lambda s: [dispatch(s.relu, [("x", s.tensor)], [("y", _like(s, 2, 3, data_type=common_pb2.DATA_TYPE_INT32))])],
        Reason.BINDING_DESCRIPTOR,
        "dispatch.outputs",
    ),
    _commands(
        "an output that is smaller",
        lambda s: [dispatch(s.relu, [("x", s.tensor)], [("y", _like(s, 2, 2))])],
        Reason.BINDING_DESCRIPTOR,
        "dispatch.outputs",
    ),
    _commands(
        "an unknown input",
        lambda s: [dispatch(s.relu, [("x", UNKNOWN)], [("y", s.other_tensor)])],
        Reason.UNKNOWN_TENSOR,
        "dispatch.inputs",
    ),
    _commands(
        "an unknown output",
        lambda s: [dispatch(s.relu, [("x", s.tensor)], [("y", UNKNOWN)])],
        Reason.UNKNOWN_TENSOR,
        "dispatch.outputs",
    ),
    _commands(
        "a binding numbered 0",
        lambda s: [dispatch(s.relu, [("x", s.tensor)], [("y", s.other_tensor)], define=0)],
        Reason.BINDING_ID,
        "dispatch.define",
    ),
    _commands(
        "a binding beyond the last",
        lambda s: [dispatch(s.relu, [("x", s.tensor)], [("y", s.other_tensor)], define=_MAX_BINDINGS + 1)],
        Reason.BINDING_ID,
        "dispatch.define",
    ),
    _commands(
        "a binding that is defined and named",
        lambda s: [_also_named(_runs(s))],
        Reason.BINDING_ID,
        "dispatch.binding",
    ),
]


def _also_named(command: Command) -> Command:
    command.dispatch.binding = 1
    return command


def _large(stage: Stage) -> bytes:
    """A tensor that takes a chunk and a byte more to write."""
    wanted = descriptor(_CHUNK + 1, data_type=common_pb2.DATA_TYPE_UINT8)
    return stage.session.tensor(stage.inline_context, descriptor=wanted)


_WRITES = [
    _commands(
        "bytes where memory is shared",
        lambda s: [write(s.tensor, bytes(TENSOR_BYTES))],
        Reason.WRITE_FORM,
        "write.data",
    ),
    _commands(
        "no bytes, but present, where memory is shared",
        lambda s: [write(s.tensor, b"")],
        Reason.WRITE_FORM,
        "write.data",
    ),
    _commands(
        "an offset where memory is shared", lambda s: [write(s.tensor, offset=4)], Reason.WRITE_FORM, "write.data"
    ),
    _inline("no bytes", lambda s: [write(s.inline_tensor)], Reason.WRITE_FORM, "write.data"),
    _inline("empty bytes", lambda s: [write(s.inline_tensor, b"")], Reason.WRITE_LENGTH, "write.data"),
    _inline(
        "a byte too few", lambda s: [write(s.inline_tensor, bytes(TENSOR_BYTES - 1))], Reason.WRITE_LENGTH, "write.data"
    ),
    _inline(
        "a byte too many",
        lambda s: [write(s.inline_tensor, bytes(TENSOR_BYTES + 1))],
        Reason.WRITE_LENGTH,
        "write.data",
    ),
    _inline(
        "bytes at an offset",
        lambda s: [write(s.inline_tensor, bytes(TENSOR_BYTES - 4), 4)],
        Reason.WRITE_LENGTH,
        "write.offset",
    ),
    _inline(
        "bytes far beyond",
        lambda s: [write(s.inline_tensor, bytes(TENSOR_BYTES), 2**64 - 8)],
        Reason.WRITE_LENGTH,
        "write.offset",
    ),
    _inline(
        "a piece that is too small", lambda s: [write(_large(s), bytes(_CHUNK - 1))], Reason.WRITE_LENGTH, "write.data"
    ),
    _inline("all in one piece", lambda s: [write(_large(s), bytes(_CHUNK + 1))], Reason.WRITE_LENGTH, "write.data"),
    _inline(
        "the second piece again from the start",
        lambda s: [write(t := _large(s), bytes(_CHUNK)), write(t, bytes(_CHUNK))],
        Reason.WRITE_LENGTH,
        "write.offset",
    ),
    _inline(
        "a read between two pieces",
        lambda s: [write(t := _large(s), bytes(_CHUNK)), read(t)],
        Reason.WRITE_LENGTH,
        "write.data",
    ),
    _inline(
        "another tensor's bytes between two pieces",
        lambda s: [write(_large(s), bytes(_CHUNK)), write(s.inline_tensor, bytes(TENSOR_BYTES))],
        Reason.WRITE_LENGTH,
        "write.data",
    ),
    _inline(
        "destroyed between two pieces",
        lambda s: [write(t := _large(s), bytes(_CHUNK)), destroy(tensor=t)],
        Reason.WRITE_LENGTH,
        "write.data",
    ),
    _inline(
        "a graph destroyed between two pieces",
        lambda s: [
            write(_large(s), bytes(_CHUNK)),
            destroy(graph=s.session.graph(s.inline_context, right_graph.relu())),
        ],
        Reason.WRITE_LENGTH,
        "write.data",
    ),
    _inline(
        "run between two pieces",
        lambda s: [
            dispatch(
                s.session.graph(s.inline_context, right_graph.relu()),
                [("x", s.inline_tensor)],
                [("y", s.session.tensor(s.inline_context))],
            ),
            write(_large(s), bytes(_CHUNK)),
            dispatch_again(),
        ],
        Reason.WRITE_LENGTH,
        "write.data",
    ),
    _inline(
        "defined between two pieces",
        lambda s: [
            write(_large(s), bytes(_CHUNK)),
            dispatch(
                s.session.graph(s.inline_context, right_graph.relu()),
                [("x", s.inline_tensor)],
                [("y", s.session.tensor(s.inline_context))],
            ),
        ],
        Reason.WRITE_LENGTH,
        "write.data",
    ),
]


def _two_timelines(stage: Stage) -> None:
    first = stage.timeline
    first.results(first.commands(write(stage.tensor)))
    stage.session.timeline(stage.context)


_TIMELINES = [
    Case(
        "timeline: no context", lambda s: s.session.timeline(None) and None, Reason.INVALID_TOKEN, "webnn-context-bin"
    ),
    Case(
        "timeline: a short token",
        lambda s: s.session.timeline(b"s") and None,
        Reason.INVALID_TOKEN,
        "webnn-context-bin",
    ),
    Case(
        "timeline: a context that there never was",
        lambda s: s.session.timeline(UNKNOWN) and None,
        Reason.UNKNOWN_CONTEXT,
        "context",
    ),
    Case("timeline: a second one", _two_timelines, Reason.DUPLICATE_TIMELINE, "timeline"),
]

CASES = [*_BATCHES, *_TOKENS, *_OBJECTS, *_USAGE, *_BINDINGS, *_WRITES, *_TIMELINES]
