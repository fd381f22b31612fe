"""Mode `wire`: attacks on the messages of a session, each in a session of its own.

The answer must be a reply, an error in a reply, or a bad message that names its reason to gRPC and over the socket
alike. Whatever it is, a session that did nothing wrong must not notice.
"""

from __future__ import annotations

import array
import contextlib
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from random import Random
from typing import Any, ClassVar

import grpc
from google.protobuf.message import DecodeError

from ipc.channel import MAX_PACKET_BYTES, SESSION_METADATA
from ipc.codec import encode_descriptor, encode_graph
from ipc.descriptors import Descriptor
from ipc.generated.webnn.v1 import context_pb2
from ipc.graph import Graph, Operation
from ipc.operators import REGISTRY
from ipc.verdicts import BadMessageReason
from scripts.fuzz.mode import CoverageKey, Mode, ModeOptions, Problem, Verdict
from scripts.fuzz.peer import Answer, PeerError, PeerHost, PeerSession, close_all
from scripts.fuzz.target import Target
from scripts.fuzz.wire.attacks import PLACEHOLDERS, REGION_BYTES, TENSOR, WIDE_TENSOR, WireCase, attack
from scripts.fuzz.wire.handles import HANDLES

_CARRIERS = {
    "inline": context_pb2.CARRIER_INLINE,
    "stream": context_pb2.CARRIER_STREAM,
    "ring": context_pb2.CARRIER_RING,
}
_REPLIES: Mapping[str, Any] = {
    "CreateContext": context_pb2.CreateContextReply,
    "CreateTensor": context_pb2.CreateTensorReply,
    "CreateConstantTensor": context_pb2.CreateTensorReply,
    "CreateGraph": context_pb2.CreateGraphReply,
    "DefineBindings": context_pb2.DefineBindingsReply,
}
_REASONS = frozenset(reason.value for reason in BadMessageReason)
_ELSEWHERE = {reason for reason in _REASONS if reason.startswith("ring_")} | {"slot_number", "region_flood"}
"""Of commands in a ring, which mode `ring` writes; and of more mappings than a process may have."""
_GRPC_REFUSALS = frozenset({grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.RESOURCE_EXHAUSTED})
_WITNESSED = 25  # cases between two looks at the session that did nothing wrong
_FRAME_SECONDS = 0.2


