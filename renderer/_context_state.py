"""The state of a context: what it was asked to be, what it owns, whether it is lost, and how it ends."""
# ruff: noqa: SLF001  a context, its tensors and its graphs are one room; the underscores keep users out

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from ipc.channel import CONTEXT_METADATA
from ipc.codec import decode_limits
from ipc.descriptors import Descriptor
from ipc.errors import InvalidStateError, MLTypeError
from ipc.generated.webnn.v1 import context_pb2
from ipc.operators import limits_to_json
from ipc.timeline import Binding, ClientTensor, TimelineClient, connect
from renderer._ownership import Owned
from renderer._promises import Promise
from renderer._session import Session
from renderer.graph import MLGraph
from renderer.tensor import MLTensor

if TYPE_CHECKING:
    from renderer._ml import MLCore

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class LostInfo:
    """Why a context was lost. Source: WebNN, `MLContextLostInfo`."""

    message: str


@dataclass(frozen=True, slots=True)
class ContextOptions:
    """What a context was asked to be."""

    power_preference: str
    accelerated: bool
    carrier: str
    experimental_int4: bool
    spin_us: int


class ContextState(Owned):
    """A context without what it does: that is in `ContextCore`."""

    def __init__(self, ml: MLCore, session: Session, info: context_pb2.ContextInfo, options: ContextOptions) -> None:
        super().__init__()
        self._ml = ml  # kept: the host must live as long as its contexts
        self._session = session
        self._options = options
        self._token = info.token
        self._backend = info.backend
        self._devices = tuple(info.devices)
        self._device_note = info.device_note
        with session.distrusting():
            self._limits = decode_limits(info.limits)
            ring = session.ring(info.token) if options.carrier == "ring" else None
        self._timeline: TimelineClient = connect(
            options.carrier,
            session.stub,
            (*session.metadata, (CONTEXT_METADATA, info.token)),
            session.fail,
            ring=ring,
            spin_us=options.spin_us,
        )
        self._lock = threading.Lock()
        self._losing = threading.Lock()  # taken by whoever loses the context, and never released
        self._lost_because: str | None = None
        self._lost: Promise[LostInfo] = Promise()
        self._pending: set[Promise[Any]] = set()
        self._tensors: weakref.WeakSet[MLTensor] = weakref.WeakSet()
        self._graphs: weakref.WeakSet[MLGraph] = weakref.WeakSet()
        self._checked: dict[tuple[object, ...], Binding] = {}  # dispatches that were found valid
        session.add_dependent(self)

    @property
    def accelerated(self) -> bool:
        """Whether acceleration was asked for. Source: WebNN, `MLContext.accelerated`."""
        return self._options.accelerated

    @property
    def backend(self) -> str:
        """The backend that computes. An extension."""
        return self._backend

    @property
    def carrier(self) -> str:
        """How commands and tensors travel. An extension."""
        return self._options.carrier

    @property
    def devices(self) -> tuple[str, ...]:
        """Where graphs can run. An extension."""
        return self._devices

    @property
    def device_note(self) -> str:
        """Why a device that was asked for is not used; empty if it is. An extension."""
        return self._device_note

    @property
    def gpu_process_pid(self) -> int:
        """Process id of the GPU process. An extension."""
        return self._session.gpu_process_pid

    def op_support_limits(self) -> dict[str, Any]:
        """Data types and ranks that each operand can have, in the specification's structure; JSON-ready.

        Source: WebNN, `MLContext.opSupportLimits`.
        """
        return limits_to_json(self._limits)

    def destroy(self) -> None:
        """Lose the context now: graphs and tensors are destroyed, pending calls raise InvalidStateError; idempotent.

        Source: WebNN, `MLContext.destroy`.
        """
        self._check_process()
        if self._lose("the context was destroyed"):
            self._session.call(
                self._session.stub.DestroyContext, context_pb2.DestroyContextRequest(context=self._token)
            )

    # --- checks ---------------------------------------------------------------------------------------------------

    def _check_open(self) -> None:
        self._check_process()
        if self._lost_because is not None:
            raise InvalidStateError(f"the context is lost: {self._lost_because}")

    def _check_dimensions(self, descriptor: Descriptor, what: str) -> None:
        problem = descriptor.problem(self._limits.max_tensor_byte_length)
        if problem is not None:
            raise MLTypeError(f"{what}: {descriptor}: {problem}")

    def _check_usable(self, tensor: MLTensor, what: str) -> None:
        if tensor._context is not self:
            raise MLTypeError(f"{what}: {tensor!r} belongs to another context")
        if tensor._destroyed:
            raise InvalidStateError(f"{what}: {tensor!r} is destroyed{self._lost_note()}")

    def _check_graph(self, graph: MLGraph, what: str) -> None:
        if graph._destroyed:
            raise InvalidStateError(f"{what}: {graph!r} is destroyed{self._lost_note()}")

    def _lost_note(self) -> str:
        return "" if self._lost_because is None else f": the context is lost: {self._lost_because}"

    # --- objects and their end ------------------------------------------------------------------------------------

    def _add(self, made: MLTensor | MLGraph, owned: weakref.WeakSet[Any]) -> None:
        with self._lock:
            made._destroyed = self._destroyed
            if not made._destroyed:
                owned.add(made)
                return
        self._check_open()

    def _destroy_tensor(self, tensor: MLTensor) -> None:
        self._check_process()
        with self._lock:
            if tensor._destroyed:
                return
            tensor._destroyed = True
            self._tensors.discard(tensor)
            self._free(self._timeline.destroy_tensor, tensor._handle)
        for read in list(tensor._reads):
            read.cancel()

    def _destroy_graph(self, graph: MLGraph) -> None:
        self._check_process()
        with self._lock:
            if graph._destroyed:
                return
            graph._destroyed = True
            self._graphs.discard(graph)
            self._free(self._timeline.destroy_graph, graph._token)
        for tensor in graph._every_own_tensor():
            tensor.destroy()

    def _free(self, destroy: Callable[[T], None], item: T) -> None:
        with contextlib.suppress(InvalidStateError):  # the context was lost in this moment, and all is freed with it
            destroy(item)

    def session_lost(self, reason: str) -> None:
        """The session has ended, and the context with it."""
        self._lose(reason)

    def _lose(self, reason: str) -> bool:
        """Settle `lost`, destroy graphs and tensors, fail what is pending; whether this was the loss."""
        if not self._losing.acquire(blocking=False):
            return False
        self._lost_because = reason
        error = InvalidStateError(f"the context is lost: {reason}")
        self._timeline.fail(error)  # first: it may be what the holder of the lock waits for
        with self._lock:
            self._destroyed = True
            owned, pending = [*self._tensors, *self._graphs], list(self._pending)
            for item in owned:
                item._destroyed = True
        for promise in pending:
            promise.reject(InvalidStateError(str(error)))
        self._lost.resolve(LostInfo(reason))
        return True

    # Called by garbage collection, which may come in the middle of a locked section: no lock here, the watcher acts.

    def _forget_tensor(self, handle: ClientTensor) -> None:
        self._checked = {}  # another object may get its address
        self._session.soon(lambda: self._free(self._timeline.destroy_tensor, handle))

    def _forget_graph(self, token: bytes) -> None:
        self._checked = {}
        self._session.soon(lambda: self._free(self._timeline.destroy_graph, token))

    def _forget(self) -> None:
        session, timeline, request = (
            self._session,
            self._timeline,
            context_pb2.DestroyContextRequest(context=self._token),
        )

        def destroy() -> None:
            timeline.fail(InvalidStateError("the context was forgotten"))
            session.call(session.stub.DestroyContext, request)

        session.soon(destroy)

    def __repr__(self) -> str:
        return f"<MLContext {self._backend} over {self.carrier}{', lost' if self._destroyed else ''}>"
