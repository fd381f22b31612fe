"""One step's graph as something that runs: an OpenVINO model, or the reference kernels behind the same two calls."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import openvino as ov
from openvino import opset15 as opset

from gpu_process.backends._interface import Array, BackendError, BackendOptions
from gpu_process.backends.openvino._lowering import LOWERINGS, Node, Value
from gpu_process.backends.openvino._values import TYPES
from gpu_process.backends.reference import ReferenceBackend
from ipc import operators as ops
from ipc.errors import escape_label
from ipc.graph import Graph, OperandId, Operation, SlotOperands
from ipc.operators import Operator


class Model(Protocol):
    """A compiled step."""

    def bind(self, inputs: Sequence[Array], outputs: Sequence[Array]) -> Callable[[], None]:
        """A call that computes the outputs from what the inputs hold then, in the order of the step's graph."""


class ReferenceModel:
    """Reference kernels, for what OpenVINO doesn't compute exactly."""

    def __init__(self, graph: Graph, constants: Mapping[OperandId, Array], options: BackendOptions) -> None:
        self._graph = graph
        self._compiled = ReferenceBackend(options).compile(graph, constants)

    def bind(self, inputs: Sequence[Array], outputs: Sequence[Array]) -> Callable[[], None]:
        names = (dict(zip((name for name, _ in self._graph.inputs), inputs, strict=True)),)
        wanted = dict(zip((name for name, _ in self._graph.outputs), outputs, strict=True))
        return self._compiled.bind(*names, wanted).run


class OpenVinoModel:
    """A graph lowered and compiled. It keeps the constants alive that OpenVINO uses in place."""

    def __init__(
        self, core: ov.Core, graph: Graph, constants: Mapping[OperandId, Array], properties: Mapping[str, Any]
    ) -> None:
        self._constants = list(constants.values())  # OpenVINO holds addresses only
        carried = _constants_to_carry(graph, constants)
        self._carried = [constants[operand] for operand in carried]
        lowered = _lowered(graph, {operand: _writable_alias(array) for operand, array in constants.items()}, carried)
        try:
            self._compiled = core.compile_model(lowered, "CPU", dict(properties))
        except RuntimeError as error:
            raise BackendError(f"OpenVINO can't compile {_described(graph)}: {_reason(error)}") from error
        self.description = _described(graph)

    def bind(self, inputs: Sequence[Array], outputs: Sequence[Array]) -> Callable[[], None]:
        request = self._compiled.create_infer_request()
        for index, array in enumerate((*inputs, *self._carried)):
            request.set_input_tensor(index, ov.Tensor(_writable_alias(array), shared_memory=True))
        for index, array in enumerate(outputs):
            request.set_output_tensor(index, ov.Tensor(array, shared_memory=True))

        return _Run(request, self, (*inputs, *outputs))


class _Run:
    """One synchronous run. It keeps the memory alive that the request knows by address only."""

    __slots__ = ("_arrays", "_model", "_request")

    def __init__(self, request: ov.InferRequest, model: OpenVinoModel, arrays: tuple[Array, ...]) -> None:
        self._request = request
        self._model = model
        self._arrays = arrays

    def __call__(self) -> None:
        try:
            self._request.infer(share_outputs=True)
        except RuntimeError as error:
            raise BackendError(f"OpenVINO can't run {self._model.description}: {_reason(error)}") from error


_FORGIVING: frozenset[Operator] = frozenset(
    {ops.matmul, ops.gemm, ops.conv2d, ops.conv_transpose2d, ops.gru, ops.gru_cell, ops.lstm, ops.lstm_cell}
)
"""Operators to whose sums a denormal weight adds nothing that a tolerance would notice."""


def _constants_to_carry(graph: Graph, constants: Mapping[OperandId, Array]) -> list[OperandId]:
    """The constants that have to be inputs of the model: as constants, their denormal elements would become 0."""
    used = {
        operand
        for operation in graph.operations
        if operation.operator not in _FORGIVING
        for operand in operation.operand_ids()
    }
    return [operand for operand, array in constants.items() if operand in used and _has_denormals(array)]


def _has_denormals(array: Array) -> bool:
    if array.dtype != np.float32:
        return False
    bits = array.reshape(-1).view(np.uint32)
    return any(_any_denormal(bits[start : start + _CACHED]) for start in range(0, bits.size, _CACHED))


