"""The builder of the blocking API."""

from __future__ import annotations

from collections.abc import Mapping

from renderer._builder import BuilderCore
from renderer._promises import start, wait
from renderer.context import MLContext
from renderer.graph import MLGraph
from renderer.operand import MLOperand


class MLGraphBuilder(BuilderCore):
    """Records a graph, operation by operation, and builds it once.

    Source: WebNN, `MLGraphBuilder`.
    """

    def __init__(self, context: MLContext) -> None:
        """A builder of graphs for a context.

        Raises:
            InvalidStateError: the context is lost.
        """
        super().__init__(context)

    def build(self, outputs: Mapping[str, MLOperand], *, timeout: float | None = None) -> MLGraph:
        """Compile what the outputs depend on; what they don't is no part of the graph.

        Args:
            outputs: operands by the names that they have in `dispatch`. One operand may have two.
            timeout: seconds.

        Raises:
            MLTypeError: no outputs, an empty name, an operand of another builder, an input or a constant, or a constant
                tensor that is destroyed. The builder stays open.
            InvalidStateError: the builder has built, or its context is lost.
            OperationError: the backend can't compile it. The builder is closed.
            TimeoutError: it took longer than `timeout` seconds.

        Source: WebNN, `MLGraphBuilder.build`.
        """
        return wait(start(self._begin_build(outputs)), timeout, MLGraph.destroy)
