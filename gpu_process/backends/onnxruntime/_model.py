"""From a graph to an ONNX model.

The protobuf messages are filled directly: 1.2 µs per node, where onnx.helper takes 1.9 and onnx-ir 17. All names are
generated: what a caller calls an input, an output or an operator never reaches the runtime.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from onnx.onnx_ml_pb2 import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto

from gpu_process.backends._interface import Array
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
from gpu_process.backends.onnxruntime._lowering import INLINE_BYTES, LOWERINGS, Body, Lowering, Node
from gpu_process.backends.onnxruntime._values import Value
from ipc.graph import Graph, OperandId, SlotOperands

OPSET = 22  # what every supported runtime has kernels for
_IR_VERSION = 10  # of ONNX 1.17, which brought that opset


@dataclass(frozen=True, slots=True)
class LoweredGraph:
    """A graph as ONNX nodes.

    Attributes:
        nodes: those that the outputs need.
        inputs: by the caller's name, in order.
        outputs: likewise; no two share a value.
        initializers: those that the nodes use, by generated name: our own and the caller's constants.
    """

    nodes: Sequence[Node]
    inputs: Mapping[str, Value]
    outputs: Mapping[str, Value]
    initializers: Mapping[str, tuple[Value, Array]]


def lower(graph: Graph, constants: Mapping[OperandId, Array], *, guards: bool) -> LoweredGraph:
    """Lower a validated graph, in its order; cost and stack do not grow with depth."""
    inputs = {name: Value.described(f"v{operand}", graph.operands[operand]) for name, operand in graph.inputs}
    given = {operand: Value.described(f"c{operand}", graph.operands[operand]) for operand in constants}
    values = {operand: inputs[name] for name, operand in graph.inputs} | given
    node = Lowering.of_graph(given.values(), guards=guards)
    for index, operation in enumerate(graph.operations):
        node.operation = index
        node.outputs = [graph.operands[operand] for operand in operation.outputs]
        operands = (_values(values, operand) for operand in operation.operands.values())
        result = LOWERINGS[operation.operator](node, *operands, **operation.attributes)
        results = (result,) if isinstance(result, Value) else result
        values.update(zip(operation.outputs, results, strict=True))
    outputs = _distinct_outputs(node, [(name, values[operand]) for name, operand in graph.outputs])
    nodes = _needed(node.nodes, [value.name for value in outputs.values()])
    used = {name for each in nodes for name in (*each.inputs, *each.captured)}
    initializers = dict(node.initializers)
    initializers.update((value.name, (value, constants[operand])) for operand, value in given.items())
    return LoweredGraph(
        nodes, inputs, outputs, {name: initializer for name, initializer in initializers.items() if name in used}
    )


def serialize(lowered: LoweredGraph) -> bytes:
    """The model; initializers that are not tiny are only declared, to be given to the runtime by pointer."""
    model = ModelProto(ir_version=_IR_VERSION)
    model.opset_import.add().version = OPSET
    graph = model.graph
    graph.name = "graph"
    for value in lowered.inputs.values():
        _declare(graph.input.add(), value)
    for value in lowered.outputs.values():
        _declare(graph.output.add(), value)
    for value, array in lowered.initializers.values():
        _declare_initializer(graph.initializer.add(), value, array)
    _add_nodes(graph, lowered.nodes)
    data: bytes = model.SerializeToString()
    return data


def is_external(value: Value, array: Array) -> bool:
    """Whether an initializer goes to the runtime by pointer: all of the caller's, and ours that are not tiny."""
    return value.name.startswith("c") or array.nbytes > INLINE_BYTES


def _values(values: Mapping[OperandId, Value], operand: SlotOperands) -> Value | tuple[Value, ...] | None:
    if operand is None:
        return None
    return tuple(values[each] for each in operand) if isinstance(operand, tuple) else values[operand]


def _distinct_outputs(node: Lowering, outputs: Iterable[tuple[str, Value]]) -> dict[str, Value]:
    """Values made by nodes, each for one name: copies where one is an input, a constant, or has a name already."""
    made = {name for each in node.nodes for name in each.outputs}
    distinct: dict[str, Value] = {}
    for name, value in outputs:
        if value.name in made:
            made.remove(value.name)
        else:
            stored = Value(value.name, value.data_type.stored, value.stored_shape)
            value = value._replace(name=node("Identity", stored).name)
        distinct[name] = value
    return distinct


def _needed(nodes: Sequence[Node], outputs: Iterable[str]) -> list[Node]:
    """The nodes from which the outputs follow, in their order."""
    needed = set(outputs)
    kept = []
    for node in reversed(nodes):
        if not needed.isdisjoint(node.outputs):
            kept.append(node)
            needed.update(node.inputs)
            needed.update(node.captured)
            needed.discard("")
    kept.reverse()
    return kept


def _declare(info: ValueInfoProto, value: Value) -> None:
    info.name = value.name
    tensor = info.type.tensor_type
    tensor.elem_type = value.data_type.stored
    tensor.shape.SetInParent()  # even if empty: a scalar is not a tensor of unknown rank
    for size in value.stored_shape:
        tensor.shape.dim.add().dim_value = size


def _declare_initializer(tensor: TensorProto, value: Value, array: Array) -> None:
    tensor.name = value.name
    tensor.data_type = value.data_type.stored
    tensor.dims.extend(value.stored_shape)
    if is_external(value, array):
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=value.name)
    else:
        tensor.raw_data = array.tobytes()


def _add_nodes(graph: GraphProto, nodes: Iterable[Node]) -> None:
    add = graph.node.add
    for position, node in enumerate(nodes):
        message: NodeProto = add()
        message.op_type = node.op_type
        message.name = f"op{node.operation}_{position}"
        message.input.extend(node.inputs)
        message.output.extend(node.outputs)
        for name, value in node.attributes.items():
            _set_attribute(message.attribute.add(), name, value)


def _set_attribute(attribute: AttributeProto, name: str, value: Any) -> None:
    attribute.name = name
    if isinstance(value, int):
        attribute.type, attribute.i = AttributeProto.INT, value
    elif isinstance(value, float):
        attribute.type, attribute.f = AttributeProto.FLOAT, value
    elif isinstance(value, str):
        attribute.type, attribute.s = AttributeProto.STRING, value.encode()
    elif isinstance(value, Body):
        attribute.type = AttributeProto.GRAPH
        _fill_body(attribute.g, value)
    elif value and isinstance(value[0], str):
        attribute.type = AttributeProto.STRINGS
        attribute.strings.extend(each.encode() for each in value)
    else:
        attribute.type = AttributeProto.INTS
        attribute.ints.extend(value)


def _fill_body(graph: GraphProto, body: Body) -> None:
    graph.name = "body"
    for value in body.inputs:
        _declare(graph.input.add(), value)
    for value in body.outputs:
        _declare(graph.output.add(), value)
    _add_nodes(graph, body.nodes)
