"""The entry of the asyncio twin."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from renderer._ml import MLCore
from renderer._promises import start
from renderer.aio._outcomes import outcome
from renderer.aio.context import MLContext


class ML(MLCore):
    """`renderer.ML`, with its blocking methods as coroutines; `async with` ends the host and waits for its end."""

    async def create_context(
        self,
        *,
        backend: str | None = None,
        power_preference: str = "default",
        accelerated: bool = True,
        carrier: str | None = None,
        experimental_int4: bool = False,
    ) -> MLContext:
        """See `renderer.ML.create_context`."""
        made = start(
            self._create_context(
                MLContext,
                backend=backend,
                power_preference=power_preference,
                accelerated=accelerated,
                carrier=carrier,
                experimental_int4=experimental_int4,
            )
        )
        return await outcome(made, MLContext.destroy)

    async def status(self) -> dict[str, Any]:
        """See `renderer.ML.status`."""
        return await outcome(start(self._status()))

    def destroy(self) -> None:
        """End the host, if it was started here; contexts are lost. Returns at once; idempotent."""
        self._close()

    async def wait_destroyed(self) -> None:
        """Destroy it, and wait until nothing of it is left."""
        await outcome(self._close())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.wait_destroyed()
