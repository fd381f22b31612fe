"""Which calls get a thread. None does without a session, or beyond what the session may have under way.

A call that is refused costs next to nothing: it is answered where gRPC announces it, before a thread is woken and
before its request is asked for. Whoever floods with such calls takes little from the others.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, TypeVar

from gpu_process.quotas import Account
from ipc.errors import QuotaExceededError

_WAITING: Final = 256
"""Calls of strangers that wait for their refusal; who sends more at once has them refused without."""

_REST: Final = 0.002
"""Seconds between two of them."""

_Behaviour = TypeVar("_Behaviour", bound=Callable[..., Any])


class OnTheSpot(ThreadPoolExecutor):
    """Executes at once, in the thread that submits. It has no threads, only the type that gRPC asks for."""

    def __init__(self) -> None:
        """Without the base's, which would prepare for threads."""

    def submit(self, task: Callable[..., Any], /, *args: Any, **named: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(task(*args, **named))  # gRPC's tasks raise nothing
        return done


class Strangers(OnTheSpot):
    """Has one thread refuse calls, one by one and in no hurry: so long as they wait, their sender sends no more.

    To gRPC a call that waits here is done, so that these are not among those that it counts.
    """

    def __init__(self) -> None:
        super().__init__()
        self._waiting: queue.Queue[Callable[[], object] | None] = queue.Queue(_WAITING)
        self._over = threading.Event()

    def submit(self, task: Callable[..., Any], /, *args: Any, **named: Any) -> Future[Any]:
        try:
            self._waiting.put_nowait(partial(task, *args, **named))
        except queue.Full:
            return super().submit(task, *args, **named)
        return super().submit(lambda: None)

    def run(self) -> None:
        """Refuse, until `end`."""
        while (refuse := self._waiting.get()) is not None:
            refuse()
            self._over.wait(_REST)

    def end(self) -> None:
        """All who wait are refused at once, and `run` returns. Any thread may, once."""
        self._over.set()
        self._waiting.put(None)


class Admission(OnTheSpot):
    """Of one call: its place among those that its session may have under way, taken before a thread is."""

    def __init__(self, account: Account, workers: ThreadPoolExecutor) -> None:
        super().__init__()
        self._account = account
        self._workers = workers
        self._is_charged = False
        self._refusal: QuotaExceededError | None = None

    def submit(self, task: Callable[..., Any], /, *args: Any, **named: Any) -> Future[Any]:
        try:
            self._charge()
        except QuotaExceededError as refusal:
            self._refusal = refusal
            return super().submit(task, *args, **named)
        return self._workers.submit(task, *args, **named)

    @contextmanager
    def place(self) -> Iterator[None]:
        """The call has its place within this; it must be back before the sender hears, who may call again.

        Raises:
            QuotaExceededError: there is none, and nothing that could wait may be done.
        """
        if self._refusal is not None:
            raise self._refusal
        if not self._is_charged:  # somebody stands between gRPC and us, and has not passed the executor on
            self._charge()
        try:
            yield
        finally:
            self._is_charged = False
            self._account.credit(1)

    def _charge(self) -> None:
        self._account.charge(1)
        self._is_charged = True


def executed_by(executor: ThreadPoolExecutor, behaviour: _Behaviour) -> _Behaviour:
    """The behaviour of a call, which gRPC executes there and not in a thread of its server's."""
    behaviour.experimental_thread_pool = executor  # type: ignore[attr-defined]  # gRPC's name for it
    return behaviour
