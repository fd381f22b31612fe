"""gRPC's place in a simulation: calls between processes of a world, message by message."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import grpc
from google.protobuf.message import Message

from gpu_process.service import GpuService
from ipc.generated.webnn.v1 import common_pb2, context_pb2
from scripts.fuzz.simulation.world import World

_REPLIES: Mapping[str, type[Message]] = {
    "CreateContext": context_pb2.CreateContextReply,
    "DestroyContext": common_pb2.Empty,
    "CreateTensor": context_pb2.CreateTensorReply,
    "CreateConstantTensor": context_pb2.CreateTensorReply,
    "CreateGraph": context_pb2.CreateGraphReply,
    "DefineBindings": context_pb2.DefineBindingsReply,
}


class WireError(grpc.RpcError):
    """A call that failed; it is its own status, as gRPC's are."""

    def __init__(self, status: tuple[grpc.StatusCode, str]) -> None:
        super().__init__(status)
        self._status = status

    def code(self) -> grpc.StatusCode:
        return self._status[0]

    def details(self) -> str:
        return self._status[1]


class _Aborted(Exception):  # noqa: N818 - an end
    pass


@dataclass(frozen=True, slots=True)
class _Details:
    method: str
    invocation_metadata: tuple[tuple[str, Any], ...]


class WireCall:
    """A call in flight; to the service its context, to the renderer its future and its stream."""

    def __init__(self, world: World, accused: list[str]) -> None:
        self._world = world
        self._accused = accused
        self.requests: deque[bytes] = deque()
        self.half_closed = False
        self.replies: deque[bytes] = deque()
        self.status: tuple[grpc.StatusCode, str] | None = None
        self.received: Callable[[bytes], Any] = bytes

    # --- the service's view -------------------------------------------------------------------------------------------

    def abort(self, code: grpc.StatusCode, details: str) -> None:
        if code is grpc.StatusCode.FAILED_PRECONDITION:
            self._accused.append(details)
        self.end(code, details)
        if not self._world.closing:  # what is unwound goes on to its end
            raise _Aborted

    def is_active(self) -> bool:
        return self.status is None

    def cancel(self) -> None:
        self.end(grpc.StatusCode.CANCELLED, "cancelled")

    def incoming(self) -> Iterator[bytes]:
        while True:
            self._world.wait_for(lambda: self.requests or self.half_closed or self.status)
            if self.status is not None:
                raise WireError(self.status)
            if not self.requests:
                return
            yield self.requests.popleft()

    # --- the renderer's view ------------------------------------------------------------------------------------------

    def __iter__(self) -> WireCall:
        return self

    def __next__(self) -> Any:
        self._world.wait_for(lambda: self.replies or self.status)
        if self.replies and (self.status is None or self.status[0] is grpc.StatusCode.OK):
            return self.received(self.replies.popleft())
        assert self.status is not None
        if self.status[0] is grpc.StatusCode.OK:
            raise StopIteration
        raise WireError(self.status)

    def result(self, method: str) -> Message:
        """Of a call with one reply; waits for it.

        Raises:
            WireError: it failed.
        """
        self._world.wait_for(lambda: self.status)
        assert self.status is not None
        if self.status[0] is not grpc.StatusCode.OK:
            raise WireError(self.status)
        return _REPLIES[method].FromString(self.replies[0])

    def code(self) -> grpc.StatusCode:
        assert self.status is not None
        return self.status[0]

    def details(self) -> str:
        assert self.status is not None
        return self.status[1]

    def end(self, code: grpc.StatusCode, details: str = "") -> None:
        if self.status is None:
            self.status = (code, details)


