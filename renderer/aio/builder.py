"""The builder of the asyncio twin."""

from __future__ import annotations

from collections.abc import Mapping

from renderer._builder import BuilderCore
from renderer._promises import start
from renderer.aio._outcomes import outcome
from renderer.aio.context import MLContext
from renderer.graph import MLGraph
from renderer.operand import MLOperand


class MLGraphBuilder(BuilderCore):
    """`renderer.MLGraphBuilder`, with `build` as a coroutine."""

    def __init__(self, context: MLContext) -> None:
        """A builder of graphs for a context.

        Raises:
            InvalidStateError: the context is lost.
        """
        super().__init__(context)

    async def build(self, outputs: Mapping[str, MLOperand]) -> MLGraph:
        """See `renderer.MLGraphBuilder.build`."""
        return await outcome(start(self._begin_build(outputs)), MLGraph.destroy)
