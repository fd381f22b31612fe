"""The backend interface over NumPy kernels: graphs become lists of steps, run one after the other."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np

from gpu_process.backends._interface import Array, BackendError, BackendOptions
from gpu_process.backends._undefined import refuse_undefined
from gpu_process.backends.reference import (  # noqa: F401 - importing a family registers its kernels
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
from gpu_process.backends.reference._kernels import KERNELS
from gpu_process.backends.reference._packing import pack, unpack, value_dtype
from ipc.descriptors import Descriptor
from ipc.graph import Graph, OperandId, Operation
from ipc.limits import SupportLimits


class ReferenceBackend:
    """NumPy, one kernel per operator, float64 inside."""

    name = "reference"
    version = np.__version__

    def __init__(self, options: BackendOptions) -> None:
        self._options = options

    def support_limits(self) -> SupportLimits:
        """Everything that the declarations allow."""
        return KERNELS.support_limits()

    def compile(self, graph: Graph, constants: Mapping[OperandId, Array]) -> CompiledReference:
        """Fix the order of steps and when each value dies; linear in the number of operations."""
        refuse_undefined(graph)
        return CompiledReference(graph, constants, in_place=self._options.in_place)

    def warm_up(self) -> None:
        """One matrix product: the BLAS library sets up its buffers at the first."""
        np.matmul(np.eye(64), np.eye(64))


class CompiledReference:
    """A graph as steps. Values between them are rounded to their descriptors' types and own their memory."""

    devices: tuple[str, ...] = ("cpu",)
    in_place_inputs: frozenset[str] = frozenset()  # kernels may read an operand twice

    def __init__(self, graph: Graph, constants: Mapping[OperandId, Array], *, in_place: bool) -> None:
        # An output is written once, by a copy, and never read back.
        self.in_place_outputs = frozenset(name for name, _ in graph.outputs) if in_place else frozenset()
        self._operands = graph.operands
        self._inputs = graph.inputs
        self._outputs = graph.outputs
        self._constants = {operand: unpack(array, graph.operands[operand]) for operand, array in constants.items()}
        self._steps = _steps(graph)

    def bind(self, inputs: Mapping[str, Array], outputs: Mapping[str, Array]) -> _Binding:
        given = [(operand, inputs[name]) for name, operand in self._inputs]
        wanted: dict[OperandId, list[Array]] = {}
        for name, operand in self._outputs:
            wanted.setdefault(operand, []).append(outputs[name])
        return _Binding(self._operands, self._steps, self._constants, given, wanted)

    def close(self) -> None:
        self._constants = {}
        self._steps = []


@dataclass(frozen=True, slots=True)
class _Binding:
    operands: Sequence[Descriptor]
    steps: Sequence[_Step]
    constants: Mapping[OperandId, Array]
    inputs: Sequence[tuple[OperandId, Array]]
    outputs: Mapping[OperandId, Sequence[Array]]

    def run(self) -> None:
        values: dict[OperandId, Array] = dict(self.constants)
        with np.errstate(all="ignore"):
            for operand, array in self.inputs:
                values[operand] = unpack(array, self.operands[operand])
            for operand in self.outputs.keys() & values.keys():
                self._deliver(operand, values[operand])
            for step in self.steps:
                for operand, value in zip(step.outputs, step.run(values), strict=True):
                    values[operand] = value
                    self._deliver(operand, value)
                for operand in step.dead:
                    values.pop(operand)

    def _deliver(self, operand: OperandId, value: Array) -> None:
        for target in self.outputs.get(operand, ()):
            np.copyto(target, pack(value, self.operands[operand]), casting="no")


@dataclass(frozen=True, slots=True)
class _Step:
    """One operation.

    Attributes:
        kernel: with its attributes bound.
        operands: ids in slot order.
        outputs: ids of the values that it makes.
        descriptors: of the outputs.
        dead: values that no later step uses.
        place: operator and label, for errors.
    """

    kernel: Callable[..., Any]
    operands: Sequence[OperandId | tuple[OperandId, ...] | None]
    outputs: tuple[OperandId, ...]
    descriptors: tuple[Descriptor, ...]
    dead: tuple[OperandId, ...]
    place: str

    def run(self, values: Mapping[OperandId, Array]) -> list[Array]:
        """The rounded outputs.

        Raises:
            BackendError: memory does not suffice.
        """
        try:
            result = self.kernel(*(_widened(values, operand) for operand in self.operands))
            results = list(result) if isinstance(result, list | tuple) else [result]
            return [_rounded(value, descriptor) for value, descriptor in zip(results, self.descriptors, strict=True)]
        except MemoryError as error:
            shapes = ", ".join(map(str, self.descriptors))
            raise BackendError(f"{self.place}: not enough memory to compute {shapes}") from error


def _steps(graph: Graph) -> list[_Step]:
    last_use = {
        operand: index
        for index, operation in enumerate(graph.operations)
        for operand in (*operation.outputs, *operation.operand_ids())
    }
    dead: dict[int, list[OperandId]] = {}
    for operand, index in last_use.items():
        dead.setdefault(index, []).append(operand)
    return [
        _step(operation, graph.operands, tuple(dead.get(index, ()))) for index, operation in enumerate(graph.operations)
    ]


def _step(operation: Operation, operands: Sequence[Descriptor], dead: tuple[OperandId, ...]) -> _Step:
    operator = operation.operator
    kernel = KERNELS[operator]
    descriptors = tuple(operands[operand] for operand in operation.outputs)
    extra = {"output": descriptors[0]} if _wants_output(kernel) else {}
    return _Step(
        kernel=partial(kernel, **operation.attributes, **extra),
        operands=tuple(operation.operands[slot] for slot in operator.slots),
        outputs=operation.outputs,
        descriptors=descriptors,
        dead=dead,
        place=f"{operator} [{operation.label}]" if operation.label else str(operator),
    )


@cache  # a long graph has few kernels
def _wants_output(kernel: Callable[..., Any]) -> bool:
    return "output" in inspect.signature(kernel).parameters


def _widened(values: Mapping[OperandId, Array], operand: OperandId | tuple[OperandId, ...] | None) -> Any:
    if operand is None:
        return None
    if isinstance(operand, tuple):
        return tuple(_widened(values, each) for each in operand)
    value = values[operand]
    return value.astype(np.float64) if value.dtype.kind == "f" else value


def _rounded(result: Array, descriptor: Descriptor) -> Array:
    result = np.asarray(result)
    assert result.shape == descriptor.shape, f"a kernel returned {result.shape} for {descriptor}"
    integral = not descriptor.data_type.is_float
    assert not integral or result.dtype.kind in "iub", f"a kernel returned {result.dtype} for {descriptor}"
    # A view may be strided or broadcast, and would keep alive, or change with, what it is a view of.
    borrowed = result.base is not None
    return np.array(result, value_dtype(descriptor.data_type), order="C", copy=True if borrowed else None)
