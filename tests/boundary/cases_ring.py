"""Commands with one thing wrong, in a ring, and definitions of what its commands name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ipc.generated.webnn.v1 import context_pb2, timeline_pb2
from ipc.verdicts import BadMessageReason as Reason
from tests.boundary.hostile_client import Ring, descriptor
from tests.boundary.stage import UNKNOWN, Answer, Case, Stage

_MOST_BINDINGS = 1024
_MOST_DEFINITIONS = 256


def _ring(name: str, act: Callable[[Ring, Stage], object], reason: Reason, field: str) -> Case:
    def send(stage: Stage) -> None:
        act(stage.ring, stage)

    return Case(f"ring: {name}", send, reason, field)


_FORM = [
    _ring("more published than fits", lambda r, s: r.publish(Ring.CAPACITY + 1), Reason.RING_CURSOR, "ring.published"),
    _ring("the largest cursor", lambda r, s: r.publish(2**64 - 1), Reason.RING_CURSOR, "ring.published"),
    _ring(
        "less published than before",
        lambda r, s: (r.wait_for(r.command(Ring.READ, token=s.ring_tensor)), r.publish(0)),
        Reason.RING_CURSOR,
        "ring.published",
    ),
    _ring("published before it is written", lambda r, s: r.publish(1), Reason.SEQUENCE, "ring.command.sequence"),
    _ring(
        "a number from the future",
        lambda r, s: (r.put(Ring.CAPACITY + 1, Ring.READ, 0, s.ring_tensor), r.publish(1)),
        Reason.SEQUENCE,
        "ring.command.sequence",
    ),
    _ring("no kind", lambda r, s: r.command(0, token=s.ring_tensor), Reason.RING_COMMAND, "ring.command.kind"),
    _ring("an unknown kind", lambda r, s: r.command(7, token=s.ring_tensor), Reason.RING_COMMAND, "ring.command.kind"),
    _ring("the largest kind", lambda r, s: r.command(2**32 - 1), Reason.RING_COMMAND, "ring.command.kind"),
    _ring(
        "something where nothing belongs",
        lambda r, s: r.command(Ring.READ, token=s.ring_tensor, rest=bytes(31) + b"x"),
        Reason.RING_COMMAND,
        "ring.command",
    ),
    _ring("a read of nothing", lambda r, s: r.command(Ring.READ), Reason.RING_COMMAND, "ring.command"),
    _ring(
        "a dispatch with a token",
        lambda r, s: r.command(Ring.DISPATCH, 1, UNKNOWN),
        Reason.RING_COMMAND,
        "ring.command",
    ),
    *(
        _ring(
            f"a number where none belongs: {name}",
            lambda r, s, k=kind: r.command(k, 1, s.ring_tensor),  # type: ignore[misc]
            Reason.RING_COMMAND,
            "ring.command",
        )
        for name, kind in {
            "read": Ring.READ,
            "destroy a tensor": Ring.DESTROY_TENSOR,
            "destroy a graph": Ring.DESTROY_GRAPH,
        }.items()
    ),
]


def _private(stage: Stage, **usage: bool) -> bytes:
    return stage.session.tensor(stage.ring_context, **usage)


def _constant(stage: Stage) -> bytes:
    return stage.session.create_constant_tensor(stage.ring_context, stage.region).tensor.token


_COMMANDS = [
    _ring(
        "read what there is not", lambda r, s: r.command(Ring.READ, 0, UNKNOWN), Reason.UNKNOWN_TENSOR, "read.tensor"
    ),
    _ring(
        "write what there is not", lambda r, s: r.command(Ring.WRITE, 0, UNKNOWN), Reason.UNKNOWN_TENSOR, "write.tensor"
    ),
    _ring(
        "move what there is not", lambda r, s: r.command(Ring.MOVE, 0, UNKNOWN), Reason.UNKNOWN_TENSOR, "move.tensor"
    ),
    _ring(
        "destroy what there is not",
        lambda r, s: r.command(Ring.DESTROY_TENSOR, 0, UNKNOWN),
        Reason.UNKNOWN_TENSOR,
        "destroy.tensor",
    ),
    _ring(
        "destroy no graph",
        lambda r, s: r.command(Ring.DESTROY_GRAPH, 0, UNKNOWN),
        Reason.UNKNOWN_GRAPH,
        "destroy.graph",
    ),
    _ring(
        "read a tensor of another context",
        lambda r, s: r.command(Ring.READ, 0, s.tensor),
        Reason.UNKNOWN_TENSOR,
        "read.tensor",
    ),
    _ring(
        "read what is destroyed",
        lambda r, s: (r.command(Ring.DESTROY_TENSOR, 0, s.ring_tensor), r.command(Ring.READ, 0, s.ring_tensor)),
        Reason.UNKNOWN_TENSOR,
        "read.tensor",
    ),
    _ring("read a constant", lambda r, s: r.command(Ring.READ, 0, _constant(s)), Reason.CONSTANT_TENSOR, "read.tensor"),
    _ring(
        "write a constant", lambda r, s: r.command(Ring.WRITE, 0, _constant(s)), Reason.CONSTANT_TENSOR, "write.tensor"
    ),
    _ring("move a constant", lambda r, s: r.command(Ring.MOVE, 0, _constant(s)), Reason.CONSTANT_TENSOR, "move.tensor"),
    _ring(
        "read what may not be",
        lambda r, s: r.command(Ring.READ, 0, _private(s, readable=False)),
        Reason.NOT_READABLE,
        "read.tensor",
    ),
    _ring(
        "write what may not be",
        lambda r, s: r.command(Ring.WRITE, 0, _private(s, writable=False)),
        Reason.NOT_WRITABLE,
        "write.tensor",
    ),
    _ring(
        "write a slot that there is not",
        lambda r, s: r.command(Ring.WRITE, 2, s.ring_tensor),
        Reason.SLOT_NUMBER,
        "write.slot",
    ),
    _ring(
        "move to a slot that there is not",
        lambda r, s: r.command(Ring.MOVE, 2**32 - 1, s.ring_tensor),
        Reason.SLOT_NUMBER,
        "move.slot",
    ),
    _ring(
        "move what is not shared",
        lambda r, s: r.command(Ring.MOVE, 0, _private(s, readable=False, writable=False)),
        Reason.SLOT_NUMBER,
        "move.slot",
    ),
    _ring(
        "run what was never defined",
        lambda r, s: r.command(Ring.DISPATCH, 1),
        Reason.UNKNOWN_BINDING,
        "dispatch.binding",
    ),
    _ring("run nothing", lambda r, s: r.command(Ring.DISPATCH, 0), Reason.UNKNOWN_BINDING, "dispatch.binding"),
    _ring(
        "run what is destroyed",
        lambda r, s: (
            _defined(s),
            r.command(Ring.DISPATCH, 1),
            r.command(Ring.DESTROY_GRAPH, 0, s.ring_graph),
            r.command(Ring.DISPATCH, 1),
        ),
        Reason.UNKNOWN_BINDING,
        "dispatch.binding",
    ),
]

Definition = context_pb2.BindingDefinition


def definition(stage: Stage, **changes: Any) -> Definition:
    """A right one."""
    wanted: dict[str, Any] = {
        "number": 1,
        "graph": stage.ring_graph,
        "inputs": [timeline_pb2.TensorBinding(name="x", tensor=stage.ring_tensor)],
        "outputs": [timeline_pb2.TensorBinding(name="y", tensor=_private(stage))],
    }
    return Definition(**{**wanted, **changes})


def define(stage: Stage, *definitions: Definition, context: bytes | None = None) -> Answer:
    request = context_pb2.DefineBindingsRequest(
        context=stage.ring_context if context is None else context, bindings=definitions
    )
    return stage.session.call("DefineBindings", request)


def _defined(stage: Stage) -> None:
    define(stage, definition(stage))


def _definition(name: str, make: Callable[[Stage], Definition], reason: Reason, field: str) -> Case:
    return Case(f"definition: {name}", lambda s: define(s, make(s)), reason, field)


def _bound(name: str, tensor: bytes) -> list[timeline_pb2.TensorBinding]:
    return [timeline_pb2.TensorBinding(name=name, tensor=tensor)]


_DEFINITIONS = [
    Case("definition: none", lambda s: define(s), Reason.BATCH_SIZE, "bindings"),
    Case(
        "definition: one too many",
        lambda s: define(s, *[definition(s)] * (_MOST_DEFINITIONS + 1)),
        Reason.BATCH_SIZE,
        "bindings",
    ),
    Case(
        "definition: a context that there never was",
        lambda s: define(s, definition(s), context=UNKNOWN),
        Reason.UNKNOWN_CONTEXT,
        "context",
    ),
    Case(
        "definition: no context",
        lambda s: define(s, definition(s), context=b""),
        Reason.INVALID_TOKEN,
        "context",
    ),
    Case(
        "definition: a context of another carrier",
        lambda s: define(s, definition(s), context=s.context),
        Reason.WRONG_CARRIER,
        "context",
    ),
    Case(
        "timeline: of a context with a ring",
        lambda s: (s.session.timeline(s.ring_context), None)[1],
        Reason.DUPLICATE_TIMELINE,
        "timeline",
    ),
    _definition("number 0", lambda s: definition(s, number=0), Reason.BINDING_ID, "dispatch.define"),
    _definition(
        "a number beyond the last",
        lambda s: definition(s, number=_MOST_BINDINGS + 1),
        Reason.BINDING_ID,
        "dispatch.define",
    ),
    _definition("no graph", lambda s: definition(s, graph=b""), Reason.INVALID_TOKEN, "bindings.graph"),
    _definition("an unknown graph", lambda s: definition(s, graph=UNKNOWN), Reason.UNKNOWN_GRAPH, "dispatch.graph"),
    _definition(
        "an input without a token",
        lambda s: definition(s, inputs=_bound("x", b"")),
        Reason.INVALID_TOKEN,
        "bindings.inputs.tensor",
    ),
    _definition(
        "an output's token that is too short",
        lambda s: definition(s, outputs=_bound("y", b"short")),
        Reason.INVALID_TOKEN,
        "bindings.outputs.tensor",
    ),
    _definition(
        "an unknown input",
        lambda s: definition(s, inputs=_bound("x", UNKNOWN)),
        Reason.UNKNOWN_TENSOR,
        "dispatch.inputs",
    ),
    _definition(
        "a constant as an input",
        lambda s: definition(s, inputs=_bound("x", _constant(s))),
        Reason.CONSTANT_TENSOR,
        "dispatch.inputs",
    ),
    _definition(
        "a tensor twice",
        lambda s: definition(s, outputs=_bound("y", s.ring_tensor)),
        Reason.DUPLICATE_TENSOR,
        "dispatch",
    ),
    _definition("an input missing", lambda s: definition(s, inputs=[]), Reason.BINDING_NAMES, "dispatch.inputs"),
    _definition(
        "an output of another shape",
        lambda s: definition(s, outputs=_bound("y", s.session.tensor(s.ring_context, descriptor=descriptor(3, 2)))),
        Reason.BINDING_DESCRIPTOR,
        "dispatch.outputs",
    ),
]

CASES = [*_FORM, *_COMMANDS, *_DEFINITIONS]
