"""A graph as a page's script can build it: calls of `MLGraphBuilder` as JSON, and the bytes of the constants.

Derived from the operators' declarations, so that whatever we can record, a browser can be asked to build as well.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ipc.descriptors import DataType, Descriptor
from ipc.graph import Graph, OperandId, Operation, SlotOperands
from ipc.operators import Operator
from renderer import MLGraphBuilder, MLOperand

ALIGNMENT = 8
"""Of each constant in the data: that of a typed array's elements."""


def recipe(graph: Graph, constants: Mapping[OperandId, bytes]) -> tuple[dict[str, Any], bytes]:
    """What `chromium_page.js` builds the graph from: its recipe, JSON-ready, and the data of the constants.

    Options that have their default are left out, so that an older browser is not asked for what it doesn't know.
    """
    placed, data = _laid_out(constants)
    return {
        "inputs": [
            {"operand": operand, "name": name, **_descriptor(graph.operands[operand])} for name, operand in graph.inputs
        ],
        "constants": [
            {"operand": operand, "offset": offset, "length": length, **_descriptor(graph.operands[operand])}
            for operand, (offset, length) in placed.items()
        ],
        "operations": [_operation(operation) for operation in graph.operations],
        "outputs": dict(graph.outputs),
    }, data


def recorded(builder: MLGraphBuilder, outputs: Mapping[str, MLOperand]) -> tuple[Graph, dict[OperandId, bytes]]:
    """What was recorded in a builder that has not built: the part that the outputs need."""
    ids = {name: operand._id for name, operand in outputs.items()}  # noqa: SLF001  there is no public way
    recording = builder._recording  # noqa: SLF001
    graph, constants = recording.needed_for(ids)
    return graph, {
        operand: recording.data.read(source, graph.operands[operand].byte_length)
        for operand, source in constants.items()
        if isinstance(source, int)
    }


def _laid_out(constants: Mapping[OperandId, bytes]) -> tuple[dict[OperandId, tuple[int, int]], bytes]:
    placed, pieces, offset = {}, [], 0
    for operand, content in constants.items():
        placed[operand] = (offset, len(content))
        padding = bytes(-len(content) % ALIGNMENT)
        pieces += [content, padding]
        offset += len(content) + len(padding)
    return placed, b"".join(pieces)


def _descriptor(descriptor: Descriptor) -> dict[str, Any]:
    return {"dataType": descriptor.data_type.value, "shape": list(descriptor.shape)}


def _operation(operation: Operation) -> dict[str, Any]:
    operator = operation.operator
    values = {
        **{name: _operands(value) for name, value in operation.operands.items()},
        **{name: _value(value) for name, value in operation.attributes.items()},
    }
    options = {
        (operator.slots.get(name) or operator.attributes[name]).spec_name: value
        for name, value in values.items()
        if name not in operator.positional and not _is_default(operator, operation, name)
    }
    if operation.label:
        options["label"] = operation.label
    return {
        "method": operator.spec_name,
        "arguments": [values[name] for name in operator.positional],
        "options": options,
        "outputs": list(operation.outputs),
        "returnsList": operator.returns_list,
    }


def _is_default(operator: Operator, operation: Operation, name: str) -> bool:
    if name in operation.operands:
        return operation.operands[name] is None
    return bool(operation.attributes[name] == operator.attributes[name].default)


def _operands(value: SlotOperands) -> Any:
    if isinstance(value, tuple):
        return [{"operand": operand} for operand in value]
    return None if value is None else {"operand": value}


def _value(value: Any) -> Any:
    """A canonical attribute, with what JSON can't say wrapped in an object."""
    if isinstance(value, tuple):
        return [_value(item) for item in value]
    if isinstance(value, DataType):
        return value.value
    if isinstance(value, float) and not math.isfinite(value):
        return {"number": "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"}
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 1 << 53:
        return {"bigint": str(value)}
    return value
