"""Calls with one thing wrong: contexts, tensors, constant tensors, graphs in pieces."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ipc.generated.webnn.v1 import common_pb2, context_pb2
from ipc.verdicts import BadMessageReason as Reason
from tests.boundary.hostile_client import (
    constant_request,
    context_request,
    descriptor,
    graph_chunk,
    tensor_request,
)
from tests.boundary.right_graph import relu
from tests.boundary.stage import REGION_BYTES, UNKNOWN, Answer, Case, Stage

_UNKNOWN_FIELD = b"\xf8\x07\x01"  # field 127, a number


def _context(name: str, reason: Reason, field: str, **changes: Any) -> Case:
    return Case(
        f"context: {name}", lambda s: s.session.call("CreateContext", context_request(**changes)), reason, field
    )


def _tensor(name: str, reason: Reason, field: str, **changes: Any) -> Case:
    def send(stage: Stage) -> Answer:
        return stage.session.call("CreateTensor", tensor_request(**{"context": stage.context, **changes}))

    return Case(f"tensor: {name}", send, reason, field)


def _constant(name: str, reason: Reason, field: str, **changes: Any) -> Case:
    def send(stage: Stage) -> Answer:
        given = {"context": stage.context, "region": stage.region} | changes
        return stage.session.call("CreateConstantTensor", constant_request(**given))

    return Case(f"constant tensor: {name}", send, reason, field)


def _bytes(name: str, data: bytes, reason: Reason) -> list[Case]:
    """The same bytes to every method that takes a message."""
    messages = {
        "CreateContext": "CreateContextRequest",
        "DestroyContext": "DestroyContextRequest",
        "CreateTensor": "CreateTensorRequest",
        "CreateConstantTensor": "CreateConstantTensorRequest",
        "CreateGraph": "CreateGraphChunk",
        "DefineBindings": "DefineBindingsRequest",
    }
    return [
        Case(f"{method}: {name}", lambda s, m=method: s.session.call(m, data), reason, message)  # type: ignore[misc]
        for method, message in messages.items()
    ]


_FORM = [
    *_bytes("no message", b"\xff\xff", Reason.MALFORMED),
    *_bytes("an unknown field", _UNKNOWN_FIELD, Reason.UNKNOWN_FIELD),
    *_bytes("a default that is written out", b"\x0a\x00", Reason.NOT_CANONICAL),
    *_bytes("a field twice", b"\x0a\x01a\x0a\x01b", Reason.NOT_CANONICAL),
    Case(
        "tensor: a descriptor in two parts, which would be put together",
        lambda s: s.session.call("CreateTensor", b"\x12\x02\x08\x01\x12\x03\x12\x01\x02"),
        Reason.NOT_CANONICAL,
        "CreateTensorRequest",
    ),
    Case(
        "tensor: an unknown field in its descriptor",
        lambda s: s.session.call("CreateTensor", b"\x12\x03" + _UNKNOWN_FIELD),
        Reason.UNKNOWN_FIELD,
        "CreateTensorRequest",
    ),
]

_CONTEXTS = [
    _context("no power preference", Reason.UNKNOWN_ENUM_VALUE, "power_preference", power_preference=0),
    _context("an unknown power preference", Reason.UNKNOWN_ENUM_VALUE, "power_preference", power_preference=4),
    _context("a negative power preference", Reason.UNKNOWN_ENUM_VALUE, "power_preference", power_preference=-1),
    _context("no carrier", Reason.UNKNOWN_ENUM_VALUE, "carrier", carrier=0),
    _context("an unknown carrier", Reason.UNKNOWN_ENUM_VALUE, "carrier", carrier=4),
    Case(
        "destroy: a context that there never was",
        lambda s: s.session.call("DestroyContext", context_pb2.DestroyContextRequest(context=UNKNOWN)),
        Reason.UNKNOWN_CONTEXT,
        "context",
    ),
    Case(
        "destroy: a token that is too short",
        lambda s: s.session.call("DestroyContext", context_pb2.DestroyContextRequest(context=b"short")),
        Reason.INVALID_TOKEN,
        "context",
    ),
    Case(
        "destroy: a tensor in the place of a context",
        lambda s: s.session.call("DestroyContext", context_pb2.DestroyContextRequest(context=s.tensor)),
        Reason.UNKNOWN_CONTEXT,
        "context",
    ),
]

_DESCRIPTORS: dict[str, tuple[common_pb2.Descriptor | None, Reason, str]] = {
    "no descriptor": (None, Reason.MISSING_FIELD, "descriptor"),
    "no data type": (descriptor(2, data_type=0), Reason.UNKNOWN_ENUM_VALUE, "descriptor.data_type"),
    "an unknown data type": (descriptor(2, data_type=11), Reason.UNKNOWN_ENUM_VALUE, "descriptor.data_type"),
    "a dimension of zero": (descriptor(0), Reason.INVALID_DESCRIPTOR, "descriptor.shape"),
    "a dimension beyond int32": (
        descriptor(2**31, data_type=common_pb2.DATA_TYPE_UINT8),
        Reason.INVALID_DESCRIPTOR,
        "descriptor.shape",
    ),
    "nine dimensions": (descriptor(*(1,) * 9), Reason.INVALID_DESCRIPTOR, "descriptor.shape"),
    "a size that is 0 in 64 bits": (descriptor(*(2**16,) * 4), Reason.INVALID_DESCRIPTOR, "descriptor.shape"),
    "bytes beyond int32": (descriptor(2**29), Reason.INVALID_DESCRIPTOR, "descriptor.shape"),
}

_TENSORS = [
    *(
        make(name, reason, field, descriptor=given)
        for make in (_tensor, _constant)
        for name, (given, reason, field) in _DESCRIPTORS.items()
    ),
    _tensor("no context", Reason.INVALID_TOKEN, "context", context=b""),
    _tensor("a context that there never was", Reason.UNKNOWN_CONTEXT, "context", context=UNKNOWN),
    _tensor(
        "a type that only constants may have",
        Reason.UNSUPPORTED_INPUT,
        "descriptor",
        descriptor=descriptor(2, data_type=common_pb2.DATA_TYPE_INT4),
    ),
    _constant("no context", Reason.INVALID_TOKEN, "context", context=b""),
    _constant("a context that there never was", Reason.UNKNOWN_CONTEXT, "context", context=UNKNOWN),
    _constant(
        "an extension type in a context without extensions",
        Reason.UNSUPPORTED_CONSTANT,
        "descriptor",
        descriptor=descriptor(2, data_type=common_pb2.DATA_TYPE_UINT4),
    ),
    _constant("no region", Reason.INVALID_TOKEN, "region", region=b""),
    _constant("a region that was never offered", Reason.UNKNOWN_REGION, "region", region=UNKNOWN),
    _constant("beyond the region", Reason.REGION_BOUNDS, "region", offset=128),
    _constant("one element more than the region has", Reason.REGION_BOUNDS, "region", descriptor=descriptor(23)),
    _constant("an offset that wraps around", Reason.REGION_BOUNDS, "region", offset=2**64 - 64),
    _constant("an offset that is not aligned", Reason.UNALIGNED_CONSTANT, "region", offset=REGION_BYTES - 24 - 32),
]


def _pieces(name: str, field: str, change: Callable[[context_pb2.CreateGraphChunk], list[Any]]) -> Case:
    """A right graph in one piece, made into wrong pieces."""

    def send(stage: Stage) -> Answer:
        return stage.session.call("CreateGraph", *change(graph_chunk(stage.context, relu())))

    return Case(f"pieces: {name}", send, Reason.GRAPH_SIZE, field)


def _with(chunk: context_pb2.CreateGraphChunk, **changes: Any) -> context_pb2.CreateGraphChunk:
    changed = context_pb2.CreateGraphChunk()
    changed.CopyFrom(chunk)
    for name, value in changes.items():
        setattr(changed, name, value)
    return changed


def _halves(chunk: context_pb2.CreateGraphChunk, **changes: Any) -> list[context_pb2.CreateGraphChunk]:
    """Two pieces, the second with changes."""
    tail = _with(context_pb2.CreateGraphChunk(data=chunk.data[5:]), **changes)
    return [_with(chunk, data=chunk.data[:5]), tail]


_PIECES = [
    _pieces("nothing is declared", "total_bytes", lambda c: [_with(c, total_bytes=0)]),
    _pieces("less is declared than comes", "total_bytes", lambda c: [_with(c, total_bytes=c.total_bytes - 1)]),
    _pieces("a piece too many", "data", lambda c: [c, context_pb2.CreateGraphChunk(data=b"x")]),
    _pieces("an empty piece", "chunk", lambda c: _halves(c, data=b"")),
    _pieces("a second context", "chunk", lambda c: _halves(c, context=c.context)),
    _pieces("a second total", "chunk", lambda c: _halves(c, total_bytes=c.total_bytes)),
    _pieces("a second place in the timeline", "chunk", lambda c: _halves(c, after=1)),
    Case(
        "pieces: the second is no message",
        lambda s: s.session.call("CreateGraph", _with(graph_chunk(s.context, relu()), data=b"\x0a"), b"\xff"),
        Reason.MALFORMED,
        "CreateGraphChunk",
    ),
    Case(
        "pieces: no context",
        lambda s: s.session.call("CreateGraph", graph_chunk(b"", relu())),
        Reason.INVALID_TOKEN,
        "context",
    ),
    Case(
        "pieces: a context that there never was",
        lambda s: s.session.call("CreateGraph", graph_chunk(UNKNOWN, relu())),
        Reason.UNKNOWN_CONTEXT,
        "context",
    ),
]

CASES = [*_FORM, *_CONTEXTS, *_TENSORS, *_PIECES]
