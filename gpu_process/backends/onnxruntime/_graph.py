"""From a graph to ONNX nodes: every operation by its lowering, in order.

All names are generated: what a caller calls an input, an output or an operator never reaches the runtime.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gpu_process.backends._interface import Array, BackendError
from gpu_process.backends.onnxruntime import (  # noqa: F401 - importing a family registers its lowerings
    activation,
    casting,
    convolution,
    elementwise,
    indexing,
    logical,
    matrix,
    normalization,
    pooling,
    quantization,
    recurrent,
    reduction,
    resampling,
    shape,
)
from gpu_process.backends.onnxruntime._lowering import LOWERINGS, Lowering, Node
from gpu_process.backends.onnxruntime._values import Value
from ipc.graph import Graph, OperandId, SlotOperands


@dataclass(frozen=True, slots=True)
class LoweredGraph:
    """A graph as ONNX nodes.

    Attributes:
        nodes: those that the outputs need.
        inputs: by the caller's name, in order.
        outputs: likewise; no two share a value.
        initializers: by generated name, used or not: our own and the caller's constants, with their content.
    """

    nodes: Sequence[Node]
    inputs: Mapping[str, Value]
    outputs: Mapping[str, Value]
    initializers: Mapping[str, tuple[Value, Array]]


def lower(graph: Graph, constants: Mapping[OperandId, Array], *, guards: bool) -> LoweredGraph:
    """Lower a validated graph, in its order; cost and stack do not grow with depth.

    Raises:
        BackendError: an operation cannot be lowered.
    """
    inputs = {name: Value.described(f"v{operand}", graph.operands[operand]) for name, operand in graph.inputs}
    given = {operand: Value.described(f"c{operand}", graph.operands[operand]) for operand in constants}
    values = {operand: inputs[name] for name, operand in graph.inputs} | given
    node = Lowering.of_graph(given.values(), guards=guards)
    for index, operation in enumerate(graph.operations):
        node.operation = index
        node.outputs = [graph.operands[operand] for operand in operation.outputs]
        operands = (_values(values, operand) for operand in operation.operands.values())
        try:
            result = LOWERINGS[operation.operator](node, *operands, **operation.attributes)
        except BackendError as error:
            place = f"{operation.operator} [{operation.label}]" if operation.label else operation.operator.name
            raise BackendError(f"{place}: {error}") from error
        results = (result,) if isinstance(result, Value) else result
        values.update(zip(operation.outputs, results, strict=True))
    outputs = _distinct_outputs(node, [(name, values[operand]) for name, operand in graph.outputs])
    nodes = _needed(node.nodes, [value.name for value in outputs.values()])
    initializers = dict(node.initializers)
    initializers.update((value.name, (value, constants[operand])) for operand, value in given.items())
    return LoweredGraph(nodes, inputs, outputs, initializers)


def _values(values: Mapping[OperandId, Value], operand: SlotOperands) -> Value | tuple[Value, ...] | None:
    if operand is None:
        return None
    return tuple(values[each] for each in operand) if isinstance(operand, tuple) else values[operand]


def _distinct_outputs(node: Lowering, outputs: Iterable[tuple[str, Value]]) -> dict[str, Value]:
    """Values made by nodes, each for one name: copies where one is an input, a constant, or has a name already."""
    free = {name for each in node.nodes for name in each.outputs}
    taken: set[str] = set()
    distinct: dict[str, Value] = {}
    for name, value in outputs:
        if value.name not in free:
            copy = Value(value.name, value.data_type.stored, value.stored_shape)
            while copy.name == value.name or copy.name in taken:  # the copy of a constant is one that exists already
                copy = node("Identity", copy)
            value = value._replace(name=copy.name)
        free.discard(value.name)
        taken.add(value.name)
        distinct[name] = value
    return distinct


def _needed(nodes: Sequence[Node], outputs: Iterable[str]) -> list[Node]:
    """The nodes from which the outputs follow, in their order."""
    needed = set(outputs)
    kept = []
    for node in reversed(nodes):
        if not needed.isdisjoint(node.outputs):
            kept.append(node)
            needed.update(node.reads)
            needed.discard("")
    kept.reverse()
    return kept
