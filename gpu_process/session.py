"""A session: one renderer, proved by a secret, with everything it owns, from the hand-over of its socket to its end."""

from __future__ import annotations

import hmac
import logging
import os
import select
import socket
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from gpu_process.backends import Backend
from gpu_process.constants import ConstantRegions
from gpu_process.context import Context, ContextEnded, SessionMemory
from gpu_process.pace import Pace
from gpu_process.poller import Poller
from gpu_process.pools import SlotPool
from gpu_process.quotas import Account, Quotas
from gpu_process.recording import session_socket
from gpu_process.ring import RingParts, RingServer, TracedRingServer
from ipc import trace
from ipc.channel import PROTOCOL_VERSION, TOKEN_BYTES, ChannelClosed, ChannelError, new_secret
from ipc.generated.webnn.v1 import session_pb2
from ipc.limits import SupportLimits
from ipc.shared_memory import Region
from ipc.verdicts import BadMessage
from ipc.verdicts import BadMessageReason as Reason

logger = logging.getLogger(__name__)

_SEND_TIMEOUT = 5.0  # seconds in which a renderer must make room in its socket; it drains it before every look-up
_REMEMBERED_ENDS = 4096
_PACKET_SECONDS = 0.1e-3  # that a packet costs besides what is done with it: it is received, and a thread woken

Report = Callable[[int, str, str], None]
"""Tells the host that a session has ended: its number, the reason of a bad message or "", the offending field or ""."""


class SessionService(Protocol):
    """What a session needs of the service."""

    @property
    def poller(self) -> Poller: ...

    def running(self, number: int, begins: bool, /) -> None:
        """Commands of a session are executed, or no more."""

    def done_by_others(self, number: int, /) -> int:
        """How many commands of sessions but this one have been executed."""


class Cancellable(Protocol):
    """A gRPC call in flight."""

    def cancel(self) -> Any: ...


class SessionEnded(Exception):  # noqa: N818 - an end, not an error
    """The session is gone; whatever was under way for it is void."""


