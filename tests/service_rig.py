"""A real service on a real socket in this process, and a renderer reduced to its messages."""

from __future__ import annotations

import os
import queue
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np

from gpu_process.backends import Backend, BackendOptions, load_backend
from gpu_process.quotas import Quotas
from gpu_process.service import GpuService
from ipc.channel import (
    CONTEXT_METADATA,
    PROTOCOL_VERSION,
    SESSION_METADATA,
    ChannelClosed,
    MessageSocket,
    new_token,
    open_grpc_channel,
    pair,
)
from ipc.codec import encode_descriptor, encode_graph
from ipc.descriptors import DataType, Descriptor
from ipc.generated.webnn.v1 import context_pb2, graph_pb2, session_pb2
from ipc.graph import ConstantSource, Graph, Operation
from ipc.operators import REGISTRY, infer_outputs
from ipc.operators._support import declared_limits
from ipc.shared_memory import Region, map_pool, seal_constants
from ipc.timeline import ClientTensor, RingParts, TimelineClient, connect
from ipc.timeline.ring import RendererBells
from ipc.timeline.stub import ServiceStub

SECONDS = 20.0
CARRIERS = {
    "inline": context_pb2.CARRIER_INLINE,
    "stream": context_pb2.CARRIER_STREAM,
    "ring": context_pb2.CARRIER_RING,
}
FLOAT = Descriptor(DataType.FLOAT32, (2, 3))


