"""From a model to calls of a builder: inputs, then nodes in their order, then outputs."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import numpy_helper
from onnx.external_data_helper import uses_external_data
from onnx.reference import ReferenceEvaluator

from ipc.errors import DataError, MLTypeError, NotSupportedError
from renderer._builder import BuilderCore
from renderer.loaders.onnx import _elementwise, _network, _reduction, _shape
from renderer.loaders.onnx._node import TRANSLATIONS, Node, Operands, Value
from renderer.operand import MLOperand

OLDEST_OPSET: Final = 13  # before it, axes were attributes and Softmax flattened its operand
FOLDED_ELEMENTS: Final = 4096  # what computes shapes and scalars is folded; weights stay in the graph

_RANDOM: Final = frozenset(
    ("Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike")
)
_ROOMS: Final = (_elementwise, _network, _reduction, _shape)  # imported for what they register


def load(
    builder: BuilderCore,
    model: str | os.PathLike[str] | bytes | onnx.ModelProto,
    *,
    dimensions: Mapping[str, int] = MappingProxyType({}),
) -> dict[str, MLOperand]:
    """Say an ONNX model to a builder, of either face of the API; nothing is built yet.

    The graph's inputs have the model's names. Booleans are uint8, as WebNN has them. What depends on shapes and small
    constants alone is computed now, so that shapes which a model computes are numbers for WebNN.

    Args:
        builder: gets an input for each input of the model, and an operation or a few for each node.
        model: a file, its bytes, or the parsed model; of the default domain's opset 13 or later.
        dimensions: numbers for the model's symbolic dimensions, by name.

    Returns:
        The model's outputs by name: what `build` takes.

    Raises:
        NotSupportedError: a node's operator, or one of its attributes or forms, has no counterpart here.
        MLTypeError: a symbolic dimension has no number; or WebNN's rules or the context refuse an operation.
        DataError: this is no ONNX model, or one that contradicts itself.
        OSError: the file can't be read.
    """
    graph, opset = _parsed(model)
    values = _known(graph)
    operands = Operands(builder)
    for info in graph.input:
        if info.name not in values:
            shape = [_dimension(info.name, it, dimensions) for it in info.type.tensor_type.shape.dim]
            values[info.name] = builder.input(info.name, _data_type(info), shape)
    given = set(values)
    used = {name for node in graph.node for name in node.input} | {info.name for info in graph.output}
    for node in graph.node:
        label = node.name or next(iter(node.output), "")
        values.update(_translated(Node(builder, operands, node, label), values, opset, used))
    return {info.name: _output(builder, operands, info.name, values, given) for info in graph.output}


def _parsed(model: str | os.PathLike[str] | bytes | onnx.ModelProto) -> tuple[onnx.GraphProto, int]:
    try:
        if isinstance(model, bytes):
            model = onnx.load_model_from_string(model)
        elif not isinstance(model, onnx.ModelProto):
            model = onnx.load(model)
    except DecodeError as error:
        raise DataError(f"no ONNX model: {error}") from error
    opset = next((it.version for it in model.opset_import if it.domain in ("", "ai.onnx")), 0)
    if opset < OLDEST_OPSET:
        raise NotSupportedError(
            f"opset {opset}: {OLDEST_OPSET} is the oldest that is read; onnx.version_converter helps"
        )
    if model.graph.sparse_initializer:
        raise NotSupportedError("sparse initializers have no counterpart")
    return model.graph, opset


def _known(graph: onnx.GraphProto) -> dict[str, Value]:
    if outside := [it.name for it in graph.initializer if uses_external_data(it)]:  # `onnx.load` has taken in a file's
        raise DataError(f"initializer [{outside[0]}]: its data are in another file: load the model by its path")
    return {it.name: numpy_helper.to_array(it) for it in graph.initializer}


def _data_type(info: onnx.ValueInfoProto) -> str:
    number = info.type.tensor_type.elem_type
    if not number:
        raise NotSupportedError(f"input [{info.name}]: only tensors can be inputs")
    name = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(number)).name
    return "uint8" if name == "bool" else name


def _dimension(name: str, dimension: onnx.TensorShapeProto.Dimension, numbers: Mapping[str, int]) -> int:
    if dimension.HasField("dim_value"):
        return int(dimension.dim_value)
    if dimension.dim_param not in numbers:
        what = repr(dimension.dim_param) if dimension.dim_param else "without a name"
        raise MLTypeError(f"input [{name}]: the dimension {what} has no number: give dimensions={{{what}: ...}}")
    return numbers[dimension.dim_param]


def _translated(
    node: Node, values: Mapping[str, Value], opset: int, used: Collection[str]
) -> Iterable[tuple[str, Value]]:
    """The outputs of a node by name."""
    proto = node.proto
    if unknown := [name for name in proto.input if name and name not in values]:
        raise DataError(f"{node}: {unknown[0]!r} is made by no node before it")
    if proto.domain not in ("", "ai.onnx"):
        raise NotSupportedError(f"{node}: no operator of the domain {proto.domain!r} has a translation")
    inputs = [values[name] if name else None for name in proto.input]
    results = _folded(node, inputs, opset)
    if results is None:
        if proto.op_type not in TRANSLATIONS:
            raise NotSupportedError(f"{node}: this operator has no translation")
        results = TRANSLATIONS[proto.op_type](node, inputs)
    for name in proto.output[len(results) :]:
        if name and name in used:
            raise NotSupportedError(f"{node}: the output {name!r} has no counterpart")
    return zip(proto.output, results, strict=False)


def _folded(node: Node, inputs: list[Value | None], opset: int) -> Sequence[Value] | None:
    """What a node computes, where all of it is known and small; None where it is for the graph."""
    present = {name: value for name, value in zip(node.proto.input, inputs, strict=True) if value is not None}
    arrays = {name: value for name, value in present.items() if not isinstance(value, MLOperand)}
    if len(arrays) < len(present) or sum(array.size for array in arrays.values()) > FOLDED_ELEMENTS:
        return None
    if node.proto.op_type in _RANDOM or any(it.type == onnx.AttributeProto.GRAPH for it in node.proto.attribute):
        return None
    try:
        results = ReferenceEvaluator(node.proto, opsets={"": opset}).run(None, arrays)
    except Exception as error:  # the evaluator has no exception of its own for what is wrong with a node
        raise DataError(f"{node}: it cannot be computed: {error}") from error
    return [np.asarray(it) for it in results]


def _output(
    builder: BuilderCore, operands: Operands, name: str, values: Mapping[str, Value], given: set[str]
) -> MLOperand:
    if name not in values:
        raise DataError(f"output [{name}]: no node makes it")
    value = values[name]
    if isinstance(value, MLOperand) and name not in given:
        return value
    return builder.identity(operands.of(value), label=name)  # WebNN's outputs are results of operations