class Session:
    """One renderer.

    Attributes:
        number: as the host counts.
        limit: its quotas.
        builds, calls, ends: what it has under way.
        pace: of what it does beside its timelines.
        floor: for which its timelines take turns.
    """

    def __init__(
        self,
        number: int,
        sock: socket.socket,
        address: str,
        limit: Quotas,
        report: Report,
        service: SessionService,
    ) -> None:
        """Takes over the socket. `run` must be called then, in a thread of the session's own."""
        self.number = number
        self.limit = limit
        self.builds = Account("builds", limit.builds)
        self.calls = Account("calls", limit.calls)
        self.ends = Account("ends", limit.ends)
        self.floor = threading.Lock()
        self.pace = Pace(partial(service.done_by_others, number))
        self._raw_socket = sock
        self._socket = session_socket(sock, number)
        self._secret = new_secret()
        self._address = address
        self._report = report
        self._service = service
        self._lock = threading.Lock()  # for the tables and the end
        self._receiving = threading.Lock()
        self._greeted = False
        self._ended = False
        self._verdict: BadMessage | None = None  # the one that ends it
        self._contexts: dict[bytes, Context] = {}
        self._ended_contexts: dict[bytes, None] = {}
        self._context_count = Account("contexts", limit.contexts)
        self._calls_in_flight: set[Cancellable] = set()
        self._memory = SessionMemory(
            Account("tensor_bytes", limit.tensor_bytes),
            SlotPool(self._offer),
            ConstantRegions(Account("constant_bytes", limit.constant_bytes), Account("regions", limit.regions)),
        )

    @property
    def ended(self) -> bool:
        return self._ended

    def admits(self, secret: bytes) -> bool:
        """Whether this is the session's secret, in a time that tells nothing about it."""
        return hmac.compare_digest(secret, self._secret)

    # --- contexts -----------------------------------------------------------------------------------------------------

    def create_context(self, backend: Backend, limits: SupportLimits, carrier: str, *, in_place: bool) -> Context:
        """A new context.

        Raises:
            QuotaExceededError: it has too many.
            MemoryError: the system has no memory left for its ring, or no descriptors.
            SessionEnded: it is gone.
        """
        self._context_count.charge(1)
        context = Context(backend, limits, carrier, self._memory, self.limit, in_place=in_place)
        with self._lock:
            if self._ended:
                raise SessionEnded  # nobody will count its contexts again
            self._contexts[context.token] = context
        if carrier == "ring":
            try:
                self._open_ring(context)
            except BaseException:
                self.end_context(context)
                raise
        return context

    def _open_ring(self, context: Context) -> None:
        """Hand over the ring of a new context, before the renderer hears of the context, and serve it."""
        parts = RingParts()
        offered = session_pb2.RingOffered(context=context.token, size=parts.size)
        try:
            self._send(session_pb2.SessionMessage(ring_offered=offered), *parts.descriptors())
        except BaseException:
            parts.close()
            raise
        finally:
            parts.sent()
        running = partial(self._service.running, self.number)
        kind = RingServer if trace.recorder is None else TracedRingServer
        server = kind(self.number, context, parts.end, parts.doorbell, running, self.close_for, parts.close)
        self._service.poller.add(server)
        context.when_ended(partial(self._service.poller.remove, server))

    def context(self, token: bytes) -> Context:
        """The context of that name.

        Raises:
            BadMessage: there never was one, or so long ago that it is forgotten.
            ContextEnded: it has ended; a correct renderer may not know yet.
        """
        with self._lock:
            if token in self._ended_contexts:
                raise ContextEnded("the context is destroyed")
            if token not in self._contexts:
                raise BadMessage(Reason.UNKNOWN_CONTEXT, "context")
            return self._contexts[token]

    def end_context(self, context: Context) -> None:
        """End a context; idempotent."""
        with self._lock:
            if self._contexts.pop(context.token, None) is None:
                return
            self._ended_contexts[context.token] = None
            if len(self._ended_contexts) > _REMEMBERED_ENDS:
                del self._ended_contexts[next(iter(self._ended_contexts))]
        context.end()
        self._context_count.credit(1)

    # --- regions ------------------------------------------------------------------------------------------------------

    def region(self, token: bytes) -> Region | None:
        """A region of constants, its packet being in our socket already if the renderer has sent it.

        Raises:
            QuotaExceededError: it was refused.
            SessionEnded: it is gone, with all regions.
        """
        if token not in self._memory.regions:
            self._drain()
        region = self._memory.regions.get(token)
        if self._ended:
            raise SessionEnded
        return region

    def _offer(self, token: bytes, fd: int, size: int) -> None:
        offered = session_pb2.RegionOffered(token=token, size=size)
        self._send(session_pb2.SessionMessage(region_offered=offered), fd)

    # --- calls --------------------------------------------------------------------------------------------------------

    def enter(self, call: Cancellable) -> None:
        """A call begins; it is cancelled should the session end.

        Raises:
            SessionEnded: it has ended already.
        """
        with self._lock:
            if self._ended:
                raise SessionEnded
            self._calls_in_flight.add(call)

    def leave(self, call: Cancellable) -> None:
        with self._lock:
            self._calls_in_flight.discard(call)

    # --- life ---------------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Grant the session and hear what comes over its socket, until its end."""
        granted = session_pb2.SessionGranted(
            protocol_version=PROTOCOL_VERSION, secret=self._secret, address=self._address
        )
        try:
            self._send(session_pb2.SessionMessage(granted=granted))
            readable = select.poll()
            readable.register(self._raw_socket, select.POLLIN)
            while not self._ended:
                readable.poll()
                self._drain()
        except SessionEnded:
            pass
        finally:
            self.abandon()

    def abandon(self) -> None:
        """End it and let go of its socket: nobody runs it any more, or ever did."""
        self.end()
        self._socket.close()

    def close_for(self, bad: BadMessage) -> BadMessage:
        """End the session because of what it sent: it is told why, and so is the host.

        Returns:
            The verdict that stands: of several bad messages at once, one is the first.
        """
        with self._lock:
            is_first = self._verdict is None and not self._ended
            # Kept before the renderer is told: it may close its end, so that another thread ends the session first.
            # A new one, for the traceback of this one holds all that ends here.
            self._verdict = self._verdict or BadMessage(bad.reason, bad.field)
            verdict = self._verdict
        if is_first:
            logger.warning("session %d: bad message: %s: %r", self.number, bad.reason, bad.field)
            closed = session_pb2.SessionClosed(reason=bad.reason.value, field=bad.field)
            try:
                self._socket.send(session_pb2.SessionMessage(closed=closed), timeout=0)
            except (ChannelClosed, ChannelError, TimeoutError) as error:
                logger.info("session %d does not hear why it ends: %s", self.number, error)
            self.end()
        return verdict

    def end(self) -> None:
        """End the session and free what it owns, after the commands that are running. Idempotent, never waits."""
        with self._lock:
            if self._ended:
                return
            self._ended = True
            verdict = self._verdict
            contexts = list(self._contexts.values())
            calls = list(self._calls_in_flight)
        self.pace.end()
        try:
            self._raw_socket.shutdown(socket.SHUT_RDWR)  # also wakes our own thread
        except OSError as error:
            logger.debug("session %d: %s", self.number, error)  # the peer was faster
        for context in contexts:
            self.end_context(context)
        self._memory.regions.clear()
        self._memory.pool.close()
        for call in calls:
            call.cancel()
        logger.info("session %d ended%s", self.number, f": {verdict}" if verdict else "")
        self._report(self.number, *((verdict.reason.value, verdict.field) if verdict else ("", "")))

    def done(self) -> int:
        """How many commands of its contexts have been executed."""
        with self._lock:
            contexts = list(self._contexts.values())
        return sum(context.scheduler.done for context in contexts)

    def status(self) -> dict[str, object]:
        """What it has, for diagnostics."""
        with self._lock:
            contexts = list(self._contexts.values())
            calls = len(self._calls_in_flight)
        return {
            "session": self.number,
            "contexts": len(contexts),
            "tensors": sum(len(context.tensors) for context in contexts),
            "graphs": sum(len(context.graphs) for context in contexts),
            "tensor_bytes": self._memory.tensor_bytes.used,
            "pool_bytes": self._memory.pool.mapped_bytes(),
            "calls": calls,
        }

    # --- its socket ---------------------------------------------------------------------------------------------------

    def _drain(self) -> None:
        """Take all that has arrived; any thread may. It may be what ends the session."""
        with self._receiving:
            try:
                while not self._ended and (received := self._socket.receive_nowait()) is not None:
                    with self.pace.work(_PACKET_SECONDS):
                        self._handle(*received)
            except ChannelClosed:
                # An empty packet looks like the end and may be taken by a call's thread: our own would wait for ever.
                self.end()
            except ChannelError as error:
                logger.warning("session %d: %s", self.number, error)
                self.close_for(BadMessage(Reason.MALFORMED, "session"))
            except BadMessage as bad:
                self.close_for(bad)  # here, or a call that waits for the packet would be the one to blame

    def _handle(self, message: session_pb2.SessionMessage, fds: list[int]) -> None:
        kind = message.WhichOneof("message")
        if kind == "hello" and not self._greeted:
            self._greeted = True
            if message.hello.protocol_version != PROTOCOL_VERSION:
                raise BadMessage(Reason.PROTOCOL_VERSION, "hello.protocol_version")
        elif kind == "region_offered" and self._greeted:
            token = message.region_offered.token
            if len(token) != TOKEN_BYTES:
                os.close(fds[0])
                raise BadMessage(Reason.INVALID_TOKEN, "region_offered.token")
            self._memory.regions.offered(token, fds[0], message.region_offered.size)
        elif kind == "region_withdrawn" and self._greeted:
            self._memory.regions.withdrawn(message.region_withdrawn.token)
        else:
            for fd in fds:
                os.close(fd)
            raise BadMessage(Reason.UNEXPECTED_MESSAGE, str(kind))

    def _send(self, message: session_pb2.SessionMessage, *fds: int) -> None:
        """Send a packet.

        Raises:
            SessionEnded: the peer is gone, or does not read.
        """
        try:
            self._socket.send(message, fds, timeout=_SEND_TIMEOUT)
        except (ChannelClosed, ChannelError, TimeoutError) as error:
            logger.info("session %d can't be sent to: %s", self.number, error)
            raise SessionEnded from error
