"""Promises of the core, awaited by an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from typing import Any, Generic, TypeVar

from renderer._promises import Promise, discard_later

T = TypeVar("T")


async def outcome(promise: Promise[T], discard: Callable[[T], None] | None = None) -> T:
    """What the promise brings. Cancelled, it goes on; `discard` takes what it brings then."""
    try:
        return await asyncio.wrap_future(promise)
    except asyncio.CancelledError:
        if discard is not None:
            discard_later(promise, discard)
        raise


class Shielded(Generic[T]):
    """An awaitable for any number of tasks and loops: cancelling one of them leaves it as it is."""

    def __init__(self, promise: Promise[T]) -> None:
        self._promise = promise

    def __await__(self) -> Generator[Any, None, T]:
        return asyncio.wrap_future(self._promise).__await__()

    def done(self) -> bool:
        """Whether awaiting it returns at once."""
        return self._promise.done()
