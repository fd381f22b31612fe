"""The renderer's API as something that vectors run in: builder calls here, computation in the GPU process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ipc.descriptors import Descriptor
from ipc.errors import MLTypeError
from ipc.operators import REGISTRY
from renderer import MLContext, MLGraph, MLGraphBuilder, MLOperand
from tests.conformance._runner import NotListedError
from tests.conformance._vectors import Array


class RendererContext:
    """A context of the API."""

    def __init__(self, context: MLContext) -> None:
        self._context = context

    def builder(self) -> RendererBuilder:
        return RendererBuilder(MLGraphBuilder(self._context))

    def compute(self, graph: MLGraph, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        """Written, dispatched and read; the graph is destroyed after its one use."""
        try:
            return self._context.compute(graph, {name: inputs[name] for name in graph.inputs})
        finally:
            graph.destroy()


class RendererBuilder:
    """A builder of the API."""

    def __init__(self, builder: MLGraphBuilder) -> None:
        self._builder = builder

    def input(self, name: str, descriptor: Descriptor) -> MLOperand:
        return self._builder.input(name, descriptor)

    def constant(self, descriptor: Descriptor, array: Array) -> MLOperand:
        return self._builder.constant(descriptor, array)

    def call(self, method: str, arguments: Sequence[Any], options: Mapping[str, Any]) -> Any:
        try:
            return getattr(self._builder, method)(*arguments, **options)
        except MLTypeError as error:
            raise _refusal(error, method, arguments, options) from error

    def build(self, outputs: Mapping[str, Any]) -> MLGraph:
        return self._builder.build(outputs)


def _refusal(error: MLTypeError, method: str, arguments: Sequence[Any], options: Mapping[str, Any]) -> Exception:
    """What the error says about support limits; the error itself where it says nothing about them."""
    _, _, rest = (error.rule or "").partition(".")
    slot, _, what = rest.partition(".")
    operand = {**dict(zip(REGISTRY[method].positional, arguments, strict=False)), **options}.get(slot)
    if what != "data_type" or not isinstance(operand, MLOperand):
        return error
    return NotListedError(method, slot, operand.data_type, str(error))
