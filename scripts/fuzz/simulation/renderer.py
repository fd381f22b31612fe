"""A renderer in a simulation: the product's own timelines, and around them the least that a session needs."""

from __future__ import annotations

import os
import select
from collections.abc import Callable
from functools import partial
from typing import Any

from google.protobuf.message import Message

from ipc.channel import (
    CONTEXT_METADATA,
    PROTOCOL_VERSION,
    SESSION_METADATA,
    ChannelClosed,
    ChannelError,
    MessageSocket,
    new_token,
)
from ipc.codec import decode_error, encode_descriptor, encode_graph
from ipc.errors import InvalidStateError, MLError, OperationError, QuotaExceededError
from ipc.generated.webnn.v1 import context_pb2, session_pb2
from ipc.graph import ConstantSource, Graph, Operation
from ipc.operators import REGISTRY
from ipc.shared_memory import Region, map_pool, seal_constants
from ipc.timeline import ClientTensor, RingParts, TimelineClient
from scripts.fuzz.simulation import carriers
from scripts.fuzz.simulation.backend import CELL, FAILING
from scripts.fuzz.simulation.case import ContextProgram, tensors_of
from scripts.fuzz.simulation.case import Operation as Step
from scripts.fuzz.simulation.model import ModelContext, ModelGraph, Value
from scripts.fuzz.simulation.wires import Stub, WireError, Wires
from scripts.fuzz.simulation.world import Task, World

_SECONDS = 20.0
_GONE = (ChannelClosed, ChannelError, ValueError)  # closed by the other end, or by another task of ours


class Over(Exception):  # noqa: N818 - an end
    """The session or the context has ended, as was to be expected."""


class SimulatedRenderer:
    """One renderer.

    Attributes:
        spin_us: that rings are polled for before anybody sleeps.
        may_end: set before anything that ends the session is done: from then on calls may fail.
        complaints: what must not happen.
    """

    def __init__(self, world: World, wires: Wires, sock: Any, complaints: list[str], spin_us: int) -> None:
        self.world = world
        self.spin_us = spin_us
        self.complaints = complaints
        self.may_end = False
        self.socket: MessageSocket[Any, Any] = MessageSocket(
            sock, session_pb2.SessionMessage, session_pb2.SessionMessage
        )
        self.contexts: dict[int, SimulatedContext] = {}
        self.metadata: tuple[tuple[str, Any], ...] = ()
        self.stub = Stub(wires)
        self._wires = wires
        self._regions: dict[bytes, Region] = {}
        self._rings: dict[bytes, RingParts] = {}

    def open(self) -> None:
        """Be granted the session."""
        try:
            granted = self.socket.receive(_SECONDS)[0].granted
            hello = session_pb2.Hello(protocol_version=PROTOCOL_VERSION, role="simulation")
            self.socket.send(session_pb2.SessionMessage(hello=hello), timeout=_SECONDS)
        except _GONE:
            self._expect_end("the session was closed before it began")
        self.metadata = ((SESSION_METADATA, granted.secret),)

    def call(self, method: str, request: Message) -> Any:
        """The reply to a call.

        Raises:
            Over: there is none, and that was to be expected.
        """
        return self._reply(lambda: self._wires.unary(method, request, self.metadata))

    def upload(self, method: str, request: Message) -> Any:
        return self._reply(lambda: self._wires.upload(method, iter([request]), self.metadata))

    def _reply(self, work: Callable[[], Message]) -> Any:
        try:
            reply: Any = work()
        except WireError as error:
            self._expect_end(f"a call failed: {error.code().name}: {error.details()}")
        if "error" in reply.DESCRIPTOR.fields_by_name and reply.HasField("error"):
            raise decode_error(reply.error)
        return reply

    def _expect_end(self, what: str) -> None:
        if not self.may_end:
            self.complaints.append(what)
        raise Over

    def offer(self, data: bytes) -> bytes:
        """Hand over a region of constants."""
        token, descriptor = new_token(), seal_constants([data], "simulation")
        try:
            offered = session_pb2.RegionOffered(token=token, size=len(data))
            self.say(descriptor, region_offered=offered)
        finally:
            os.close(descriptor)
        return token

    def say(self, *descriptors: int, **message: Any) -> None:
        try:
            self.socket.send(session_pb2.SessionMessage(**message), descriptors, timeout=_SECONDS)
        except _GONE:
            self._expect_end("the session's socket is closed")

    def slot(self, slot: context_pb2.SlotInfo) -> memoryview:
        """The bytes of a slot, its region's packet being in the socket already."""
        self._drain(lambda: slot.region in self._regions)
        return self._regions[slot.region].view(slot.offset, CELL.byte_length)

    def ring(self, context: bytes) -> RingParts:
        """The parts of a context's ring, likewise."""
        self._drain(lambda: context in self._rings)
        return self._rings[context]

    def _drain(self, arrived: Callable[[], bool]) -> None:
        while True:
            self.world.wait_for(lambda: arrived() or self._is_readable())  # another task may take it for us
            if arrived():
                return
            try:
                received = self.socket.receive_nowait()
            except _GONE:
                self._expect_end("a region was not handed over")
            if received is None:
                continue
            message, descriptors = received
            match message.WhichOneof("message"):
                case "region_offered":
                    self._regions[message.region_offered.token] = map_pool(descriptors[0], message.region_offered.size)
                    os.close(descriptors[0])
                case "region_withdrawn":
                    self._regions.pop(message.region_withdrawn.token, None)
                case "ring_offered":
                    offered = message.ring_offered
                    self._rings[offered.context] = carriers.ring_parts(offered.size, descriptors)
                case kind:
                    self._expect_end(f"an unexpected packet: {kind}")

    def _is_readable(self) -> bool:
        if self.socket.fileno() < 0:
            return True  # so that whoever waits learns that it is closed
        poll = select.poll()
        poll.register(self.socket.fileno(), select.POLLIN)
        return bool(poll.poll(0))

    def close(self) -> None:
        """The renderer is gone, or wants no more."""
        self.may_end = True
        self.socket.close()
        for context in self.contexts.values():
            context.lose("the session has ended")


