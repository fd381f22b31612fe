"""From nodes to the bytes of an ONNX model.

The protobuf messages are filled directly: 1.2 µs per node, where onnx.helper takes 1.9 and onnx-ir 17.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gpu_process.backends._interface import Array
from gpu_process.backends.onnxruntime._lowering import INLINE_BYTES, Body, Node
from gpu_process.backends.onnxruntime._messages import (
    AttributeProto,
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    ValueInfoProto,
)
from gpu_process.backends.onnxruntime._segments import Segment
from gpu_process.backends.onnxruntime._values import Value

_OPSET = 22  # what every supported runtime has kernels for
_IR_VERSION = 10  # of ONNX 1.17, which brought that opset


def serialize(segment: Segment) -> bytes:
    """The model; initializers that are not tiny are only declared, to be given to the runtime beside it."""
    model = ModelProto(ir_version=_IR_VERSION)
    model.opset_import.add().version = _OPSET
    graph = model.graph
    graph.name = "graph"
    for value in (*segment.inputs, *(table for table, _ in segment.tables.values())):
        _declare(graph.input.add(), value)
    for value in segment.outputs:
        _declare(graph.output.add(), value)
    for value, array in segment.initializers.values():
        _declare_initializer(graph.initializer.add(), value, array)
    _add_nodes(graph, segment.nodes)
    data: bytes = model.SerializeToString()
    return data


def is_external(value: Value, array: Array) -> bool:
    """Whether an initializer is given to the runtime beside the model: all of the caller's, ours that are not tiny."""
    return value.name.startswith("c") or array.nbytes > INLINE_BYTES


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
