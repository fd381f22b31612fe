"""A graph with its data and the verdict that is expected: what the graph modes run, keep, reduce and report."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ipc.descriptors import DataType, Descriptor
from ipc.graph import ConstantSource, Graph, OperandId, Operation
from ipc.operators import REGISTRY, Attribute, Kind, SlotValue
from scripts.fuzz.calls import Call

PLACEHOLDER = bytes(16)
"""Stands for the region of all constants, until there is one."""


@dataclass(frozen=True, slots=True)
class GraphCase:
    """A graph, its data, and the rule that it breaks.

    Attributes:
        graph: constants have the placeholder as their region; whoever runs the case lays them out.
        constants: bytes of each constant.
        inputs: bytes of each input by name.
        rule: id of the one rule that the last operation breaks; empty for a legal graph.
    """

    graph: Graph
    constants: Mapping[OperandId, bytes] = field(default_factory=dict)
    inputs: Mapping[str, bytes] = field(default_factory=dict)
    rule: str = ""

    @property
    def size(self) -> tuple[int, int]:
        """Operations, then elements: what reduction makes smaller."""
        return len(self.graph.operations), sum(descriptor.element_count for descriptor in self.graph.operands)

    def to_json(self) -> dict[str, Any]:
        """JSON-ready; `from_json` gives the same case."""
        return {
            "graph": graph_to_json(self.graph),
            "constants": {str(operand): base64.b64encode(data).decode() for operand, data in self.constants.items()},
            "inputs": {name: base64.b64encode(data).decode() for name, data in self.inputs.items()},
            "rule": self.rule,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> GraphCase:
        """The case that `to_json` wrote."""
        return cls(
            graph_from_json(value["graph"]),
            {int(operand): base64.b64decode(data) for operand, data in value["constants"].items()},
            {name: base64.b64decode(data) for name, data in value["inputs"].items()},
            value["rule"],
        )


def graph_to_json(graph: Graph) -> dict[str, Any]:
    """A graph that people can read and edit; unlike the message, it can also hold what no message may."""
    return {
        "operands": [[descriptor.data_type.value, list(descriptor.shape)] for descriptor in graph.operands],
        "inputs": [list(item) for item in graph.inputs],
        "constants": list(graph.constants),
        "operations": [
            {
                "operator": operation.operator.name,
                "operands": dict(operation.operands),
                "attributes": dict(operation.attributes),
                "outputs": list(operation.outputs),
                "label": operation.label,
            }
            for operation in graph.operations
        ],
        "outputs": [list(item) for item in graph.outputs],
    }


def graph_from_json(value: Mapping[str, Any]) -> Graph:
    """The graph that `graph_to_json` wrote."""
    return Graph(
        operands=[Descriptor(DataType(data_type), tuple(shape)) for data_type, shape in value["operands"]],
        inputs=[(name, operand) for name, operand in value["inputs"]],
        constants={operand: constant_source() for operand in value["constants"]},
        operations=[_operation(item) for item in value["operations"]],
        outputs=[(name, operand) for name, operand in value["outputs"]],
    )


def _operation(value: Mapping[str, Any]) -> Operation:
    operator = REGISTRY[value["operator"]]
    operands = {
        name: tuple(operand) if isinstance(operand, list) else operand for name, operand in value["operands"].items()
    }
    attributes = {
        name: _canonical(operator.attributes[name].kind, given) for name, given in value["attributes"].items()
    }
    return Operation(operator, operands, attributes, tuple(value["outputs"]), value["label"])


def _canonical(kind: Kind, value: Any) -> Any:
    if isinstance(value, list):
        return tuple(value)
    return DataType(value) if kind.name == "data_type" and value is not None else value


def operands_of(graph: Graph, operation: Operation) -> dict[str, SlotValue]:
    """The descriptors that an operation reads, by slot."""
    operands: dict[str, SlotValue] = {}
    for name, value in operation.operands.items():
        if isinstance(value, tuple):
            operands[name] = tuple(graph.operands[operand] for operand in value)
        else:
            operands[name] = None if value is None else graph.operands[value]
    return operands


def call_of(graph: Graph, operation: Operation) -> Call:
    """An operation as a call, without the graph around it."""
    return Call(operation.operator, operands_of(graph, operation), operation.attributes)


def argument(attribute: Attribute, value: Any) -> Any:
    """What a caller gives so that `value` comes of it: infinity, in a smaller type, was finite before it was cast."""
    if isinstance(value, float) and math.isinf(value) and attribute.kind.name == "float64":
        return math.copysign(1e308, value)
    return value


def constant_source() -> ConstantSource:
    return ConstantSource(PLACEHOLDER)