class SimulatedContext:
    """A context, the model of it, and the task that uses it."""

    def __init__(self, renderer: SimulatedRenderer, program: ContextProgram) -> None:
        self.may_end = False
        self.token = b""
        self._renderer = renderer
        self._world = renderer.world
        self._program = program
        self._model = ModelContext()
        self._tensors: dict[int, ClientTensor] = {}
        self._graphs: dict[int, tuple[bytes, ModelGraph]] = {}
        self._reads: list[tuple[int, Any, Value]] = []
        self._waiters: list[Task] = []
        self._open: TimelineClient | None = None

    def run(self) -> None:
        """The whole program, from creating the context to destroying it."""
        try:
            self._create()
            for step in self._program.operations:
                self._do(step)
                self._world.point()
            self._settle()
            self.destroy()
        except Over:
            self.lose("over")
        except MLError as error:
            self._check_end(error)
            self.lose("over")
        self._check_all_told()

    def destroy(self) -> None:
        """End the context while its task may still use it."""
        self.may_end = True
        if not self.token:
            return
        self.lose("destroyed")
        try:
            self._renderer.call("DestroyContext", context_pb2.DestroyContextRequest(context=self.token))
        except Over:
            return

    def lose(self, why: str) -> None:
        self.may_end = True
        if self._open is not None:
            self._open.fail(InvalidStateError(why))

    @property
    def _timeline(self) -> TimelineClient:
        assert self._open is not None
        return self._open

    # --- steps --------------------------------------------------------------------------------------------------------

    def _create(self) -> None:
        reply = self._renderer.call(
            "CreateContext",
            context_pb2.CreateContextRequest(
                backend="reference",
                power_preference=context_pb2.POWER_PREFERENCE_DEFAULT,
                carrier=context_pb2.Carrier.Value(  # type: ignore[arg-type]
                    f"CARRIER_{self._program.carrier.upper()}"
                ),
            ),
        )
        self.token = reply.context.token
        self._world.note(f"context over {self._program.carrier}")
        metadata = (*self._renderer.metadata, (CONTEXT_METADATA, self.token))
        carrier = self._program.carrier
        self._open = carriers.open_timeline(self._renderer, carrier, self.token, metadata, self._broken)
        if self.may_end:
            self.lose("ended meanwhile")

    def _broken(self, reason: str) -> None:
        if not (self.may_end or self._renderer.may_end):
            self._complain(f"the timeline broke: {reason}")
        self.lose(reason)

    def _do(self, step: Step) -> None:
        self._world.note(" ".join(map(str, step)))
        if step[0] != "tensor" and not self._tensors.keys() >= set(tensors_of(step)):
            return  # one was refused
        match step:
            case ("tensor", number):
                self._tensor(number)
            case ("graph", number, inputs, addend, fails):
                self._graph(number, ModelGraph(inputs, addend, fails))
            case ("write", tensor, value):
                self._timeline.write(self._tensors[tensor], memoryview(value.to_bytes(4, "little", signed=True)))
                self._model.write(tensor, value)
            case ("dispatch", graph, inputs, output):
                token, model = self._graphs[graph]
                named = {f"x{at}": self._tensors[tensor] for at, tensor in enumerate(inputs)}
                self._timeline.dispatch(token, named, {"y": self._tensors[output]})
                self._model.dispatch(model, inputs, output)
            case ("read", tensor):
                self._reads.append((tensor, self._timeline.read(self._tensors[tensor]), self._model.read(tensor)))
            case ("destroy_tensor", tensor):
                self._timeline.destroy_tensor(self._tensors.pop(tensor))
                self._model.destroy(tensor)
            case ("destroy_graph", graph):
                self._timeline.destroy_graph(self._graphs.pop(graph)[0])
            case ("wait",):
                self._settle()
            case ("share",):
                self._share()
            case ("callback",):
                self._call_back()
            case _:
                raise AssertionError(step)

    def _tensor(self, number: int) -> None:
        request = context_pb2.CreateTensorRequest(
            context=self.token,
            descriptor=encode_descriptor(CELL),
            readable=True,
            writable=True,
            after=self._timeline.sequence,
        )
        try:
            info = self._renderer.call("CreateTensor", request).tensor
        except QuotaExceededError as error:
            if not (self._model.is_full or self.may_end or self._renderer.may_end):
                self._complain(f"tensor {number} was refused: {error}")
            return
        if self._model.is_full:
            self._complain(f"tensor {number} is one too many")
        self._tensors[number] = carriers.client_tensor(self._renderer, info, CELL.byte_length)
        self._model.create(number)

    def _graph(self, number: int, model: ModelGraph) -> None:
        region = self._renderer.offer(model.addend.to_bytes(4, "little", signed=True))
        message = encode_graph(_graph_of(model, region)).SerializeToString()
        chunk = context_pb2.CreateGraphChunk(
            context=self.token, total_bytes=len(message), after=self._timeline.sequence, data=message
        )
        try:
            token = self._renderer.upload("CreateGraph", chunk).graph.token
        finally:
            withdrawn = session_pb2.RegionWithdrawn(token=region)
            self._renderer.say(region_withdrawn=withdrawn)
        self._graphs[number] = (token, model)

    # --- results ------------------------------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Wait for all reads so far, and compare."""
        for read in self._reads:
            self._await(*read)
        self._reads.clear()
        self._world.wait_for(lambda: all(waiter.done for waiter in self._waiters))

    def _share(self) -> None:
        """Have each read so far waited for by a thread of its own and watched by another, while this one goes on."""
        for read in self._reads:
            self._waiters.append(self._world.spawn("waiter", partial(self._await, *read)))
            self._waiters.append(self._world.spawn("watcher", partial(self._watch, *read)))
        self._reads.clear()

    def _call_back(self) -> None:
        """Have somebody told when each read so far is over, and wait for nothing but that."""
        for tensor, handle, expected in self._reads:
            told: list[Any] = []
            handle.add_done_callback(told.append)
            self._waiters.append(
                self._world.spawn("called back", partial(self._await_call, told, tensor, handle, expected))
            )
        self._reads.clear()

    def _await(self, tensor: int, handle: Any, expected: Value) -> None:
        if carriers.wait(self._world, handle):
            self._compare(tensor, handle, expected)
        else:
            self._complain(f"the read of tensor {tensor} does not end")

    def _watch(self, tensor: int, handle: Any, expected: Value) -> None:
        """Compare as soon as it says that it is done."""
        if self._world.wait_for(handle.done, _SECONDS):
            self._compare(tensor, handle, expected)

    def _await_call(self, told: list[Any], tensor: int, handle: Any, expected: Value) -> None:
        if self._world.wait_for(lambda: told, _SECONDS):
            self._compare(tensor, handle, expected)
        else:
            self._complain(f"nobody was called back for the read of tensor {tensor}")

    def _compare(self, tensor: int, handle: Any, expected: Value) -> None:
        try:
            got = int.from_bytes(bytes(handle.result(0)), "little", signed=True)
        except OperationError as error:
            if expected is not None:
                self._complain(f"reading tensor {tensor} failed, {expected} was expected: {error}")
        except MLError as error:
            self._check_end(error)
        else:
            if got != expected:
                self._complain(f"tensor {tensor} was read as {got}, {expected} was expected")

    def _check_end(self, error: MLError) -> None:
        if not (self.may_end or self._renderer.may_end):
            self._complain(f"{type(error).__name__} without a reason: {error}")

    def _check_all_told(self) -> None:
        for tensor, handle, expected in self._reads:
            if not carriers.wait(self._world, handle):  # another task may be about to tell
                self._complain(f"nobody was told of the read of tensor {tensor}")
            else:
                self._compare(tensor, handle, expected)

    def _complain(self, text: str) -> None:
        self._renderer.complaints.append(text)


def _graph_of(model: ModelGraph, region: bytes) -> Graph:
    graph = Graph()
    graph.operands += [CELL] * (model.inputs + 1)
    graph.inputs += [(f"x{at}", at) for at in range(model.inputs)]
    graph.constants[model.inputs] = ConstantSource(region)
    total = 0
    for other in range(1, model.inputs + 1):
        graph.operands.append(CELL)
        label = FAILING if model.fails and other == 1 else ""
        made = len(graph.operands) - 1
        graph.operations.append(Operation(REGISTRY["add"], {"a": total, "b": other}, {}, (made,), label))
        total = made
    graph.outputs.append(("y", total))
    return graph