class Reports:
    """What the service tells the host."""

    def __init__(self) -> None:
        self._arrived = threading.Condition()
        self._reports: list[tuple[int, str, str]] = []

    def __call__(self, number: int, reason: str, field: str) -> None:
        with self._arrived:
            self._reports.append((number, reason, field))
            self._arrived.notify_all()

    def of(self, number: int) -> tuple[str, str]:
        """Reason and field of a session's end; waits for it."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: any(report[0] == number for report in self._reports), SECONDS)
            return next((reason, field) for found, reason, field in self._reports if found == number)


class Aborts:
    """Stands in for the end of the process."""

    def __init__(self) -> None:
        self.happened = threading.Event()

    def __call__(self) -> None:
        self.happened.set()


class Rig:
    """A running service."""

    def __init__(self, folder: Path, backend: Backend | None = None, **options: Any) -> None:
        self.reports = Reports()
        self.aborts = Aborts()
        backend = backend or load_backend("reference", BackendOptions())
        self.service = GpuService(
            {backend.name: backend}, run_directory=folder, report=self.reports, abort=self.aborts, **options
        )
        self.service.start()
        self.backend = backend.name
        self._sessions = 0
        self._renderers: list[RawRenderer] = []

    def renderer(self) -> RawRenderer:
        self._sessions += 1
        ours, theirs = pair()
        self.service.adopt_session(self._sessions, theirs)
        renderer = RawRenderer(self._sessions, ours, self.backend)
        self._renderers.append(renderer)
        return renderer

    def hang_up(self) -> None:
        """Let all renderers go; a service takes so many connections and no more."""
        for renderer in self._renderers:
            renderer.close()
        self._renderers.clear()

    def close(self) -> None:
        self.hang_up()
        self.service.stop()
        assert not self.aborts.happened.is_set(), "an internal error that no test expected"


@contextmanager
def running(folder: Path, backend: Backend | None = None, **options: Any) -> Iterator[Rig]:
    rig = Rig(folder, backend, **options)
    try:
        yield rig
    finally:
        rig.close()


def quotas(**limits: int) -> Quotas:
    return Quotas.of(limits)


class RawRenderer:
    """A session as a renderer has it, with nothing between a test and the messages."""

    def __init__(self, number: int, sock: Any, backend: str) -> None:
        self.number = number
        self.backend = backend
        self.socket: MessageSocket[Any, Any] = MessageSocket(
            sock, session_pb2.SessionMessage, session_pb2.SessionMessage
        )
        self.granted = self.socket.receive(SECONDS)[0].granted
        self.say(hello=session_pb2.Hello(protocol_version=PROTOCOL_VERSION, role="test"))
        self.channel = open_grpc_channel(self.granted.address)
        self.stub = ServiceStub(self.channel)
        self.metadata: tuple[tuple[str, Any], ...] = ((SESSION_METADATA, self.granted.secret),)
        self.regions: dict[bytes, Region] = {}
        self.rings: dict[bytes, RingParts] = {}

    def say(self, *fds: int, **message: Any) -> None:
        self.socket.send(session_pb2.SessionMessage(**message), fds, timeout=SECONDS)

    def close(self) -> None:
        self.socket.close()
        self.channel.close()

    def create_context_reply(self, **changes: Any) -> Any:
        wanted = {
            "backend": self.backend,
            "power_preference": context_pb2.POWER_PREFERENCE_DEFAULT,
            "carrier": context_pb2.CARRIER_STREAM,
        }
        request = context_pb2.CreateContextRequest(**{**wanted, **changes})
        return self.stub.CreateContext(request, metadata=self.metadata, timeout=SECONDS)

    def context(self, carrier: str = "stream") -> RawContext:
        reply = self.create_context_reply(carrier=CARRIERS[carrier])
        assert reply.HasField("context"), reply
        return RawContext(self, reply.context.token, carrier)

    def offer(self, *chunks: bytes) -> bytes:
        """Hand over a sealed region of these bytes."""
        fd = seal_constants(chunks, "test")
        try:
            return self.offer_fd(fd, sum(map(len, chunks)))
        finally:
            os.close(fd)

    def offer_fd(self, fd: int, size: int, token: bytes | None = None) -> bytes:
        token = new_token() if token is None else token
        self.say(fd, region_offered=session_pb2.RegionOffered(token=token, size=size))
        return token

    def region(self, token: bytes) -> Region:
        while token not in self.regions:
            self._take_offer()
        return self.regions[token]

    def ring(self, context: bytes) -> RingParts:
        while context not in self.rings:
            self._take_offer()
        return self.rings[context]

    def _take_offer(self) -> None:
        message, fds = self.socket.receive(SECONDS)
        if message.HasField("ring_offered"):
            region, doorbell, bell = fds
            bells = RendererBells(doorbell, socket.socket(fileno=bell))
            offered = message.ring_offered
            self.rings[offered.context] = RingParts(map_pool(region, offered.size), bells)
            os.close(region)
        else:
            self.regions[message.region_offered.token] = map_pool(fds[0], message.region_offered.size)
            os.close(fds[0])

    def closed(self) -> tuple[str, str]:
        """Why the service has closed the session: reason and field, or two empty strings; waits for it."""
        reason = ("", "")
        while True:
            try:
                message, fds = self.socket.receive(SECONDS)
            except ChannelClosed:
                return reason
            for fd in fds:
                os.close(fd)
            if message.WhichOneof("message") == "closed":
                reason = (message.closed.reason, message.closed.field)


class RawContext:
    """A context of a raw renderer."""

    def __init__(self, renderer: RawRenderer, token: bytes, carrier: str) -> None:
        self.renderer = renderer
        self.token = token
        self.carrier = carrier
        self.broken: queue.Queue[str] = queue.Queue()
        self.metadata = (*renderer.metadata, (CONTEXT_METADATA, token))

    def connect(self, **options: Any) -> TimelineClient:
        ring = self.renderer.ring(self.token) if self.carrier == "ring" else None
        return connect(self.carrier, self.renderer.stub, self.metadata, self.broken.put, ring=ring, **options)

    def create_tensor_reply(self, descriptor: Descriptor = FLOAT, after: int = 0, **usage: bool) -> Any:
        request = context_pb2.CreateTensorRequest(
            context=self.token, descriptor=encode_descriptor(descriptor), after=after, **usage
        )
        return self.renderer.stub.CreateTensor(request, metadata=self.renderer.metadata, timeout=SECONDS)

    def tensor(self, descriptor: Descriptor = FLOAT, *, readable: bool = True, writable: bool = True) -> ClientTensor:
        reply = self.create_tensor_reply(descriptor, readable=readable, writable=writable)
        assert reply.HasField("tensor"), reply
        info = reply.tensor
        slots = [
            self.renderer.region(getattr(info, name).region).view(getattr(info, name).offset, descriptor.byte_length)
            for name in ("slot", "spare")
            if info.HasField(name)
        ]
        return ClientTensor(info.token, descriptor.byte_length, *slots)

    def constant_tensor_reply(self, descriptor: Descriptor, region: bytes, offset: int = 0) -> Any:
        request = context_pb2.CreateConstantTensorRequest(
            context=self.token, descriptor=encode_descriptor(descriptor), region=region, offset=offset
        )
        return self.renderer.stub.CreateConstantTensor(request, metadata=self.renderer.metadata, timeout=SECONDS)

    def build_reply(self, graph: Graph | graph_pb2.Graph | bytes, after: int = 0) -> Any:
        if isinstance(graph, Graph):
            graph = encode_graph(graph)
        data = graph if isinstance(graph, bytes) else graph.SerializeToString()
        chunk = context_pb2.CreateGraphChunk(context=self.token, total_bytes=len(data), after=after, data=data)
        return self.chunks_reply(chunk)

    def chunks_reply(self, *chunks: context_pb2.CreateGraphChunk) -> Any:
        return self.renderer.stub.CreateGraph(iter(chunks), metadata=self.renderer.metadata, timeout=SECONDS)

    def build(self, graph: Graph, after: int = 0) -> bytes:
        reply = self.build_reply(graph, after)
        assert reply.HasField("graph"), reply
        return bytes(reply.graph.token)

    def destroy(self) -> None:
        request = context_pb2.DestroyContextRequest(context=self.token)
        self.renderer.stub.DestroyContext(request, metadata=self.renderer.metadata, timeout=SECONDS)


def expect_bad(call: Any, *arguments: Any, **keywords: Any) -> str:
    """Make a call that must end as a bad message; returns the reason that gRPC was told."""
    try:
        reply = call(*arguments, **keywords)
    except grpc.RpcError as error:
        failed: Any = error
        assert failed.code() is grpc.StatusCode.FAILED_PRECONDITION, failed
        assert "Traceback" not in failed.details()
        return str(failed.details())
    raise AssertionError(f"accepted: {reply}")


class GraphMaker:
    """Graphs by hand: operands are added as they are used."""

    def __init__(self) -> None:
        self.graph = Graph()

    def input(self, name: str, descriptor: Descriptor = FLOAT) -> int:
        operand = self._add(descriptor)
        self.graph.inputs.append((name, operand))
        return operand

    def constant(self, region: bytes, offset: int = 0, descriptor: Descriptor = FLOAT) -> int:
        operand = self._add(descriptor)
        self.graph.constants[operand] = ConstantSource(region, offset)
        return operand

    def constant_tensor(self, token: bytes, descriptor: Descriptor = FLOAT) -> int:
        operand = self._add(descriptor)
        self.graph.constants[operand] = ConstantSource(token, is_tensor=True)
        return operand

    def apply(self, name: str, *operands: int, label: str = "", **attributes: Any) -> int:
        operator = REGISTRY[name]
        values = {key: attribute.default for key, attribute in operator.attributes.items()} | attributes
        slots = dict.fromkeys(operator.slots) | dict(zip(operator.slots, operands, strict=False))
        given = {key: None if operand is None else self.graph.operands[operand] for key, operand in slots.items()}
        (output,) = infer_outputs(operator, given, values, declared_limits())
        made = self._add(output)
        self.graph.operations.append(Operation(operator, slots, values, (made,), label))
        return made

    def output(self, name: str, operand: int) -> None:
        self.graph.outputs.append((name, operand))

    def _add(self, descriptor: Descriptor) -> int:
        self.graph.operands.append(descriptor)
        return len(self.graph.operands) - 1


def increment(region: bytes, descriptor: Descriptor = FLOAT) -> Graph:
    """y = x + (what is in the region)"""
    maker = GraphMaker()
    maker.output("y", maker.apply("add", maker.input("x", descriptor), maker.constant(region, 0, descriptor)))
    return maker.graph


def unary(name: str, descriptor: Descriptor = FLOAT, label: str = "") -> Graph:
    """y = name(x)"""
    maker = GraphMaker()
    maker.output("y", maker.apply(name, maker.input("x", descriptor), label=label))
    return maker.graph


def as_floats(data: memoryview | bytes, shape: Sequence[int] = FLOAT.shape) -> np.ndarray[Any, Any]:
    return np.frombuffer(data, np.float32).reshape(shape)