class WireMode(Mode[WireCase]):
    """A GPU process, a session per case, and one witness."""

    name: ClassVar[str] = "wire"

    def __init__(self, options: ModeOptions) -> None:
        super().__init__(options)
        # A build may name a command that never comes; it must not wait for it longer than we do.
        self._target = Target(options, [options.backend], ["--quota", "wait_seconds=1"])
        self._cases = 0
        try:
            self._open()
        except BaseException:
            self._target.close()
            raise

    def _open(self) -> None:
        self._host = PeerHost(self._target.socket)
        self._witness = self._host.open_session(self.options.backend)
        self._witness_context = self._witness.create_context(self.options.backend)

    def _close(self) -> None:
        self._witness.close()
        self._host.close()

    def close(self) -> None:
        self._close()
        self._target.close()

    def generate(self, random: Random) -> WireCase:
        return attack(random)

    def run(self, case: WireCase) -> Verdict:
        self._cases += 1
        try:
            with self._host.open_session(self.options.backend, greet=case.kind != "hello") as session:
                verdict = self._attacked(session, case)
            if verdict.outcome == "none" or case.kind in ("frames", "secret") or self._cases % _WITNESSED == 0:
                self._ask_witness()
        except PeerError as error:
            where, said = self._target.death(f"{case.kind} {case.handle}")
            self._restart()
            return Verdict("none", "", Problem("crash", where, f"{error}\n{said}"))
        except TimeoutError as error:
            self._restart()
            return Verdict("none", "", Problem("hang", case.kind, f"{error!r}"))
        return verdict

    def _restart(self) -> None:
        self._close()
        self._target.restart()
        self._open()

    def _ask_witness(self) -> None:
        """The session that did nothing wrong still works.

        Raises:
            PeerError: it does not.
        """
        request = context_pb2.CreateTensorRequest(context=self._witness_context, descriptor=encode_descriptor(TENSOR))
        answer = self._witness.call("CreateTensor", [request.SerializeToString()])
        if answer.code is not grpc.StatusCode.OK:
            raise PeerError(f"another session was disturbed: {answer.code.name} {answer.details}")

    # --- one attack ---------------------------------------------------------------------------------------------------

    def _attacked(self, session: PeerSession, case: WireCase) -> Verdict:
        if case.kind == "frames":
            _send_raw(session.address, case.messages[0])
            return Verdict("none")
        if case.kind == "secret":
            return _secret(session, case)
        if case.kind == "hello":
            return _greeting(session, case)
        tokens = self._prepared(session, case)
        messages = [_with_tokens(data, tokens) for data in case.messages]
        if case.kind == "socket":
            return self._packets(session, case, messages, tokens["context"])
        if case.kind == "second timeline":
            with session.timeline(tokens["context"], messages[0]):
                return _judged(session, case, session.call("Timeline", messages[1:], tokens["context"]))
        context = tokens["context"] if case.kind == "Timeline" else None
        return _judged(session, case, session.call(case.kind, messages, context))

    def _prepared(self, session: PeerSession, case: WireCase) -> dict[str, bytes]:
        """What a session has before it does something wrong: a context, and what the attack names beside it."""
        if case.kind == "CreateContext":
            return {}
        context = session.create_context(self.options.backend, _CARRIERS[case.carrier], int4=case.int4)
        tokens = {"context": context}
        for name, make in _OBJECTS.items():
            if any(PLACEHOLDERS[name] in data for data in case.messages):
                tokens[name] = make(session, context)
        return tokens

    def _packets(self, session: PeerSession, case: WireCase, messages: list[bytes], context: bytes) -> Verdict:
        for data in messages:
            descriptors = HANDLES[case.handle](4096)
            ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
            try:
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    session.socket.sendmsg([data[: MAX_PACKET_BYTES * 2]], ancillary, socket.MSG_DONTWAIT)
            finally:
                close_all(descriptors)
        # The service has read all packets when it has answered for a region that it does not know.
        request = context_pb2.CreateConstantTensorRequest(
            context=context, descriptor=encode_descriptor(TENSOR), region=bytes(range(16))
        )
        answer = session.call("CreateConstantTensor", [request.SerializeToString()])
        if answer.code is grpc.StatusCode.FAILED_PRECONDITION and answer.details == BadMessageReason.UNKNOWN_REGION:
            return Verdict("accepted")
        if answer.code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.CANCELLED):
            reason, _ = session.closed()
            self._ask_witness()
            return Verdict("bad_message", reason, _unnamed(case, reason))
        return _judged(session, case, answer)

    def coverage(self, case: WireCase, verdict: Verdict) -> Iterable[CoverageKey]:
        yield "attack", case.kind, verdict.outcome
        if case.kind == "socket":
            yield "descriptor", case.handle, verdict.outcome
        if verdict.outcome == "bad_message":
            yield "reason", verdict.detail

    def universe(self) -> Iterable[CoverageKey]:
        return (("reason", reason) for reason in sorted(_REASONS - _ELSEWHERE))

    def from_json(self, value: Mapping[str, Any]) -> WireCase:
        return WireCase.from_json(value)

    def smaller(self, case: WireCase) -> Iterator[WireCase]:
        if case.expected:
            return  # it follows from the whole message
        for at, data in enumerate(case.messages):
            length = len(data) // 2
            while length:
                for start in range(0, len(data), length):
                    shorter = data[:start] + data[start + length :]
                    yield replace(case, messages=(*case.messages[:at], shorter, *case.messages[at + 1 :]))
                length //= 2

    def files(self, case: WireCase, problem: Problem | None) -> Mapping[str, str]:
        del problem
        lines = [f"kind {case.kind}, carrier {case.carrier}, descriptors {case.handle}"]
        lines += [f"{len(data)} bytes: {data.hex()}" for data in case.messages]
        return {"messages.txt": "\n".join(lines) + "\n"}

    def versions(self) -> Mapping[str, str]:
        processes = self._target.status()["gpu_processes"]
        return {name: version for each in processes for name, version in each["service"]["backends"].items()}

    def rest(self) -> Problem | None:
        self._close()
        try:
            return self._target.unrest()
        finally:
            self._open()


def _with_tokens(data: bytes, tokens: Mapping[str, bytes]) -> bytes:
    for name, token in tokens.items():
        data = data.replace(PLACEHOLDERS[name], token)
    return data


def _judged(session: PeerSession, case: WireCase, answer: Answer) -> Verdict:
    """The verdict on a call, and whether it is one of those that there are."""
    code = answer.code
    if code is grpc.StatusCode.OK:
        verdict = _reply(case, answer)
    elif code is grpc.StatusCode.FAILED_PRECONDITION:
        reason, field = session.closed()
        verdict = Verdict("bad_message", answer.details, _unnamed(case, reason))
        if reason != answer.details:
            what = f"gRPC was told {answer.details}, the socket {reason} at {field}"
            verdict = replace(verdict, problem=Problem("verdict", f"{case.kind}: two reasons", what))
    elif code in _GRPC_REFUSALS:
        verdict = Verdict("refused", code.name)
    elif code is grpc.StatusCode.UNAVAILABLE and "session has ended" not in answer.details:
        raise PeerError(f"{code.name}: {answer.details}")
    elif code is grpc.StatusCode.DEADLINE_EXCEEDED:
        raise TimeoutError(f"{case.kind} was not answered")
    else:
        what = f"gRPC says {code.name}: {answer.details}"
        return Verdict("refused", code.name, Problem("verdict", f"{case.kind}: {code.name}", what))
    if case.expected and verdict.detail != case.expected and verdict.problem is None:
        what = f"{case.expected} is wrong with it, and the verdict is {verdict.outcome} {verdict.detail}"
        where = f"{case.kind}: {case.expected} / {verdict.detail or verdict.outcome}"
        return replace(verdict, problem=Problem("verdict", where, what))
    return verdict


