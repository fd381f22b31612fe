"""Smaller cases that still show what a case shows."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from ipc.descriptors import Descriptor
from ipc.graph import Graph, OperandId, Operation
from ipc.operators import RuleError, declared_limits, with_int4
from scripts.fuzz.calls import make_call
from scripts.fuzz.case import GraphCase, constant_source, operands_of
from scripts.fuzz.mode import C

_LIMITS = with_int4(declared_limits())


def reduced(
    case: C,
    shows: Callable[[C], bool],
    smaller: Callable[[C], Iterator[C]],
    seconds: float = 30.0,
    clock: Callable[[], float] = time.monotonic,
) -> C:
    """The smallest case found in the time that still shows it: greedy, taking the first smaller one that does."""
    end = clock() + seconds
    progress = True
    while progress:
        progress = False
        for candidate in smaller(case):
            if clock() > end:
                return case
            if candidate.size < case.size and shows(candidate):
                case, progress = candidate, True
                break
    return case


def smaller_graphs(case: GraphCase) -> Iterator[GraphCase]:
    """The case without an operation, an output or an optional operand, with smaller sizes, with plainer names."""
    graph = case.graph
    if not graph.operations:
        return
    count = len(graph.operations)
    keep_last = bool(case.rule)  # the last operation is the broken one
    for start, end in _spans(count):
        dropped = set(range(start, end))
        if not (keep_last and count - 1 in dropped) and len(dropped) < count:
            yield _without_operations(case, dropped)
    if len(graph.outputs) > 1:
        for at in range(len(graph.outputs)):
            kept = [output for index, output in enumerate(graph.outputs) if index != at]
            yield cleaned(replace(case, graph=_copy(graph, outputs=kept)))
    for at, operation in enumerate(graph.operations):
        yield from _simpler_operation(case, at, operation)
    if not case.rule:
        yield from _shrunk(case)
    yield from _plainer(case)


def _spans(count: int) -> Iterator[tuple[int, int]]:
    """Parts of a list, large ones first."""
    length = count // 2
    while length >= 1:
        for start in range(0, count, length):
            yield start, min(count, start + length)
        length //= 2


def _copy(graph: Graph, **changes: Any) -> Graph:
    parts = {
        "operands": list(graph.operands),
        "inputs": list(graph.inputs),
        "constants": dict(graph.constants),
        "operations": list(graph.operations),
        "outputs": list(graph.outputs),
    }
    return Graph(**{**parts, **changes})


def _without_operations(case: GraphCase, dropped: set[int]) -> GraphCase:
    """What the dropped operations made becomes input."""
    graph = case.graph
    operations = [operation for at, operation in enumerate(graph.operations) if at not in dropped]
    made = {operand for at in dropped for operand in graph.operations[at].outputs}
    read = {operand for operation in operations for operand in operation.operand_ids()}
    inputs, data = list(graph.inputs), dict(case.inputs)
    for operand in sorted(made & read):
        name = f"cut{operand}"
        inputs.append((name, operand))
        data[name] = bytes(graph.operands[operand].byte_length)
    outputs = [(name, operand) for name, operand in graph.outputs if operand not in made]
    last = operations[-1].outputs[0]
    outputs = outputs or [("y", last)]
    return cleaned(
        GraphCase(_copy(graph, inputs=inputs, operations=operations, outputs=outputs), case.constants, data, case.rule)
    )


def _simpler_operation(case: GraphCase, at: int, operation: Operation) -> Iterator[GraphCase]:
    """An option less, an operand read from the smallest of its kind, a default instead of a value."""
    operator, graph = operation.operator, case.graph

    def changed(**parts: Any) -> GraphCase | None:
        other = replace(operation, **parts)
        operations = [*graph.operations[:at], other, *graph.operations[at + 1 :]]
        candidate = _copy(graph, operations=operations)
        if not case.rule and not _still_makes(candidate, other):
            return None
        return cleaned(replace(case, graph=candidate))

    for name, slot in operator.slots.items():
        if slot.presence == "optional" and operation.operands[name] is not None:
            candidate = changed(operands={**operation.operands, name: None})
            if candidate is not None:
                yield candidate


def _still_makes(graph: Graph, operation: Operation) -> bool:
    call = make_call(operation.operator, operands_of(graph, operation), operation.attributes)
    try:
        return call.infer(_LIMITS) == tuple(graph.operands[operand] for operand in operation.outputs)
    except RuleError:
        return False


def _shrunk(case: GraphCase) -> Iterator[GraphCase]:
    """The leaves smaller, all else inferred anew: one size of one leaf, or one size wherever it occurs."""
    graph = case.graph
    sizes = sorted({size for descriptor in graph.operands for size in descriptor.shape if size > 1}, reverse=True)
    leaves = [operand for _, operand in graph.inputs] + list(graph.constants)
    for size in sizes:
        for smaller in dict.fromkeys((1, size // 2, size - 1)):
            candidate = _resized(
                case,
                {
                    leaf: tuple(smaller if each == size else each for each in graph.operands[leaf].shape)
                    for leaf in leaves
                },
            )
            if candidate is not None:
                yield candidate
    for leaf in leaves:
        shape = graph.operands[leaf].shape
        for axis, size in enumerate(shape):
            for smaller in dict.fromkeys((1, size // 2, size - 1)):
                if 1 <= smaller < size:
                    candidate = _resized(case, {leaf: (*shape[:axis], smaller, *shape[axis + 1 :])})
                    if candidate is not None:
                        yield candidate
        if len(shape) > 1:
            candidate = _resized(case, {leaf: shape[1:]})
            if candidate is not None:
                yield candidate


def _resized(case: GraphCase, shapes: dict[OperandId, tuple[int, ...]]) -> GraphCase | None:
    """The case with other shapes of leaves, or None if it is not legal then."""
    graph = case.graph
    operands = list(graph.operands)
    for leaf, shape in shapes.items():
        operands[leaf] = Descriptor(operands[leaf].data_type, shape)
    candidate = _copy(graph, operands=operands)
    for operation in graph.operations:
        try:
            outputs = make_call(operation.operator, operands_of(candidate, operation), operation.attributes).infer(
                _LIMITS
            )
        except RuleError:
            return None
        if len(outputs) != len(operation.outputs):
            return None
        for operand, descriptor in zip(operation.outputs, outputs, strict=True):
            operands[operand] = descriptor
    constants = {operand: _cropped(data, graph, operands, operand) for operand, data in case.constants.items()}
    ids = dict(graph.inputs)
    inputs = {name: _cropped(data, graph, operands, ids[name]) for name, data in case.inputs.items()}
    return GraphCase(candidate, constants, inputs, case.rule)


def _cropped(data: bytes, graph: Graph, operands: list[Descriptor], operand: OperandId) -> bytes:
    old, new = graph.operands[operand], operands[operand]
    if old == new or len(data) != old.byte_length:
        return data
    if old.data_type.is_packed or old.rank != new.rank or math.prod(new.shape) > math.prod(old.shape):
        return (data * (1 + new.byte_length // max(1, len(data))))[: new.byte_length]
    array = np.frombuffer(data, old.data_type.storage).reshape(old.shape)
    return array[tuple(slice(0, size) for size in new.shape)].tobytes()


def _plainer(case: GraphCase) -> Iterator[GraphCase]:
    """No labels, plain names, zeros instead of data: no smaller, but it says what does not matter."""
    graph = case.graph
    inputs = [(f"x{at}", operand) for at, (_, operand) in enumerate(graph.inputs)]
    outputs = [(f"y{at}", operand) for at, (_, operand) in enumerate(graph.outputs)]
    operations = [replace(operation, label="") for operation in graph.operations]
    if (inputs, outputs, operations) != (graph.inputs, graph.outputs, graph.operations):
        renamed = {new: case.inputs.get(old, b"") for (old, _), (new, _) in zip(graph.inputs, inputs, strict=True)}
        data = renamed if case.inputs else {}
        yield replace(case, graph=_copy(graph, inputs=inputs, outputs=outputs, operations=operations), inputs=data)


def cleaned(case: GraphCase) -> GraphCase:
    """The case with consecutive ids and without what nothing reads."""
    graph = case.graph
    read = {operand for operation in graph.operations for operand in operation.operand_ids()}
    made = {operand for operation in graph.operations for operand in operation.outputs}
    kept = sorted(read | made)
    ids = {old: new for new, old in enumerate(kept)}

    def renumbered(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(ids[operand] for operand in value)
        return None if value is None else ids[value]

    inputs = [(name, ids[operand]) for name, operand in graph.inputs if operand in read]
    names = {name for name, _ in inputs}
    return GraphCase(
        Graph(
            operands=[graph.operands[operand] for operand in kept],
            inputs=inputs,
            constants={ids[operand]: constant_source() for operand in graph.constants if operand in read},
            operations=[
                replace(
                    operation,
                    operands={name: renumbered(value) for name, value in operation.operands.items()},
                    outputs=tuple(ids[operand] for operand in operation.outputs),
                )
                for operation in graph.operations
            ],
            outputs=[(name, ids[operand]) for name, operand in graph.outputs if operand in made],
        ),
        {ids[operand]: data for operand, data in case.constants.items() if operand in read},
        {name: data for name, data in case.inputs.items() if name in names},
        case.rule,
    )
