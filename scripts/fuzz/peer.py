"""A renderer reduced to its messages: sends what it is told, right or wrong, and says what came back."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import grpc

from ipc.channel import (
    CONTEXT_METADATA,
    PROTOCOL_VERSION,
    SESSION_METADATA,
    ChannelClosed,
    ChannelError,
    MessageSocket,
    new_token,
    open_grpc_channel,
)
from ipc.generated.webnn.v1 import context_pb2, context_pb2_grpc, session_pb2
from ipc.shared_memory import seal_constants

SECONDS = 20.0
METHODS = ("CreateContext", "DestroyContext", "CreateTensor", "CreateConstantTensor", "CreateGraph", "Timeline")


class PeerError(Exception):
    """The host or the GPU process did not do what a peer can rely on: it is gone, or says nothing."""


class PeerHost:
    """A connection to a host's broker."""

    def __init__(self, path: Path) -> None:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        sock.connect(os.fspath(path))
        self._socket: MessageSocket[Any, Any] = MessageSocket(sock, session_pb2.HostReply, session_pb2.HostRequest)
        hello = session_pb2.Hello(protocol_version=PROTOCOL_VERSION, role="fuzz")
        self._socket.send(session_pb2.HostRequest(hello=hello))
        self.ended: dict[int, str] = {}
        """Why sessions ended, as the host has told it so far."""

    def open_session(self, backend: str, *, greet: bool = True) -> PeerSession:
        """A new session.

        Args:
            greet: whether it begins as it should.

        Raises:
            PeerError: the host refuses it or is gone.
        """
        request = session_pb2.HostRequest(open_session=session_pb2.OpenSession(backend=backend))
        try:
            self._socket.send(request, timeout=SECONDS)
            while True:
                reply, descriptors = self._socket.receive(SECONDS)
                match reply.WhichOneof("message"):
                    case "session_opened":
                        return PeerSession(
                            reply.session_opened.session, socket.socket(fileno=descriptors[0]), greet=greet
                        )
                    case "session_refused":
                        raise PeerError(f"the host refuses a session: {reply.session_refused.reason}")
                    case "session_ended":
                        self.ended[reply.session_ended.session] = reply.session_ended.reason
        except (ChannelClosed, ChannelError, TimeoutError) as error:
            raise PeerError(f"no session: {error!r}") from error

    def close(self) -> None:
        self._socket.close()


class PeerSession:
    """The renderer's end of a session, with nothing between the caller and the messages.

    Attributes:
        number: as the host counts.
        socket: the raw one; `say` sends whole messages over it.
    """

    def __init__(self, number: int, sock: socket.socket, *, greet: bool = True) -> None:
        self.number = number
        self.socket = sock
        self._messages: MessageSocket[Any, Any] = MessageSocket(
            sock, session_pb2.SessionMessage, session_pb2.SessionMessage
        )
        try:
            granted = self._messages.receive(SECONDS)[0].granted
            if greet:
                self.say(hello=session_pb2.Hello(protocol_version=PROTOCOL_VERSION, role="fuzz"))
        except (ChannelClosed, ChannelError, TimeoutError) as error:
            sock.close()
            raise PeerError(f"session {number} was not granted: {error!r}") from error
        self.address = granted.address
        self.secret = granted.secret
        self.channel = open_grpc_channel(granted.address)
        self.stub = context_pb2_grpc.WebNNStub(self.channel)  # type: ignore[no-untyped-call]
        self.metadata: tuple[tuple[str, Any], ...] = ((SESSION_METADATA, granted.secret),)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def say(self, *descriptors: int, **message: Any) -> None:
        """Send a packet over the session's socket."""
        self._messages.send(session_pb2.SessionMessage(**message), descriptors, timeout=SECONDS)

    def offer(self, *chunks: bytes) -> bytes:
        """Hand over a sealed region of these bytes; its token."""
        descriptor = seal_constants(chunks, "fuzz")
        try:
            token = new_token()
            offered = session_pb2.RegionOffered(token=token, size=sum(map(len, chunks)))
            self.say(descriptor, region_offered=offered)
            return token
        finally:
            os.close(descriptor)

    def create_context(self, backend: str, carrier: int = context_pb2.CARRIER_STREAM, *, int4: bool = True) -> bytes:
        """A context; its token.

        Raises:
            PeerError: there is none.
        """
        request = context_pb2.CreateContextRequest(
            backend=backend,
            power_preference=context_pb2.POWER_PREFERENCE_DEFAULT,
            carrier=carrier,  # type: ignore[arg-type]
            experimental_int4=int4,
        )
        try:
            reply = self.stub.CreateContext(request, metadata=self.metadata, timeout=SECONDS)
        except grpc.RpcError as error:
            raise PeerError(f"no context: {error!r}") from error
        if not reply.HasField("context"):
            raise PeerError(f"no context: {reply}")
        return bytes(reply.context.token)

    def call(self, method: str, requests: Sequence[bytes], context: bytes | None = None) -> Answer:
        """Call a method of the service with serialised requests, and hear all that it answers."""
        streams = method in ("CreateGraph", "Timeline")
        make = getattr(
            self.channel,
            {"CreateGraph": "stream_unary", "Timeline": "stream_stream"}.get(method, "unary_unary"),
        )
        metadata = self.metadata if context is None else (*self.metadata, (CONTEXT_METADATA, context))
        call = make(f"/webnn.v1.WebNN/{method}")
        try:
            reply = call(iter(requests) if streams else requests[0], metadata=metadata, timeout=SECONDS)
            replies = list(reply) if method == "Timeline" else [reply]
        except grpc.RpcError as error:
            failed: Any = error
            return Answer(failed.code(), str(failed.details()), [])
        return Answer(grpc.StatusCode.OK, "", replies)

    @contextlib.contextmanager
    def timeline(self, context: bytes, batch: bytes) -> Iterator[None]:
        """A timeline that stays open, its first batch executed.

        Raises:
            PeerError: it was not.
        """
        over = threading.Event()

        def batches() -> Iterator[bytes]:
            yield batch
            over.wait(SECONDS)

        make: Any = self.channel.stream_stream
        call = make("/webnn.v1.WebNN/Timeline")(
            batches(), metadata=(*self.metadata, (CONTEXT_METADATA, context)), timeout=SECONDS
        )
        try:
            next(call)
            yield
        except grpc.RpcError as error:
            raise PeerError(f"no timeline: {error!r}") from error
        finally:
            over.set()
            call.cancel()

    def closed(self, seconds: float = SECONDS) -> tuple[str, str]:
        """Why the GPU process has closed the session: reason and field; empty where it only ended.

        Raises:
            TimeoutError: it did not end.
        """
        reason = ("", "")
        while True:
            try:
                message, descriptors = self._messages.receive(seconds)
            except (ChannelClosed, ChannelError):
                return reason
            close_all(descriptors)
            if message.WhichOneof("message") == "closed":
                reason = (message.closed.reason, message.closed.field)

    def close(self) -> None:
        self._messages.close()
        self.channel.close()


class Answer:
    """What a call came to.

    Attributes:
        code: gRPC's.
        details: of a failure: the reason of a bad message.
        replies: serialised.
    """

    def __init__(self, code: grpc.StatusCode, details: str, replies: list[bytes]) -> None:
        self.code = code
        self.details = details
        self.replies = replies


def close_all(descriptors: Iterable[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
