"""Attacks on a session: each is a right message with something wrong about it, as bytes that can be sent again.

Tokens are minted when a case runs. In a case they are placeholders of the same length, and are replaced in the bytes,
whatever was done to the message.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from google.protobuf.message import Message

from ipc.codec import encode_descriptor, encode_graph
from ipc.descriptors import DataType, Descriptor
from ipc.generated.webnn.v1 import context_pb2, session_pb2, timeline_pb2
from ipc.graph import ConstantSource, Graph
from scripts.fuzz.case import GraphCase
from scripts.fuzz.draw import Profile
from scripts.fuzz.graphs import legal_graph
from scripts.fuzz.limits import limits_of
from scripts.fuzz.wire.handles import HANDLES
from scripts.fuzz.wire.mutators import garbled, mutated

CONTEXT, TENSOR_A, TENSOR_B, PLAIN, CONSTANT, GRAPH, REGION = (
    b"\x00fuzz token " + name + b"\xff\xff\xff"  # no end that the next byte of a message could complete
    for name in (b"C", b"A", b"B", b"P", b"K", b"G", b"R")
)
PLACEHOLDERS = {
    "context": CONTEXT,
    "a": TENSOR_A,
    "b": TENSOR_B,
    "plain": PLAIN,  # a tensor that may neither be read nor written
    "constant": CONSTANT,  # a constant tensor
    "graph": GRAPH,
    "region": REGION,
}
assert {len(token) for token in PLACEHOLDERS.values()} == {16}

TENSOR = Descriptor(DataType.FLOAT32, (2, 3))
REGION_BYTES = 1 << 14
_PROFILE = Profile(operations=(1, 3), max_elements=64, constants=0.6, depth=0.5)


@dataclass(frozen=True, slots=True)
class WireCase:
    """One attack.

    Attributes:
        kind: which: a method of the service, `socket`, `frames` or `secret`.
        messages: serialised, tokens as placeholders; requests of the method, packets of the socket, or bytes.
        handle: descriptors that go with a packet.
        carrier: of the context.
        expected: reason that must be named, where it is known; empty where it is not.
    """

    kind: str
    messages: tuple[bytes, ...]
    handle: str = "none"
    carrier: str = "stream"
    expected: str = ""

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
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> WireCase:
        messages = tuple(base64.b64decode(data) for data in value["messages"])
        return cls(value["kind"], messages, value["handle"], value["carrier"], value["expected"])


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
    size = random.choice((len(data), len(data), max(1, len(data) // 3)))
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
        if random.random() < 0.1:
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
    other = random.choice((TENSOR_A, TENSOR_B, PLAIN, CONSTANT))
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
    "Timeline": _timeline,
    "commands": _timeline,
    "socket": _socket,
    "descriptors": _socket,
    "secret": _secret,
    "frames": _frames,
}