class Wires:
    """All calls to one service.

    Attributes:
        calls: that were made.
        accused: of bad messages, by their reason.
    """

    def __init__(self, world: World, service: GpuService) -> None:
        self.calls: list[WireCall] = []
        self.accused: list[str] = []
        self._world = world
        self._service = service
        self._broken = False

    def unary(self, method: str, request: Message, metadata: tuple[tuple[str, Any], ...]) -> Message:
        """Make a call and wait for the reply, or raise WireError."""
        call = self._one(method, request, metadata)
        return call.result(method)

    def future(self, method: str, request: Message, metadata: tuple[tuple[str, Any], ...]) -> Future:
        """Make a call and go on."""
        call = self._one(method, request, metadata)
        return Future(self._world, call, method)

    def _one(self, method: str, request: Message, metadata: tuple[tuple[str, Any], ...]) -> WireCall:
        call = self._call(method, metadata, lambda handler, call: [handler.stream_unary(call.incoming(), call)])
        call.requests.append(request.SerializeToString())
        call.half_closed = True
        return call

    def upload(self, method: str, requests: Iterator[Message], metadata: tuple[tuple[str, Any], ...]) -> Message:
        """The same with a stream of requests."""
        call = self._call(method, metadata, lambda handler, call: [handler.stream_unary(call.incoming(), call)])
        self._feed(call, (request.SerializeToString() for request in requests))
        return call.result(method)

    def duplex(
        self,
        method: str,
        requests: Iterator[bytes],
        received: Callable[[bytes], Any],
        metadata: tuple[tuple[str, Any], ...],
    ) -> WireCall:
        """Open a stream in both directions."""
        call = self._call(method, metadata, lambda handler, call: handler.stream_stream(call.incoming(), call))
        call.received = received
        self._world.spawn("gRPC", partial(self._feed, call, requests))
        return call

    def cut(self) -> None:
        """The GPU process is gone: all that is under way fails, and so does all that is begun."""
        self._broken = True
        for call in self.calls:
            call.end(grpc.StatusCode.UNAVAILABLE, "Socket closed")

    def _call(
        self,
        method: str,
        metadata: tuple[tuple[str, Any], ...],
        serve: Callable[[Any, WireCall], Any],
    ) -> WireCall:
        call = WireCall(self._world, self.accused)
        self.calls.append(call)
        if self._broken:
            call.end(grpc.StatusCode.UNAVAILABLE, "failed to connect")
            return call

        def work() -> None:
            handler = self._service.service(_Details(f"/webnn.v1.WebNN/{method}", metadata))  # type: ignore[arg-type]
            assert handler is not None
            try:
                for reply in serve(handler, call):
                    self._world.point()
                    call.replies.append(reply)
                    if call.status is not None:
                        return
            except _Aborted:
                return
            call.end(grpc.StatusCode.OK)

        self._world.spawn(method, work, "gpu")
        return call

    def _feed(self, call: WireCall, requests: Iterator[bytes]) -> None:
        for request in requests:
            self._world.point()
            if call.status is not None:
                return
            call.requests.append(request)
        call.half_closed = True


class Future:
    """A call whose end somebody is told of."""

    def __init__(self, world: World, call: WireCall, method: str) -> None:
        self._world = world
        self._call = call
        self._method = method
        self.code = call.code
        self.details = call.details

    def result(self) -> Message:
        return self._call.result(self._method)

    def add_done_callback(self, callback: Callable[[Future], object]) -> None:
        def tell() -> None:
            self._world.wait_for(lambda: self._call.status)
            callback(self)

        self._world.spawn("gRPC callback", tell)


class _Method:
    def __init__(self, wires: Wires, method: str) -> None:
        self._wires = wires
        self._method = method

    def future(self, request: Message, metadata: tuple[tuple[str, Any], ...]) -> Future:
        return self._wires.future(self._method, request, metadata)


class Stub:
    """What a `TimelineClient` needs of a `ServiceStub`."""

    def __init__(self, wires: Wires) -> None:
        self._wires = wires
        self.DefineBindings = _Method(wires, "DefineBindings")

    def open_timeline(
        self, batches: Iterator[bytes], received: Callable[[bytes], Any], metadata: tuple[tuple[str, Any], ...]
    ) -> WireCall:
        return self._wires.duplex("Timeline", batches, received, metadata)
