"""Attacks on a session: each is a right message with something wrong about it, as bytes that can be sent again.

Tokens are minted when a case runs. In a case they are placeholders of the same length, and are replaced in the bytes,
whatever was done to the message.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from google.protobuf.message import Message

from ipc.codec import encode_descriptor, encode_graph
from ipc.descriptors import INT4S, DataType, Descriptor
from ipc.generated.webnn.v1 import context_pb2, session_pb2, timeline_pb2
from ipc.graph import ConstantSource, Graph
from ipc.operators import REGISTRY
from ipc.verdicts import BadMessageReason
from scripts.fuzz.case import GraphCase
from scripts.fuzz.draw import Profile
from scripts.fuzz.graphs import legal_graph
from scripts.fuzz.limits import limits_of
from scripts.fuzz.wire.handles import HANDLES
from scripts.fuzz.wire.miswiring import miswired, unsupported
from scripts.fuzz.wire.mutators import garbled, mutated

CONTEXT, TENSOR_A, TENSOR_B, PLAIN, WIDE, CONSTANT, GRAPH, REGION = (
    b"\x00fuzz token " + name + b"\xff\xff\xff"  # no end that the next byte of a message could complete
    for name in (b"C", b"A", b"B", b"P", b"W", b"K", b"G", b"R")
)
PLACEHOLDERS = {
    "context": CONTEXT,
    "a": TENSOR_A,
    "b": TENSOR_B,
    "plain": PLAIN,  # a tensor that may neither be read nor written
    "wide": WIDE,  # a tensor of another shape
    "constant": CONSTANT,  # a constant tensor
    "graph": GRAPH,
    "region": REGION,
}
assert {len(token) for token in PLACEHOLDERS.values()} == {16}

TENSOR = Descriptor(DataType.FLOAT32, (2, 3))
WIDE_TENSOR = Descriptor(DataType.FLOAT32, (4, 5))
REGION_BYTES = 1 << 14
_PROFILE = Profile(operations=(1, 3), max_elements=64, constants=0.6, depth=0.5)


@dataclass(frozen=True, slots=True)
class WireCase:
    """One attack.

    Attributes:
        kind: which: a method of the service, `second timeline`, `hello`, `socket`, `frames` or `secret`.
        messages: serialised, tokens as placeholders; requests of the method, packets of the socket, or bytes.
        handle: descriptors that go with a packet.
        carrier: of the context.
        int4: whether the context allows the 4-bit types.
        expected: reason that must be named, where it is known; empty where it is not.
    """

    kind: str
    messages: tuple[bytes, ...]
    handle: str = "none"
    carrier: str = "stream"
    expected: str = ""
    int4: bool = True

    @property
    def size(self) -> tuple[int, ...]:
        return len(self.messages), sum(map(len, self.messages))

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "messages": [base64.b64encode(data).decode() for data in self.messages],
            "handle": self.handle,
            "carrier": self.carrier,
            "expected": self.expected,
            "int4": self.int4,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> WireCase:
        messages = tuple(base64.b64decode(data) for data in value["messages"])
        return cls(
            value["kind"], messages, value["handle"], value["carrier"], value["expected"], value.get("int4", True)
        )


def attack(random: Random) -> WireCase:
    """Any attack."""
    return attack_of(random.choice(list(_ATTACKS)), random)


def attack_of(kind: str, random: Random) -> WireCase:
    """An attack of a kind."""
    return _ATTACKS[kind](random)


def _attacked(kind: str, message: Message, random: Random, **more: Any) -> WireCase:
    """A call whose message was changed, or whose bytes were; now and then a right one, to keep the rest honest."""
    chance = random.random()
    if chance < 0.1:
        return WireCase(kind, (message.SerializeToString(),), **more)
    if chance < 0.75:
        data, expected = mutated(message, random)
        return WireCase(kind, (data,), expected=expected, **more)
    return WireCase(kind, (garbled(message.SerializeToString(), random),), **more)


def _create_context(random: Random) -> WireCase:
    message = context_pb2.CreateContextRequest(
        backend="reference",
        power_preference=context_pb2.POWER_PREFERENCE_DEFAULT,
        carrier=context_pb2.CARRIER_STREAM,
        experimental_int4=True,
    )
    return _attacked("CreateContext", message, random)


def _destroy_context(random: Random) -> WireCase:
    return _attacked("DestroyContext", context_pb2.DestroyContextRequest(context=CONTEXT), random)


def _create_tensor(random: Random) -> WireCase:
    message = context_pb2.CreateTensorRequest(
        context=CONTEXT, descriptor=encode_descriptor(TENSOR), readable=True, writable=True
    )
    return _attacked("CreateTensor", message, random)


def _create_constant_tensor(random: Random) -> WireCase:
    message = context_pb2.CreateConstantTensorRequest(
        context=CONTEXT, descriptor=encode_descriptor(TENSOR), region=REGION, offset=64
    )
    return _attacked("CreateConstantTensor", message, random)


def _create_graph(random: Random) -> WireCase:
    """A graph with something wrong in it, in chunks that add up, or right in chunks that don't."""
    case = legal_graph(random, limits_of("reference"), _PROFILE)
    message = encode_graph(_in_region(case))
    expected, chance = "", random.random()
    if chance < 0.6:
        data, expected = mutated(message, random)
    else:
        data = message.SerializeToString()
        if chance < 0.8:
            data = garbled(data, random)
    size = max(1, random.choice((len(data), len(data), len(data) // 3)))
    pieces = [data[start : start + size] for start in range(0, len(data), size)] or [b""]
    chunks = [context_pb2.CreateGraphChunk(data=piece) for piece in pieces]
    chunks[0].context, chunks[0].total_bytes = CONTEXT, len(data)
    serialised = [chunk.SerializeToString() for chunk in chunks]
    if chance > 0.8:
        at = random.randrange(len(serialised))
        serialised[at], expected = mutated(chunks[at], random)
        if random.random() < 0.3:
            random.shuffle(serialised)
            expected = ""
    return WireCase("CreateGraph", tuple(serialised), expected=expected)


def _miswired_graph(random: Random) -> WireCase:
    """A graph whose parts do not belong together, or with types that the context does not allow."""
    int4 = random.random() < 0.8
    limits = limits_of("reference")
    while True:
        case = legal_graph(random, limits, _PROFILE)
        if int4 or not any(descriptor.data_type in INT4S for descriptor in case.graph.operands):
            break
    message = encode_graph(_in_region(case))
    data, expected = miswired(message, random, (REGION, TENSOR_A, CONSTANT)) if int4 else unsupported(message, random)
    chunk = context_pb2.CreateGraphChunk(context=CONTEXT, total_bytes=len(data), data=data)
    return WireCase("CreateGraph", (chunk.SerializeToString(),), expected=expected, int4=int4)


def _uncast_graph(random: Random) -> WireCase:
    """A number that the renderer would have cast to the type of its operand, as it was before."""
    profile = replace(_PROFILE, operations=(1, 1), operators=_CASTING)
    message = encode_graph(_in_region(legal_graph(random, limits_of("reference"), profile)))
    casts = {name for name, _ in REGISTRY[message.operations[0].name].casts}
    for attribute in message.operations[0].attributes:
        if attribute.name in casts:
            attribute.real = random.choice((0.1, 1e-3, 5e-7))
    data = message.SerializeToString()
    chunk = context_pb2.CreateGraphChunk(context=CONTEXT, total_bytes=len(data), data=data)
    return WireCase("CreateGraph", (chunk.SerializeToString(),))


_CASTING = tuple(name for name, operator in REGISTRY.items() if operator.casts)


def _in_region(case: GraphCase) -> Graph:
    graph, offset = case.graph, 0
    constants = {}
    for operand in graph.constants:
        constants[operand] = ConstantSource(REGION, offset)
        offset += -(-graph.operands[operand].byte_length // 64) * 64
    return Graph(graph.operands, graph.inputs, constants, graph.operations, graph.outputs)


def _timeline(random: Random) -> WireCase:
    """Commands in any order, one thing changed."""
    carrier = random.choice(("inline", "stream"))
    batch = timeline_pb2.CommandBatch()
    for number in range(1, random.randint(2, 7)):
        command = batch.commands.add(sequence=number)
        random.choice(_COMMANDS)(command, carrier)
        if random.random() < 0.2:
            _exchange(command, random)
    chance = random.random()
    if chance < 0.15:
        data = batch.SerializeToString()
    elif chance < 0.8:
        data, _ = mutated(batch, random)  # an earlier command may be wrong for another reason
    else:
        data = garbled(batch.SerializeToString(), random)
    return WireCase("Timeline", (data,), carrier=carrier)


def _exchange(command: timeline_pb2.Command, random: Random) -> None:
    """Another tensor in a command than the one that belongs there."""
    other = random.choice((TENSOR_A, TENSOR_B, PLAIN, PLAIN, WIDE, CONSTANT))
    match command.WhichOneof("command"):
        case "write":
            command.write.tensor = other
        case "read":
            command.read.tensor = other
        case "dispatch":
            random.choice((command.dispatch.inputs, command.dispatch.outputs))[0].tensor = other


def _write(command: timeline_pb2.Command, carrier: str) -> None:
    command.write.tensor = TENSOR_A
    if carrier == "inline":
        command.write.data = bytes(TENSOR.byte_length)


def _dispatch(command: timeline_pb2.Command, _: str) -> None:
    command.dispatch.define = 1
    command.dispatch.graph = GRAPH
    command.dispatch.inputs.add(name="x", tensor=TENSOR_A)
    command.dispatch.outputs.add(name="y", tensor=TENSOR_B)


def _read(command: timeline_pb2.Command, _: str) -> None:
    command.read.tensor = TENSOR_B


def _destroy(command: timeline_pb2.Command, _: str) -> None:
    command.destroy.tensor = TENSOR_A


def _destroy_graph(command: timeline_pb2.Command, _: str) -> None:
    command.destroy.graph = GRAPH


_COMMANDS = (_write, _write, _dispatch, _dispatch, _read, _read, _destroy, _destroy_graph)


def _define_bindings(random: Random) -> WireCase:
    """What only contexts with a ring take."""
    message = context_pb2.DefineBindingsRequest(context=CONTEXT)
    for number in range(1, random.randint(2, 4)):
        binding = message.bindings.add(number=number, graph=GRAPH)
        binding.inputs.add(name="x", tensor=random.choice((TENSOR_A, TENSOR_A, WIDE, CONSTANT)))
        binding.outputs.add(name="y", tensor=TENSOR_B)
    if random.random() < 0.3:
        expected = BadMessageReason.WRONG_CARRIER.value
        return WireCase("DefineBindings", (message.SerializeToString(),), expected=expected)
    case = _attacked("DefineBindings", message, random, carrier="ring")
    return replace(case, expected="")  # an earlier binding may be wrong for another reason


def _second_timeline(_: Random) -> WireCase:
    """A context has one."""
    batch = timeline_pb2.CommandBatch()
    _write(batch.commands.add(sequence=1), "inline")
    expected = BadMessageReason.DUPLICATE_TIMELINE.value
    return WireCase("second timeline", (batch.SerializeToString(),) * 2, carrier="inline", expected=expected)


def _hello(random: Random) -> WireCase:
    """The first packet: of another version, or another one than the first should be."""
    version = random.choice((0, 2, 2**32 - 1))
    hello = session_pb2.SessionMessage(hello=session_pb2.Hello(protocol_version=version, role="fuzz"))
    other = session_pb2.SessionMessage(region_withdrawn=session_pb2.RegionWithdrawn(token=REGION))
    message, reason = random.choice(
        ((hello, BadMessageReason.PROTOCOL_VERSION), (other, BadMessageReason.UNEXPECTED_MESSAGE))
    )
    return WireCase("hello", (message.SerializeToString(),), expected=reason.value)


def _socket(random: Random) -> WireCase:
    """Packets of the session's socket, with descriptors that do not belong to them."""
    size = random.choice((64, 4096, 8192))
    message = random.choice(
        (
            session_pb2.SessionMessage(region_offered=session_pb2.RegionOffered(token=random.randbytes(16), size=size)),
            session_pb2.SessionMessage(region_offered=session_pb2.RegionOffered(token=REGION, size=size)),
            session_pb2.SessionMessage(region_withdrawn=session_pb2.RegionWithdrawn(token=REGION)),
            session_pb2.SessionMessage(hello=session_pb2.Hello(protocol_version=1, role="again")),
            session_pb2.SessionMessage(closed=session_pb2.SessionClosed(reason="malformed", field="mine")),
            session_pb2.SessionMessage(granted=session_pb2.SessionGranted(protocol_version=1, secret=b"s" * 32)),
        )
    )
    handle = random.choice(list(HANDLES))
    case = _attacked("socket", message, random, handle=handle)
    return WireCase(case.kind, case.messages, handle, case.carrier)


def _secret(random: Random) -> WireCase:
    """A right call by somebody who does not know the secret."""
    message = context_pb2.CreateTensorRequest(context=CONTEXT, descriptor=encode_descriptor(TENSOR))
    return WireCase("secret", (message.SerializeToString(), random.choice((b"", b"x", random.randbytes(32)))))


_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def _frames(random: Random) -> WireCase:
    """HTTP/2 frames, which gRPC is made of, with types, flags, streams and lengths that may not fit."""
    data = bytearray(_PREFACE + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00")
    for _ in range(random.randint(1, 6)):
        payload = random.randbytes(random.choice((0, 1, 4, 5, 8, 64, 300)))
        length = len(payload) if random.random() < 0.8 else random.choice((0, 2**14, 2**24 - 1))
        stream = random.choice((0, 1, 1, 2, 3, 2**31 - 1))
        data += length.to_bytes(3, "big") + bytes((random.randrange(12), random.choice((0, 1, 4, 5, 0x20, 255))))
        data += stream.to_bytes(4, "big") + payload
    return WireCase("frames", (bytes(data) if random.random() < 0.7 else garbled(bytes(data), random),))


_ATTACKS: Mapping[str, Callable[[Random], WireCase]] = {
    "CreateContext": _create_context,
    "DestroyContext": _destroy_context,
    "CreateTensor": _create_tensor,
    "CreateConstantTensor": _create_constant_tensor,
    "CreateGraph": _create_graph,
    "graph": _create_graph,
    "wiring": _miswired_graph,
    "casts": _uncast_graph,
    "DefineBindings": _define_bindings,
    "second timeline": _second_timeline,
    "hello": _hello,
    "Timeline": _timeline,
    "commands": _timeline,
    "socket": _socket,
    "descriptors": _socket,
    "secret": _secret,
    "frames": _frames,
}
