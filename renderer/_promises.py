"""Promises: the one core under the blocking API and its asyncio twin.

What the specification calls a promise method is written once, as a coroutine that awaits `Promise`s. `start` runs it as
a browser does: at once up to its first unsettled promise, and on from there in whichever thread settles that. The
blocking API waits for the outcome, the asyncio twin awaits it.
"""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from typing import Any, Generic, TypeVar

from ipc.errors import MLError

T = TypeVar("T")


class Promise(concurrent.futures.Future[T], Generic[T]):
    """A future that is settled once; who comes later is not heard. It can't be cancelled: work under way goes on."""

    _done_callbacks: list[Callable[[concurrent.futures.Future[T]], object]]

    def __init__(self) -> None:
        super().__init__()
        self.set_running_or_notify_cancel()

    def resolve(self, value: T) -> bool:
        """Settle with a value; whether this was the first to settle it."""
        return self._settle(self.set_result, value)

    def reject(self, error: BaseException) -> bool:
        """Settle with an exception; whether this was the first to settle it."""
        return self._settle(self.set_exception, error)

    def _settle(self, settle: Callable[[Any], None], outcome: object) -> bool:
        try:
            settle(outcome)
        except concurrent.futures.InvalidStateError:
            return False
        # A future keeps its callbacks, and they keep what came of it: cycles, freed by no `del` of the caller's.
        self._done_callbacks.clear()
        return True

    def __await__(self) -> Generator[Promise[T], None, T]:
        if not self.done():
            yield self
        return self.result()


def start(coroutine: Coroutine[Promise[Any], None, T]) -> Promise[T]:
    """Run a coroutine that awaits only promises; what it returns or raises settles the result."""
    outcome: Promise[T] = Promise()
    _step(coroutine, outcome)
    return outcome


def _step(coroutine: Coroutine[Promise[Any], None, T], outcome: Promise[T], _: object = None) -> None:
    # A function and no closure over itself: that would be a cycle, and what it made would wait for a collection.
    try:
        awaited = coroutine.send(None)
    except StopIteration as end:
        outcome.resolve(end.value)
    except BaseException as error:  # handed on, not swallowed: KeyboardInterrupt reaches the caller as it is
        outcome.reject(error)
    else:
        awaited.add_done_callback(partial(_step, coroutine, outcome))


def wait(promise: Promise[T], timeout: float | None, discard: Callable[[T], None] | None = None) -> T:
    """Block until the promise is settled.

    Args:
        timeout: seconds; None waits as long as it takes.
        discard: takes the value that comes after the caller has given up.

    Raises:
        TimeoutError: it was not settled in time; what was begun goes on.
    """
    try:
        return promise.result(timeout)
    except MLError as error:
        raise error.with_traceback(None) from error.__cause__  # a caller's mistake: our frames only hide it
    except BaseException:
        if discard is not None:
            discard_later(promise, discard)
        raise
    finally:
        del promise  # the exception's traceback refers to this frame: no cycle through it


def discard_later(promise: Promise[T], discard: Callable[[T], None]) -> None:
    """Dispose of the value that a promise brings after nobody waits for it any more."""

    def settled(done: concurrent.futures.Future[T]) -> None:
        if done.exception() is None:
            discard(done.result())

    promise.add_done_callback(settled)