def _any_denormal(bits: Array) -> bool:
    unsigned = bits << 1
    unsigned -= 1  # so that zero is the largest of all
    return bool(unsigned.min() < _LEAST_NORMAL - 1)


_CACHED = 1 << 16  # elements: what a core's cache holds beside their copy
_LEAST_NORMAL = np.uint32(1 << 24)  # of float32's bits, shifted as above


def _lowered(graph: Graph, constants: Mapping[OperandId, Array], carried: Sequence[OperandId]) -> ov.Model:
    values: dict[OperandId, Value] = {
        operand: opset.constant(array, shared_memory=True).output(0)
        for operand, array in constants.items()
        if operand not in carried
    }
    parameters = []
    for operand in (*(operand for _, operand in graph.inputs), *carried):
        descriptor = graph.operands[operand]
        parameter = opset.parameter(list(descriptor.shape), TYPES[descriptor.data_type])
        parameters.append(parameter)
        values[operand] = parameter.output(0)
    for operation in graph.operations:
        values.update(zip(operation.outputs, _results(operation, graph, values), strict=True))
    results = [opset.result(_apart_from_input(values[operand])) for _, operand in graph.outputs]
    return ov.Model(results, parameters, "graph")


def _results(operation: Operation, graph: Graph, values: Mapping[OperandId, Value]) -> list[Value]:
    """The outputs of one operation, checked to be what was inferred for it."""
    node = node_of(operation, graph)
    lowering = LOWERINGS[operation.operator]
    try:
        given = lowering(
            node, *(_filled(value, values) for value in operation.operands.values()), **operation.attributes
        )
        several = given if isinstance(given, list | tuple) else [given]
        results = [_as_output(value) for value in several]
    except RuntimeError as error:
        raise BackendError(f"{_place(operation)}: OpenVINO refuses it: {_reason(error)}") from error
    for result, descriptor in zip(results, node.outputs, strict=True):
        shape, kind = tuple(result.get_shape()), result.get_element_type()
        if shape != descriptor.shape or kind != TYPES[descriptor.data_type]:
            raise BackendError(f"{_place(operation)}: OpenVINO infers {kind}{list(shape)} instead of {descriptor}")
    return results


def _apart_from_input(value: Value) -> Value:
    """An input that is a result as well gets an operation between: otherwise the two are one port with one memory,
    and binding the result unbinds the input."""
    if value.get_node().get_type_name() != "Parameter":
        return value
    return opset.reshape(value, opset.constant(np.array(value.get_shape(), np.int64)), False).output(0)


def node_of(operation: Operation, graph: Graph) -> Node:
    """What a lowering is told of an operation."""
    descriptors = graph.operands
    inputs = {slot: _filled(value, descriptors) for slot, value in operation.operands.items()}
    return Node(operation, inputs, tuple(descriptors[output] for output in operation.outputs))


def _filled(value: SlotOperands, things: Mapping[OperandId, Any] | Sequence[Any]) -> Any:
    if isinstance(value, tuple):
        return tuple(things[each] for each in value)
    return None if value is None else things[value]


def _as_output(value: Value) -> Value:
    return value.output(0) if isinstance(value, ov.Node) else value


def _writable_alias(array: Array) -> Array:
    """The same memory as an array that calls itself writable: OpenVINO's bindings share no other, though it only reads.

    Where the memory is mapped read-only it stays so.
    """
    if array.flags.writeable:
        return array
    memory = (ctypes.c_char * array.nbytes).from_address(array.ctypes.data)
    return np.frombuffer(memoryview(memory).cast("B"), array.dtype).reshape(array.shape)


def _place(operation: Operation) -> str:
    return f"{operation.operator} [{escape_label(operation.label)}]" if operation.label else str(operation.operator)


def _described(graph: Graph) -> str:
    """A model in errors: its operation where it has only one."""
    if len(graph.operations) == 1:
        return _place(graph.operations[0])
    return f"{len(graph.operations)} operations, {_place(graph.operations[0])} to {_place(graph.operations[-1])}"


def _reason(error: RuntimeError) -> str:
    """The last line of OpenVINO's message; those before name places in its sources."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"
