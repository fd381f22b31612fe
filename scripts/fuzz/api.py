"""Cases through the public API, as a user's script would run them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from ipc.descriptors import DataType, Descriptor
from ipc.graph import Graph, OperandId, Operation, SlotOperands
from renderer import MLContext, MLGraph, MLGraphBuilder, MLOperand, MLTensor
from scripts.fuzz.case import GraphCase, argument
from scripts.fuzz.evaluation import Array, as_array

_POOLED = 2048  # tensors; half of a context's quota
_SECONDS = 30.0


class Runner:
    """Builds and runs cases in one context, whose tensors it uses again: creating one costs more than a small graph."""

    def __init__(self, context: MLContext) -> None:
        self.context = context
        self._pool: dict[Descriptor, list[MLTensor]] = defaultdict(list)
        self._pooled = 0

    def run(self, case: GraphCase) -> dict[str, Array]:
        """The outputs by name, as they are stored.

        Raises:
            MLError: a method of the API does.
        """
        graph = build(self.context, case)
        try:
            return self._compute(graph, case)
        finally:
            graph.destroy()

    def _compute(self, graph: MLGraph, case: GraphCase) -> dict[str, Array]:
        taken: list[MLTensor] = []
        inputs = {name: self._tensor(descriptor, taken) for name, descriptor in graph.inputs.items()}
        outputs = {name: self._tensor(descriptor, taken) for name, descriptor in graph.outputs.items()}
        for name, tensor in inputs.items():
            self.context.write_tensor(tensor, case.inputs[name])
        self.context.dispatch(graph, inputs, outputs)
        descriptors = graph.outputs
        results = {
            name: as_array(self.context.read_tensor(tensor, timeout=_SECONDS).tobytes(), descriptors[name])
            for name, tensor in outputs.items()
        }
        for tensor, descriptor in zip(taken, (*graph.inputs.values(), *descriptors.values()), strict=True):
            self._pool[descriptor].append(tensor)
        return results

    def _tensor(self, descriptor: Descriptor, taken: list[MLTensor]) -> MLTensor:
        free = self._pool[descriptor]
        if free:
            tensor = free.pop()
        else:
            if self._pooled >= _POOLED:
                self.clear(keep=taken)
            tensor = self.context.create_tensor(descriptor, readable=True, writable=True, timeout=_SECONDS)
            self._pooled += 1
        taken.append(tensor)
        return tensor

    def clear(self, keep: list[MLTensor] | None = None) -> None:
        """Destroy all tensors but those in use."""
        for tensors in self._pool.values():
            for tensor in tensors:
                tensor.destroy()
        self._pool.clear()
        self._pooled = len(keep or [])

    def settle(self) -> None:
        """Destroy all tensors; what was issued before is done when this returns, but for the last of them."""
        self.clear()
        descriptor = Descriptor(DataType.UINT8, (1,))
        last = self.context.create_tensor(descriptor, readable=True, timeout=_SECONDS)
        self.context.read_tensor(last, timeout=_SECONDS)
        last.destroy()


def build(context: MLContext, case: GraphCase) -> MLGraph:
    """Record a case with a builder and build it.

    Raises:
        MLError: the builder or the GPU process refuses it.
    """
    builder, operands = record(context, case)
    outputs = {name: operands[operand] for name, operand in case.graph.outputs}
    return builder.build(outputs, timeout=_SECONDS)


def record(context: MLContext, case: GraphCase) -> tuple[MLGraphBuilder, dict[OperandId, MLOperand]]:
    """A builder that has recorded a case, and its operands by the case's ids.

    Raises:
        MLTypeError: a rule is broken.
    """
    graph, builder = case.graph, MLGraphBuilder(context)
    operands = leaves(graph, case.constants, builder)
    for operation in graph.operations:
        made = getattr(builder, operation.operator.name)(**arguments(operation, operands))
        results = made if isinstance(made, list) else [made]
        operands.update(zip(operation.outputs, results, strict=True))
    return builder, operands


def leaves(graph: Graph, constants: Mapping[OperandId, bytes], builder: MLGraphBuilder) -> dict[OperandId, MLOperand]:
    operands = {operand: builder.input(name, graph.operands[operand]) for name, operand in graph.inputs}
    for operand, data in constants.items():
        operands[operand] = builder.constant(graph.operands[operand], data)
    return operands


def arguments(operation: Operation, operands: Mapping[OperandId, Any]) -> dict[str, Any]:
    """The arguments of the builder's method, by name; what is absent or the default is left out."""

    def of(value: SlotOperands) -> Any:
        return [operands[each] for each in value] if isinstance(value, tuple) else operands[value]  # type: ignore[index]

    given = {name: of(value) for name, value in operation.operands.items() if value is not None}
    for name, attribute in operation.operator.attributes.items():
        value = operation.attributes[name]
        if value is not None and (name in operation.operator.positional or repr(value) != repr(attribute.default)):
            given[name] = argument(attribute, value)
    if operation.label:
        given["label"] = operation.label
    return given
