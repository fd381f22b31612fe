"""A session with a GPU process: its socket, its gRPC channel, the regions both share, and its end.

Identity is possession: whoever holds the socket is the session. Over it come the secret for gRPC, and every descriptor.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ipc.channel import (
    PROTOCOL_VERSION,
    SESSION_METADATA,
    ChannelClosed,
    ChannelError,
    MessageSocket,
    failure_of,
    new_token,
    open_grpc_channel,
)
from ipc.codec import decode_error
from ipc.errors import InvalidStateError, NotSupportedError
from ipc.generated.webnn.v1 import session_pb2
from ipc.shared_memory import Region, map_pool
from ipc.timeline import RingParts
from ipc.timeline.ring import RendererBells
from ipc.verdicts import BadMessage
from renderer._lanes import Lane
from renderer._promises import Promise
from renderer._watcher import Watcher

if TYPE_CHECKING:
    import grpc

    from ipc.timeline.stub import ServiceStub

logger = logging.getLogger(__name__)

T = TypeVar("T")

REASON_GRACE = 0.5  # seconds in which the host may say why a session ended; a pending call must fail within one
CALLS, BUILDS = 8, 4  # under way at a time; half of what a GPU process takes by default
SEND_TIMEOUT = 5.0  # seconds in which the GPU process must take a packet from its socket


class Dependent(Protocol):
    """What ends with the session: a context."""

    def session_lost(self, reason: str) -> None:
        """The session is gone; called once, in any thread, with no lock held."""


class Session:
    """The renderer's end of a session.

    Attributes:
        backend: as the host named it.
        gpu_process_pid: process id of the GPU process, as the host told it.
        lost: resolves with the reason when the session has ended.
        stub: gRPC stubs; call them through `call`.
        metadata: proof of the session for every gRPC call.
    """

    def __init__(self, sock: MessageSocket[Any, Any], watcher: Watcher, opened: session_pb2.SessionOpened) -> None:
        self.backend = opened.backend
        self.gpu_process_pid = opened.gpu_process_pid
        self.lost: Promise[str] = Promise()
        self.granted: Promise[None] = Promise()
        self.stub: ServiceStub
        self.metadata: tuple[tuple[str, bytes], ...] = ()
        self._socket = sock
        self._watcher = watcher
        self._channel: grpc.Channel | None = None
        self._regions: dict[bytes, Region] = {}
        self._rings: dict[bytes, RingParts] = {}  # that no context has taken yet
        self._calls, self._builds = Lane(CALLS), Lane(BUILDS)
        self._receiving = threading.Lock()
        self._reason: str | None = None
        self._dependents: weakref.WeakSet[Dependent] = weakref.WeakSet()
        watcher.watch(sock.fileno(), self._drain)

    def add_dependent(self, dependent: Dependent) -> None:
        """Tell it when the session is lost; at once if it is already."""
        self._dependents.add(dependent)
        if self.lost.done():
            dependent.session_lost(self.lost.result())

    def call(self, method: Any, request: object) -> Promise[Any]:
        """The reply to a gRPC call. A call that fails, whatever for, ends the session: a correct peer only replies.

        Raises (from the promise):
            InvalidStateError: the session is lost.
            MLError: the reply tells an error that a correct renderer can meet.
        """
        reply: Promise[Any] = Promise()
        lane = self._builds if method is self.stub.CreateGraph else self._calls

        def reject(_: object = None) -> None:
            reply.reject(InvalidStateError(f"the context is lost: {self.lost.result()}"))

        def settle(rpc: Any) -> None:
            lane.leave()
            if failure := failure_of(rpc):
                self.fail(f"a call failed: {failure}")
                self.lost.add_done_callback(reject)
            else:
                self._settle(reply, rpc.result())

        def begin() -> bool:
            if self.lost.done():
                reject()
                return False
            try:
                rpc = method.future(request, metadata=self.metadata)
            except ValueError:  # gRPC's word for a channel that was closed in this moment
                self.lost.add_done_callback(reject)
                return False
            rpc.add_done_callback(settle)
            return True

        lane.enter(begin)
        return reply

    def _settle(self, reply: Promise[Any], message: Any) -> None:
        if "error" not in message.DESCRIPTOR.fields_by_name or not message.HasField("error"):
            reply.resolve(message)
            return
        try:
            with self.distrusting():
                reply.reject(decode_error(message.error))
        except InvalidStateError as error:
            reply.reject(error)

    def slot(self, token: bytes, offset: int, length: int) -> memoryview:
        """A part of a region that the GPU process has offered; its packet precedes every message that names it.

        Raises:
            KeyError: there is no such region.
            ValueError: the part is not within it.
        """
        if token not in self._regions:
            self._drain()
        return self._regions[token].view(offset, length)

    def ring(self, context: bytes) -> RingParts:
        """The ring of a new context, whose packet precedes the reply that names the context.

        Raises:
            KeyError: there is none.
        """
        if context not in self._rings:
            self._drain()
        return self._rings.pop(context)

    @contextlib.contextmanager
    def distrusting(self) -> Iterator[None]:
        """For what is made of a reply: one that a correct GPU process could not have sent ends the session.

        Raises:
            InvalidStateError: it was such a reply.
        """
        try:
            yield
        except (BadMessage, KeyError, ValueError) as error:
            self.fail(f"the GPU process sent a reply that can't be: {error!r}")
            raise InvalidStateError("the context is lost: the GPU process sent a reply that can't be") from error

    def offer(self, descriptor: int, size: int) -> bytes:
        """Hand over a sealed region; the token it is called by. The descriptor stays the caller's."""
        token = new_token()
        offered = session_pb2.RegionOffered(token=token, size=size)
        self._send(session_pb2.SessionMessage(region_offered=offered), (descriptor,))
        return token

    def withdraw(self, token: bytes) -> None:
        """Say that a region will not be used any more."""
        self._send(session_pb2.SessionMessage(region_withdrawn=session_pb2.RegionWithdrawn(token=token)))

    def soon(self, job: Callable[[], object]) -> None:
        """Do the job in the watcher's thread; safe in finalizers."""
        self._watcher.soon(job)

    def fail(self, reason: str) -> None:
        """The session is broken. Who knows better, the host or the GPU process, has a moment to say why."""
        if self._reason is None:
            self._reason = reason
            self._watcher.after(REASON_GRACE, lambda: self.end(reason))

    def end(self, reason: str) -> None:
        """The session is lost, for this reason if none came before."""
        if not self.lost.resolve(reason):
            return
        logger.info("session with the GPU process %d ended: %s", self.gpu_process_pid, reason)
        self.granted.reject(InvalidStateError(reason))
        for dependent in list(self._dependents):
            dependent.session_lost(reason)
        self._watcher.unwatch(self._socket.fileno(), self._close)

    def abandon(self) -> None:
        """In a forked child: the parent's socket must close when the parent ends."""
        self._socket.close()

    def _close(self) -> None:
        self._socket.close()
        if self._channel is not None:
            self._channel.close()

    def _send(self, message: session_pb2.SessionMessage, descriptors: tuple[int, ...] = ()) -> None:
        try:
            self._socket.send(message, descriptors, timeout=SEND_TIMEOUT)
        except (ChannelClosed, ChannelError, TimeoutError) as error:
            self.fail(f"the session's socket failed: {error}")
            raise InvalidStateError(f"the context is lost: the session's socket failed: {error}") from error

    def _drain(self) -> None:
        """Take all that has arrived. Any thread may: whoever needs a region must not wait for another's turn."""
        with self._receiving:
            try:
                while not self.lost.done() and (received := self._socket.receive_nowait()) is not None:
                    self._handle(*received)
            except ChannelClosed:
                self._watcher.unwatch(self._socket.fileno(), lambda: None)
                self.fail("the GPU process closed the session")
            except (ChannelError, BadMessage, MemoryError, OSError) as error:
                self._watcher.unwatch(self._socket.fileno(), lambda: None)
                self.fail(f"the GPU process sent what can't be taken: {error}")

    def _handle(self, message: session_pb2.SessionMessage, descriptors: list[int]) -> None:
        match message.WhichOneof("message"):
            case "granted":
                self._granted(message.granted)
            case "region_offered":
                offered = message.region_offered
                try:
                    self._regions[offered.token] = map_pool(descriptors[0], offered.size)
                finally:
                    os.close(descriptors[0])
            case "ring_offered":
                region, doorbell, bell = descriptors
                bells = RendererBells(doorbell, socket.socket(fileno=bell))
                try:
                    parts = RingParts(map_pool(region, message.ring_offered.size), bells)
                finally:
                    os.close(region)
                self._rings[message.ring_offered.context] = parts
            case "region_withdrawn":
                self._regions.pop(message.region_withdrawn.token, None)
            case "closed":
                closed = message.closed
                reason = f"the GPU process refused a message: {closed.reason} ({closed.field})"
                self._watcher.soon(lambda: self.end(reason))
            case kind:
                self.fail(f"the GPU process sent an unexpected message: {kind}")

    def _granted(self, granted: session_pb2.SessionGranted) -> None:
        if granted.protocol_version != PROTOCOL_VERSION:
            versions = f"the GPU process speaks version {granted.protocol_version}, this renderer {PROTOCOL_VERSION}"
            error = NotSupportedError(f"protocol versions differ: {versions}")
            self._watcher.soon(lambda: self.granted.reject(error))
            return
        self.metadata = ((SESSION_METADATA, granted.secret),)
        from ipc.timeline.stub import ServiceStub

        self._channel = open_grpc_channel(granted.address)
        self.stub = ServiceStub(self._channel)
        hello = session_pb2.Hello(protocol_version=PROTOCOL_VERSION, role="renderer")
        try:
            self._send(session_pb2.SessionMessage(hello=hello))
        except InvalidStateError as error:
            self.granted.reject(error)
        else:
            self._watcher.soon(lambda: self.granted.resolve(None))  # not here: a lock is held
