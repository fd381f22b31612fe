"""The service of a GPU process: a gRPC server, the sessions that it serves, and what happens when something is wrong.

Three outcomes, never another one: a reply, which may hold an `Error`; a bad message, which ends the session; an
internal error, which ends the process at once, because state that nobody foresaw is not to be trusted any more. No
traceback crosses the boundary.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Self, cast

import grpc
from google.protobuf.message import Message

from gpu_process import calls, recording
from gpu_process.admission import Admission, Strangers, executed_by
from gpu_process.backends import Backend
from gpu_process.context import Context, ContextEnded
from gpu_process.poller import Poller
from gpu_process.quotas import Account, Quotas
from gpu_process.recording import recorded_call
from gpu_process.running_note import Running, Work
from gpu_process.session import Report, Session, SessionEnded
from gpu_process.timeline import execute_batches
from gpu_process.warming import use_once
from ipc.channel import CONTEXT_METADATA, SERVER_OPTIONS, SESSION_METADATA, pair
from ipc.codec import decode_token, encode_error, parse
from ipc.errors import QuotaExceededError
from ipc.generated.webnn.v1 import context_pb2
from ipc.options import DEFAULT_SPIN_US
from ipc.verdicts import BadMessage, BadMessageReason

logger = logging.getLogger(__name__)

_PREFIX = "/webnn.v1.WebNN/"
_WARM_UP_SESSION = 0  # the host counts from 1
_STOP_SECONDS = 5.0

if TYPE_CHECKING:
    _GenericRpcHandler = grpc.GenericRpcHandler[bytes, bytes]
else:
    _GenericRpcHandler = grpc.GenericRpcHandler

_Call = Callable[[calls.Service, Session, Any], Message]
_Answer = Callable[[Session, Admission, Iterator[bytes]], Message]

_CREATES: Mapping[str, tuple[type[Message], type[Message], _Call]] = {
    "CreateContext": (context_pb2.CreateContextRequest, context_pb2.CreateContextReply, calls.create_context),
    "CreateTensor": (context_pb2.CreateTensorRequest, context_pb2.CreateTensorReply, calls.create_tensor),
    "CreateConstantTensor": (
        context_pb2.CreateConstantTensorRequest,
        context_pb2.CreateTensorReply,
        calls.create_constant_tensor,
    ),
    "DefineBindings": (
        context_pb2.DefineBindingsRequest,
        context_pb2.DefineBindingsReply,
        calls.define_bindings,
    ),
}
_METHODS = frozenset(_CREATES) | {"DestroyContext", "CreateGraph", "Timeline"}

_CALL_SECONDS = 0.3e-3  # that gRPC's own threads work for a call, which theirs cannot be asked


class _Abandoned(Exception):  # noqa: N818 - not an error of ours
    """A call ended before its request came."""


class GpuService(_GenericRpcHandler):
    """Serves renderers over a Unix domain socket below `run_directory`.

    Attributes:
        address: gRPC's name of the socket.
        poller: serves rings.
    """

    def __init__(
        self,
        backends: Mapping[str, Backend],
        *,
        run_directory: Path,
        quotas: Quotas | None = None,
        report: Report = lambda _number, _reason, _field: None,
        in_place: bool = True,
        running: Running = lambda _session, _work=Work.COMMANDS: None,
        spin_us: int = DEFAULT_SPIN_US,
        abort: Callable[[], object] = os.abort,
    ) -> None:
        """Nothing is served before `start`.

        Args:
            report: told once for each session that has ended, in any thread.
            in_place: False keeps all graphs from memory that a renderer can change.
            running: told the number of the session that work begins for, and 0 when it is over.
            spin_us: microseconds for which rings are polled before the thread that does it sleeps.
            abort: ends the process after an internal error; it may return in a test only.
        """
        self.address = f"unix:{run_directory / 'gpu.sock'}"
        self._quotas = quotas or Quotas()
        self._report = report
        self._abort = abort
        self._shared = calls.Service(backends, in_place, running)
        self.poller = Poller(spin_us / 1e6, self._guarded)
        self._sessions: dict[int, Session] = {}
        self._lock = threading.Lock()
        # A timeline holds a thread for as long as its context lives, and a call for as long as its sender takes to say
        # what it wants; all that quotas allow must find one.
        workers = self._quotas.calls_at_once
        self._workers = ThreadPoolExecutor(workers, thread_name_prefix="webnn-call")
        self._strangers = Strangers()
        self._refuse = executed_by(self._strangers, partial(_refuse))
        self._server = grpc.server(
            self._workers,
            handlers=[self],
            # A connection is a descriptor, and comes before any secret; a renderer needs one for each of its sessions.
            options=(*SERVER_OPTIONS, ("grpc.max_allowed_incoming_connections", 2 * self._quotas.sessions + 1)),
            maximum_concurrent_rpcs=workers,
        )

    def start(self) -> None:
        """Begin to serve.

        Raises:
            OSError: the socket can't be bound.
        """
        try:
            bound = self._server.add_insecure_port(self.address)
        except RuntimeError as error:
            raise OSError(f"{self.address} can't be bound: {error}") from error
        if not bound:
            raise OSError(f"{self.address} can't be bound")
        threading.Thread(target=self._guarded, args=(self._strangers.run,), name="webnn-strangers", daemon=True).start()
        self._server.start()

    def warm_up(self) -> None:
        """Call itself over gRPC: what is imported or opened on first use is there before the sandbox closes."""
        ours, theirs = pair()
        self.adopt_session(_WARM_UP_SESSION, theirs)
        use_once(ours, next(iter(self._shared.backends)))

    def adopt_session(self, number: int, sock: socket.socket) -> None:
        """Serve the renderer at the other end of `sock`, which is taken over; a session too many is closed at once."""
        session = Session(number, sock, self.address, self._quotas, self._session_ended, self)
        with self._lock:
            admitted = len(self._sessions) < self._quotas.sessions
            if admitted:
                self._sessions[number] = session
        if not admitted:
            logger.warning("session %d: too many sessions", number)
            session.end()
        thread = threading.Thread(
            target=self._guarded, args=(session.run,), name=f"webnn-session-{number}", daemon=True
        )
        try:
            thread.start()
        except RuntimeError as error:  # Python's word for no memory
            logger.warning("session %d: %s", number, error)
            session.abandon()

    def end_session(self, number: int) -> None:
        """End a session on the host's behalf; nothing if it has ended."""
        session = self._sessions.get(number)
        if session is not None:
            session.end()

    def status(self) -> dict[str, object]:
        """Backends and sessions, for diagnostics; JSON-ready."""
        with self._lock:
            sessions = list(self._sessions.values())
        return {
            "backends": {name: backend.version for name, backend in self._shared.backends.items()},
            "sessions": [session.status() for session in sessions],
        }

    def stop(self) -> None:
        """End all sessions and the server."""
        with self._lock:
            sessions = list(self._sessions.values())
        for session in sessions:
            session.end()
        self.poller.stop()
        self._server.stop(grace=None).wait(_STOP_SECONDS)
        self._strangers.end()
        self._workers.shutdown(wait=False)  # a command that runs ends its thread when it is done

    def _session_ended(self, number: int, reason: str, field: str) -> None:
        with self._lock:
            self._sessions.pop(number, None)
        if number != _WARM_UP_SESSION:
            recording.session_over(number, reason, field)
            self._report(number, reason, field)

    # --- gRPC ---------------------------------------------------------------------------------------------------------

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes] | None:
        """Whoever calls must prove its session; only then a byte of what it sends is looked at.

        Requests come as bytes: they are parsed by us, so that one that can't be is a bad message and not gRPC's error.
        """
        metadata = dict(details.invocation_metadata or ())
        session = self._session_of(metadata.get(SESSION_METADATA))
        name = details.method.removeprefix(_PREFIX)
        if name not in _METHODS:
            return None  # gRPC replies UNIMPLEMENTED
        # All are streams of requests here: for a single one, gRPC would wait in a thread before anything is charged.
        if session is None:
            is_duplex = name == "Timeline"
            kind = grpc.stream_stream_rpc_method_handler if is_duplex else grpc.stream_unary_rpc_method_handler
            return kind(self._refuse)
        handler = self._handler(name, session, metadata)
        return cast("grpc.RpcMethodHandler[bytes, bytes]", recorded_call(handler, session.number, name, metadata))

    def _handler(self, name: str, session: Session, metadata: Mapping[str, Any]) -> grpc.RpcMethodHandler[bytes, bytes]:
        if name == "Timeline":
            context = metadata.get(CONTEXT_METADATA, b"")
            return grpc.stream_stream_rpc_method_handler(partial(self._timeline, session, context))
        answers: Mapping[str, tuple[Account, _Answer]] = {
            "CreateGraph": (session.builds, self._create_graph),
            "DestroyContext": (session.ends, self._destroy_context),
        }
        account, answer = answers.get(name) or (session.calls, partial(self._create, name))
        admission = Admission(account, self._workers)
        behaviour = partial(self._answer, session, admission, answer)
        return grpc.stream_unary_rpc_method_handler(executed_by(admission, behaviour))

    def _session_of(self, secret: object) -> Session | None:
        if not isinstance(secret, bytes):
            return None
        with self._lock:
            sessions = list(self._sessions.values())
        found = None
        for session in sessions:  # all of them, whoever it is
            if session.admits(secret):
                found = session
        return found

    def _answer(
        self,
        session: Session,
        admission: Admission,
        answer: _Answer,
        requests: Iterator[bytes],
        call: grpc.ServicerContext,
    ) -> bytes:
        """The serialised reply of a call; every way in which it can end is here."""
        with _Verdict(self, session, call) as verdict:
            return answer(session, admission, requests).SerializeToString()
        return verdict.abort()

    def _create(self, name: str, session: Session, admission: Admission, requests: Iterator[bytes]) -> Message:
        request_type, reply_type, function = _CREATES[name]
        try:
            with admission.place():
                request = _request(requests)
                with session.pace.work(_CALL_SECONDS):
                    return function(self._shared, session, parse(request_type, request))
        except QuotaExceededError as error:
            return reply_type(error=encode_error(error))

    def _destroy_context(self, session: Session, admission: Admission, requests: Iterator[bytes]) -> Message:
        with admission.place():
            request = _request(requests)
            with session.pace.work(_CALL_SECONDS):
                return calls.destroy_context(self._shared, session, parse(context_pb2.DestroyContextRequest, request))

    def _create_graph(self, session: Session, admission: Admission, chunks: Iterator[bytes]) -> Message:
        try:
            with admission.place(), session.pace.work(_CALL_SECONDS):
                return calls.create_graph(self._shared, session, chunks)
        except QuotaExceededError as error:
            return context_pb2.CreateGraphReply(error=encode_error(error))

    def _timeline(
        self, session: Session, context_token: object, batches: Iterator[bytes], call: grpc.ServicerContext
    ) -> Iterator[bytes]:
        context: Context | None = None
        with _Verdict(self, session, call) as verdict:
            try:
                if not isinstance(context_token, bytes):
                    raise BadMessage(BadMessageReason.INVALID_TOKEN, CONTEXT_METADATA)
                context = session.context(decode_token(context_token, CONTEXT_METADATA))
                context.claim_timeline()
                yield from execute_batches(context, batches, partial(self.running, session.number), session.floor)
            except ContextEnded as ended:
                logger.debug("session %d: %s", session.number, ended)  # the stream just ends
            finally:
                if context is not None:
                    session.end_context(context)
            return
        verdict.abort()

    def done_by_others(self, number: int) -> int:
        """How many commands of sessions but this one have been executed, in contexts that have not ended."""
        with self._lock:
            sessions = list(self._sessions.values())
        return sum(session.done() for session in sessions if session.number != number)

    def running(self, number: int, begins: bool) -> None:
        """Commands of a session are executed by this thread, or no more."""
        self._shared.running(number if begins else 0)

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            self.internal_error(error)

    def internal_error(self, error: BaseException) -> None:
        """What nobody foresaw: end the process, never carry on in doubt."""
        logger.critical("internal error, the process ends", exc_info=error)
        logging.shutdown()
        self._abort()


