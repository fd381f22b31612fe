"""Where contexts come from: the host, one session per backend, and the next one when a session is lost."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from ipc.errors import InvalidStateError, MLTypeError
from ipc.generated.webnn.v1 import context_pb2
from ipc.options import BACKEND_NAMES, HostOptions, OptionsError
from ipc.timeline import CARRIERS
from renderer._context import ContextCore
from renderer._context_state import ContextOptions
from renderer._conversions import to_choice
from renderer._host import HostConnection
from renderer._ownership import Owned
from renderer._promises import Promise, start
from renderer._session import Session
from renderer._tracing import traced

Context = TypeVar("Context", bound=ContextCore)

POWER_PREFERENCES = ("default", "high-performance", "low-power")
_OF_RENDERER = {"backend", "carrier", "spin_us"}  # options that mean something where the host is another's


class MLCore(Owned):
    """What `ML` is in both faces of the API."""

    _default_socket: ClassVar[Path | None] = None

    def __init__(self, *, socket: str | os.PathLike[str] | None = None, **options: Any) -> None:
        """Nothing is started before the first context is created.

        Args:
            socket: the broker's socket of a host that runs already; without it a host process is started.
            options: how the host runs: the members of `ipc.options.HostOptions`. Beside `socket` only `backend`,
                `carrier` and `spin_us`, the defaults of contexts.

        Raises:
            MLTypeError: an option is unknown or has a wrong value.
        """
        path = MLCore._default_socket if socket is None else Path(socket)
        if path is not None and (foreign := sorted(options.keys() - _OF_RENDERER)):
            raise MLTypeError(f"ML: the host at {path} has its own options: {', '.join(foreign)}")
        try:
            self._options = HostOptions(**options)
        except (TypeError, OptionsError) as error:
            raise MLTypeError(f"ML: {error}") from None
        super().__init__()
        self._path = path
        self._backend = options.get("backend", "")
        self._lock = threading.Lock()
        self._connection: HostConnection | None = None
        self._sessions: dict[str, Promise[Session]] = {}

    @classmethod
    def attach_by_default(cls, socket: str | os.PathLike[str]) -> None:
        """Make `ML()`, in this process and from now on, attach to a host that runs already. An extension."""
        MLCore._default_socket = Path(socket)

    @property
    def host_pid(self) -> int | None:
        """Process id of the host; None before the first context. An extension."""
        return None if self._connection is None else self._connection.pid

    def _close(self) -> Promise[None]:
        """End the host, if it was started here; contexts are lost. Resolves when nothing of it is left."""
        self._check_process()
        self._destroyed = True
        with self._lock:
            connection = self._connection
        if connection is not None:
            return connection.close()
        closed: Promise[None] = Promise()
        closed.resolve(None)
        return closed

    async def _status(self) -> dict[str, Any]:
        return await self._connect().status()

    async def _create_context(
        self,
        face: type[Context],
        *,
        backend: str | None,
        power_preference: str,
        accelerated: bool,
        carrier: str | None,
        experimental_int4: bool,
    ) -> Context:
        options = ContextOptions(
            power_preference=to_choice(power_preference, POWER_PREFERENCES, "power_preference"),
            accelerated=bool(accelerated),
            carrier=to_choice(self._options.carrier if carrier is None else carrier, CARRIERS, "carrier"),
            experimental_int4=bool(experimental_int4),
            spin_us=self._options.spin_us,
        )
        if not isinstance(backend, str | None):
            raise MLTypeError(f"backend: a name, not {backend!r}")
        wanted = self._backend if backend is None else backend
        session = await self._session(wanted)
        try:
            reply = await self._ask(session, options)
        except InvalidStateError:
            # The process that this session led to has just died: not what was asked for, and another can be made.
            session = await self._session(wanted)
            reply = await self._ask(session, options)
        return traced(face)(self, session, reply.context, options)

    def _ask(self, session: Session, options: ContextOptions) -> Promise[Any]:
        preference = options.power_preference.upper().replace("-", "_")
        request = context_pb2.CreateContextRequest(
            backend=session.backend,
            power_preference=f"POWER_PREFERENCE_{preference}",
            accelerated=options.accelerated,
            carrier=f"CARRIER_{options.carrier.upper()}",
            experimental_int4=options.experimental_int4,
        )
        return session.call(session.stub.CreateContext, request)

    async def _session(self, backend: str) -> Session:
        connection = self._connect(wanted=backend or self._options.backend)
        with self._lock:
            opening = self._sessions.get(backend)
            if opening is None or (opening.done() and _is_over(opening)):
                opening = self._sessions[backend] = start(connection.open_session(backend))
        return await opening

    def _connect(self, wanted: str = "") -> HostConnection:
        """The host, started if need be; the GPU process of the backend `wanted` is started together with it."""
        self._check_process()
        with self._lock:
            if self._destroyed:
                raise InvalidStateError("the ML object was destroyed")
            if self._connection is None or self._connection.ended:
                if self._connection is not None:
                    self._connection.close()
                if self._path is None:
                    # A name that is none is refused by the host, which knows how to say so.
                    prepare = wanted if wanted in BACKEND_NAMES else ""
                    self._connection = HostConnection.start(self._options, prepare)
                else:
                    self._connection = HostConnection.attach(self._path)
            return self._connection

    def _forget(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {'in a process of its own' if self._path is None else f'at {self._path}'}>"


def _is_over(opening: Promise[Session]) -> bool:
    return opening.exception() is not None or opening.result().lost.done()
