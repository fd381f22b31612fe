"""Runs vectors through anything that builds and computes graphs: a backend in process, or the renderer's API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy.typing as npt

from ipc.descriptors import DataType, Descriptor
from ipc.operators import REGISTRY
from ipc.operators._attributes import Attribute
from ipc.operators._declaration import Slot
from tests.conformance._tolerance import mismatch
from tests.conformance._vectors import Array, Call, Tolerance, Vector


class NotListedError(Exception):
    """A vector needs what the context's support limits do not list.

    Attributes:
        operator: snake_case name.
        slot: the operand or output.
        data_type: the missing data type, or None where the rank, or the operator as a whole, is missing.
    """

    def __init__(self, operator: str, slot: str, data_type: DataType | None, message: str) -> None:
        super().__init__(message)
        self.operator = operator
        self.slot = slot
        self.data_type = data_type


class Builder(Protocol):
    """What a graph is built with. Operands and graphs are opaque."""

    def input(self, name: str, descriptor: Descriptor) -> Any: ...

    def constant(self, descriptor: Descriptor, array: Array) -> Any: ...

    def call(self, method: str, arguments: Sequence[Any], options: Mapping[str, Any]) -> Any:
        """The builder's method of that snake_case name; an operand or a list of them.

        Raises:
            NotListedError: the context does not support it.
        """

    def build(self, outputs: Mapping[str, Any]) -> Any: ...


class Context(Protocol):
    """What graphs are built for and computed by."""

    def builder(self) -> Builder: ...

    def compute(self, graph: Any, inputs: Mapping[str, Array]) -> Mapping[str, npt.NDArray[Any]]: ...


def run(context: Context, vector: Vector, tolerance: Tolerance | None = None) -> list[str]:
    """The outputs that are not as the vector wants them, in words; empty if all are.

    Args:
        tolerance: instead of the vector's own.

    Raises:
        NotListedError: the context does not support the vector's graph.
    """
    builder = context.builder()
    operands: dict[str, Any] = {}
    for name, given in vector.inputs.items():
        operands[name] = (
            builder.constant(given.descriptor, given.array)
            if given.is_constant
            else builder.input(name, given.descriptor)
        )
    for call in vector.calls:
        operands.update(zip(call.outputs, _perform(builder, call, operands), strict=True))
    graph = builder.build({name: operands[name] for name in vector.expected})

    inputs = {name: given.array for name, given in vector.inputs.items() if not given.is_constant}
    before = {name: array.copy() for name, array in inputs.items()}
    results = context.compute(graph, inputs)
    problems = [f"input {name} was changed" for name in inputs if not _identical(inputs[name], before[name])]
    for name, expected in vector.expected.items():
        problem = mismatch(results[name], expected, tolerance or vector.tolerance)
        if problem is not None:
            problems.append(f"{name}: {problem}")
    return problems


def operators_of(vector: Vector) -> list[str]:
    """The snake_case names of the operators that a vector uses, each once, in order."""
    return list(dict.fromkeys(_METHODS[call.method] for call in vector.calls))


def _perform(builder: Builder, call: Call, operands: Mapping[str, Any]) -> Sequence[Any]:
    operator = REGISTRY[_METHODS[call.method]]
    members: dict[str, Slot | Attribute] = {**operator.slots, **operator.attributes}
    names = {member.spec_name: name for name, member in members.items()}
    result = builder.call(
        operator.name,
        [_resolved(value, operands) for value in call.arguments],
        # As Web IDL has it, an unknown member of a dictionary is not looked at.
        {names[key]: _resolved(value, operands) for key, value in call.options.items() if key in names},
    )
    return result if call.returns_list else [result]


def _resolved(value: Any, operands: Mapping[str, Any]) -> Any:
    if isinstance(value, str):
        return operands.get(value, _NUMBERS.get(value, value))
    return [_resolved(item, operands) for item in value] if isinstance(value, list) else value


def _identical(a: Array, b: Array) -> bool:
    return a.tobytes() == b.tobytes()


_METHODS = {operator.spec_name: name for name, operator in REGISTRY.items()}
_NUMBERS = {text: float(text) for text in ("NaN", "Infinity", "-Infinity", "-0")}
