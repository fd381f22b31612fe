"""How a graph is cut between OpenVINO and the reference kernels."""

from __future__ import annotations

import numpy as np
import pytest

from gpu_process.backends.openvino._plan import Engine, GuardStep, ModelStep, Native, Plan, make_plan
from ipc import operators as ops
from ipc.descriptors import DataType, Descriptor
from ipc.graph import ConstantSource, Graph, Operation
from tests.gpu_process.backends.openvino._graphs import Workbench

FLOAT = Descriptor(DataType.FLOAT32, (2, 2))
INT = Descriptor(DataType.INT32, (2,))


def _chain(kinds: str) -> tuple[Graph, dict[int, Native | None]]:
    """One operation per letter, each on the last one's result: n native, m one that materialises, r reference."""
    graph = Graph(operands=[FLOAT], inputs=[("x", 0)])
    choices: dict[int, Native | None] = {}
    for kind in kinds:
        graph.operands.append(FLOAT)
        output = len(graph.operands) - 1
        graph.operations.append(Operation(ops.abs, {"input": output - 1}, {}, (output,)))
        choices[output] = {"n": Native(), "m": Native(materialises=True), "r": None}[kind]
    graph.outputs = [("y", len(graph.operands) - 1)]
    return graph, choices


def _plan_of(kinds: str, max_operators: int = 256) -> Plan:
    graph, choices = _chain(kinds)
    return make_plan(graph, lambda operation: choices[operation.outputs[0]], max_operators)


def _shape(plan: Plan) -> list[tuple[str, int]]:
    return [
        (step.engine.value, len(step.graph.operations)) if isinstance(step, ModelStep) else ("guard", 0)
        for step in plan.steps
    ]


@pytest.mark.parametrize(
    ("kinds", "steps"),
    [
        ("nnn", [("openvino", 3)]),
        ("rr", [("reference", 2)]),
        ("nrrn", [("openvino", 1), ("reference", 2), ("openvino", 1)]),
        ("mn", [("openvino", 1), ("openvino", 1)]),
        ("mr", [("openvino", 1), ("reference", 1)]),
    ],
)
def test_operations_of_one_kind_in_a_row_share_a_step(kinds: str, steps: list[tuple[str, int]]) -> None:
    assert _shape(_plan_of(kinds)) == steps


def test_branches_that_do_not_wait_for_each_other_share_a_step() -> None:
    graph = Graph(operands=[FLOAT] * 5, inputs=[("x", 0)], outputs=[("a", 3), ("b", 4)])
    for source, target in ((0, 1), (0, 2), (1, 3), (2, 4)):
        graph.operations.append(Operation(ops.abs, {"input": source}, {}, (target,)))
    plan = make_plan(graph, lambda operation: None if operation.outputs == (2,) else Native())
    assert _shape(plan) == [("reference", 1), ("openvino", 3)]


def test_a_long_run_is_cut_into_equal_parts() -> None:
    assert _shape(_plan_of("n" * 25, max_operators=10)) == [("openvino", 8), ("openvino", 8), ("openvino", 9)]


def test_only_what_others_use_crosses_a_step() -> None:
    first, second = _plan_of("nnnr").steps
    assert isinstance(first, ModelStep)
    assert isinstance(second, ModelStep)
    assert first.outputs == second.inputs == (3,)
    assert first.made == (1, 2, 3)


def test_one_guard_serves_all_operations_with_the_same_bounds() -> None:
    graph = Graph(operands=[FLOAT, INT, FLOAT, FLOAT, FLOAT], inputs=[("x", 0), ("i", 1)])
    for target in (2, 3, 4):
        graph.operations.append(Operation(ops.gather, {"input": 0, "indices": 1}, {"axis": 0}, (target,)))
    graph.outputs = [(str(target), target) for target in (2, 3, 4)]
    bounds = {2: (2,), 3: (2,), 4: (1,)}
    plan = make_plan(graph, lambda operation: Native(("indices", bounds[operation.outputs[0]])))
    guards = [step for step in plan.steps if isinstance(step, GuardStep)]
    assert [(guard.source, guard.bounds) for guard in guards] == [(1, (2,)), (1, (1,))]


def test_a_constants_guard_runs_before_anything_is_compiled() -> None:
    graph = Graph(operands=[FLOAT, INT, FLOAT], inputs=[("x", 0)], outputs=[("y", 2)])
    graph.constants[1] = ConstantSource(bytes(16))
    graph.operations.append(Operation(ops.gather, {"input": 0, "indices": 1}, {"axis": 0}, (2,)))
    plan = make_plan(graph, lambda _: Native(("indices", (2,))))
    assert [guard.source for guard in plan.constant_guards] == [1]
    assert _shape(plan) == [("openvino", 1)]


def test_an_index_operand_of_openvino_always_comes_from_a_guard() -> None:
    bench = Workbench()
    x = bench.place(np.zeros((3, 4), np.float32))
    indices = bench.place(np.array([1, 2], np.int32), "intermediate")
    compiled = bench.compiled({"y": bench.call("gather", x, bench.call("reverse", indices))})
    targets = {step.target for step in compiled.plan.steps if isinstance(step, GuardStep)}
    for step in compiled.plan.steps:
        if isinstance(step, ModelStep) and step.engine is Engine.OPENVINO:
            local = dict(zip((operand for _, operand in step.graph.inputs), step.inputs, strict=True))
            for operation in step.graph.operations:
                if operation.operator is ops.gather:
                    used = operation.operands["indices"]
                    assert isinstance(used, int)
                    assert local[used] in targets


def test_planning_is_linear() -> None:
    assert sum(operations for _, operations in _shape(_plan_of("nr" * 20_000))) == 40_000