class _Verdict:
    """Turns whatever ends a call into one of the outcomes; `abort` then tells gRPC."""

    def __init__(self, service: GpuService, session: Session, call: grpc.ServicerContext) -> None:
        self._service = service
        self._session = session
        self._call = call
        self._status = (grpc.StatusCode.INTERNAL, "internal error")

    def __enter__(self) -> Self:
        try:
            self._session.enter(self._call)
        except SessionEnded:
            self._call.abort(grpc.StatusCode.UNAVAILABLE, "the session has ended")
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> bool:
        self._session.leave(self._call)
        if error is None or isinstance(error, GeneratorExit):
            return False
        if isinstance(error, BadMessage):
            verdict = self._session.close_for(error)
            self._status = (grpc.StatusCode.FAILED_PRECONDITION, verdict.reason.value)
        elif isinstance(error, _Abandoned):
            self._status = (grpc.StatusCode.CANCELLED, "nothing was asked")
        elif isinstance(error, QuotaExceededError):
            self._status = (grpc.StatusCode.RESOURCE_EXHAUSTED, str(error))
        elif isinstance(error, SessionEnded) or (isinstance(error, grpc.RpcError) and not self._call.is_active()):
            self._status = (grpc.StatusCode.UNAVAILABLE, "the session has ended")
        else:
            self._service.internal_error(error)
        return True

    def abort(self) -> NoReturn:
        """End the call with the status of its failure."""
        self._call.abort(*self._status)


def _request(requests: Iterator[bytes]) -> bytes:
    request = next(requests, None)
    if request is None:
        raise _Abandoned
    return request


def _refuse(requests: object, call: grpc.ServicerContext) -> NoReturn:
    del requests
    call.abort(grpc.StatusCode.UNAUTHENTICATED, "no such session")
