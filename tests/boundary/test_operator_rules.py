"""Every rule of every operator holds in the GPU process too, and comes back under the id that the renderer knows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import grpc
import pytest

import ipc.operators as ops
from ipc.codec import encode_graph
from ipc.descriptors import DataType, Descriptor
from ipc.graph import Graph, Operation
from ipc.verdicts import BadMessageReason
from tests.boundary.hostile_client import Failure, HostileRenderer
from tests.boundary.stage import Stage
from tests.boundary.test_bad_messages import assert_closed
from tests.ipc.operators._broken import BROKEN
from tests.ipc.operators._calls import Call
from tests.ipc.operators._valid import VALID

_FULL: dict[str, Call] = {}  # the first right call of each operator, which gives every optional operand
for _call, _ in VALID:
    _FULL.setdefault(_call.operator, _call)


def _graph(operator: ops.Operator, operands: Any, attributes: Any) -> Graph:
    """One operation with a float for each of its outputs, which nobody gets to look at."""
    graph = Graph()

    def add(descriptor: Descriptor) -> int:
        graph.operands.append(descriptor)
        return len(graph.operands) - 1

    slots = {
        name: None if value is None else tuple(map(add, value)) if isinstance(value, tuple) else add(value)
        for name, value in operands.items()
    }
    graph.inputs = [(f"x{operand}", operand) for operand in range(len(graph.operands))]
    outputs = tuple(add(Descriptor(DataType.FLOAT32, (1,))) for _ in operator.outputs)
    cast = ops.cast_attributes(operator, operands, attributes)
    graph.operations = [Operation(operator, slots, cast, outputs)]
    graph.outputs = [(f"y{operand}", operand) for operand in outputs]
    return graph


def _assert_refused(renderer: HostileRenderer, graph: Graph, rule: str) -> None:
    stage = Stage(renderer.open())
    answer = stage.session.build(stage.context, encode_graph(graph))
    reason = BadMessageReason.OPERATOR_RULE
    field = f"operations[0]: {rule}"
    if any(descriptor.problem() for descriptor in graph.operands):  # which is looked at before any operator
        reason = BadMessageReason.INVALID_DESCRIPTOR
        field = next(f"operands[{at}].descriptor.shape" for at, it in enumerate(graph.operands) if it.problem())
    assert answer == Failure(grpc.StatusCode.FAILED_PRECONDITION, reason.value)
    assert_closed(renderer, stage.session, reason, field)


@pytest.mark.parametrize(("rule", "wrong"), BROKEN, ids=str)
def test_a_broken_rule_is_found_again(renderer: HostileRenderer, rule: str, wrong: Call) -> None:
    operands, attributes, _ = wrong.bind()
    _assert_refused(renderer, _graph(ops.REGISTRY[wrong.operator], operands, attributes), rule)


_INPUT_TYPES = set(DataType) - {DataType.INT4, DataType.UINT4}  # which no input may have


@pytest.mark.parametrize("name", ops.REGISTRY)
def test_types_and_ranks_of_every_operand_are_looked_at_again(renderer: HostileRenderer, name: str) -> None:
    """One wrong type, and one wrong rank, for every operand that the operator has."""
    operator = ops.REGISTRY[name]
    operands, attributes, _ = _FULL[name].bind()
    for slot in operator.slots.values():
        given: Any = operands[slot.name]
        for data_type in sorted(_INPUT_TYPES - slot.data_types)[:1]:
            wrong = _replaced(given, data_type=data_type)
            _assert_refused(
                renderer,
                _graph(operator, operands | {slot.name: wrong}, attributes),
                *_rule(operator, operands | {slot.name: wrong}, attributes),
            )
        for rank in {0, 8} - set(range(slot.limits.min_rank, slot.limits.max_rank + 1)):
            wrong = _replaced(given, shape=(1,) * rank)
            _assert_refused(
                renderer,
                _graph(operator, operands | {slot.name: wrong}, attributes),
                *_rule(operator, operands | {slot.name: wrong}, attributes),
            )


def _replaced(given: Any, **changes: Any) -> Any:
    return tuple(replace(it, **changes) for it in given) if isinstance(given, tuple) else replace(given, **changes)


def _rule(operator: ops.Operator, operands: Any, attributes: Any) -> tuple[str]:
    """The id of the rule that the renderer would have named."""
    cast = ops.cast_attributes(operator, operands, attributes)
    with pytest.raises(ops.RuleError) as broken:
        ops.infer_outputs(operator, operands, cast, ops.declared_limits())
    return (broken.value.rule,)
