"""Which inputs and outputs may lie in memory that a renderer can change while OpenVINO computes.

An allowlist of operators whose kernels use operands and results as plain values: no address, count or branch depends on
them, and nothing is read back from a result. The tables in `probed` bear it out; a version without one shares nothing.

Safety doesn't rest on this list alone: index operands pass a guard into private memory in any case (`_guards.py`), and
a result that another operation also uses is never in place, because OpenVINO may keep the only copy of a shared value
in the output's memory (hazard H9).
"""

from __future__ import annotations

from collections import Counter

from gpu_process.backends._probed import probed_versions
from gpu_process.backends.openvino._plan import Engine, ModelStep, Plan
from ipc import operators as ops
from ipc.graph import Graph, OperandId
from ipc.operators import Operator

PLAIN_VALUES: frozenset[Operator] = frozenset(
    {
        *(ops.add, ops.sub, ops.mul, ops.div, ops.pow, ops.max, ops.min, ops.clamp),
        *(ops.abs, ops.ceil, ops.cos, ops.erf, ops.exp, ops.floor, ops.log, ops.neg, ops.reciprocal),
        *(ops.round_even, ops.sign, ops.sin, ops.sqrt, ops.tan),
        *(ops.elu, ops.gelu, ops.hard_sigmoid, ops.hard_swish, ops.leaky_relu, ops.linear, ops.prelu, ops.relu),
        *(ops.sigmoid, ops.softmax, ops.softplus, ops.softsign, ops.tanh),
        *(ops.conv2d, ops.conv_transpose2d, ops.gemm, ops.matmul),
        *(ops.average_pool2d, ops.l2_pool2d, ops.max_pool2d),
    }
)
PROBED_VERSIONS = probed_versions("openvino")
"""Versions of OpenVINO for which this holds."""


def in_place(graph: Graph, plan: Plan, version: str) -> tuple[frozenset[str], frozenset[str]]:
    """Names of the inputs, and of the outputs, that may be bound to shared memory."""
    allowed = PLAIN_VALUES if version in PROBED_VERSIONS else frozenset[Operator]()
    native = _made_by_openvino(plan)
    uses: Counter[OperandId] = Counter()
    barred: set[OperandId] = set()
    makers: dict[OperandId, bool] = {}
    for operation in graph.operations:
        plain = operation.operator in allowed and native.issuperset(operation.outputs)
        for operand in operation.operand_ids():
            uses[operand] += 1
            if not plain:
                barred.add(operand)
        makers.update(dict.fromkeys(operation.outputs, plain))
    named = Counter(operand for _, operand in graph.outputs)
    inputs = frozenset(name for name, operand in graph.inputs if operand not in barred)
    outputs = frozenset(
        name for name, operand in graph.outputs if makers.get(operand) and not uses[operand] and named[operand] == 1
    )
    return inputs, outputs


def _made_by_openvino(plan: Plan) -> set[OperandId]:
    """Operands of the graph that an OpenVINO model makes, crossing or not."""
    made: set[OperandId] = set()
    for step in plan.steps:
        if isinstance(step, ModelStep) and step.engine is Engine.OPENVINO:
            made.update(step.made)
    return made