def _reply(case: WireCase, answer: Answer) -> Verdict:
    kind = _REPLIES.get(case.kind)
    if kind is None:
        return Verdict("accepted")
    try:
        reply: Any = kind.FromString(answer.replies[0])
    except DecodeError as error:
        return Verdict("accepted", "", Problem("verdict", f"{case.kind}: undecodable reply", str(error)))
    if reply.HasField("error"):
        return Verdict("refused", reply.error.rule or f"code {reply.error.code}")
    return Verdict("accepted")


def _unnamed(case: WireCase, reason: str) -> Problem | None:
    """A bad message must have one of the reasons that there are; an empty packet is how a socket says that it ends."""
    if reason in _REASONS or (not reason and case.kind == "socket" and b"" in case.messages):
        return None
    return Problem("verdict", f"{case.kind}: no reason", f"the session was closed for {reason!r}")


def _secret(session: PeerSession, case: WireCase) -> Verdict:
    session.metadata = ((SESSION_METADATA, case.messages[1]),)
    answer = session.call("CreateTensor", case.messages[:1])
    if answer.code is grpc.StatusCode.UNAUTHENTICATED:
        return Verdict("refused", answer.code.name)
    what = f"without the secret: {answer.code.name} {answer.details}"
    return Verdict("accepted", "", Problem("verdict", "secret", what))


def _greeting(session: PeerSession, case: WireCase) -> Verdict:
    """A session that begins in another way than all others."""
    session.socket.send(case.messages[0])
    reason, field = session.closed()
    what = f"the session was closed for {reason!r} at {field}"
    problem = None if reason == case.expected else Problem("verdict", f"hello: {case.expected} / {reason}", what)
    return Verdict("bad_message", reason, problem)


def _send_raw(address: str, data: bytes) -> None:
    """Bytes to gRPC's socket, and what comes back is not looked at: gRPC may say anything, or hang up."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(_FRAME_SECONDS)
        sock.connect(address.removeprefix("unix:"))
        with contextlib.suppress(OSError):  # it may hang up at any byte
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(65536):
                pass


def _tensor(session: PeerSession, context: bytes, descriptor: Descriptor = TENSOR, *, usable: bool = True) -> bytes:
    request = context_pb2.CreateTensorRequest(
        context=context, descriptor=encode_descriptor(descriptor), readable=usable, writable=usable
    )
    return _token(session.call("CreateTensor", [request.SerializeToString()]))


def _constant_tensor(session: PeerSession, context: bytes) -> bytes:
    request = context_pb2.CreateConstantTensorRequest(
        context=context, descriptor=encode_descriptor(TENSOR), region=session.offer(bytes(64))
    )
    return _token(session.call("CreateConstantTensor", [request.SerializeToString()]))


def _token(answer: Answer) -> bytes:
    if answer.code is not grpc.StatusCode.OK:
        raise PeerError(f"no tensor: {answer.code.name} {answer.details}")
    return bytes(context_pb2.CreateTensorReply.FromString(answer.replies[0]).tensor.token)


_RELU = Graph(
    operands=[TENSOR, TENSOR],
    inputs=[("x", 0)],
    operations=[Operation(REGISTRY["relu"], {"input": 0}, {}, (1,))],
    outputs=[("y", 1)],
)


def _graph(session: PeerSession, context: bytes) -> bytes:
    data = encode_graph(_RELU).SerializeToString()
    chunk = context_pb2.CreateGraphChunk(context=context, total_bytes=len(data), data=data)
    answer = session.call("CreateGraph", [chunk.SerializeToString()])
    if answer.code is not grpc.StatusCode.OK:
        raise PeerError(f"no graph: {answer.code.name} {answer.details}")
    return bytes(context_pb2.CreateGraphReply.FromString(answer.replies[0]).graph.token)


_OBJECTS: Mapping[str, Callable[[PeerSession, bytes], bytes]] = {
    "a": _tensor,
    "b": _tensor,
    "plain": partial(_tensor, usable=False),
    "wide": partial(_tensor, descriptor=WIDE_TENSOR),
    "constant": _constant_tensor,
    "graph": _graph,
    "region": lambda session, _: session.offer(bytes(REGION_BYTES)),
}
"""What attacks name: made where one of them does."""
