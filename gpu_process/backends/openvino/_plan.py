"""How a graph is cut into steps that run one after the other.

Three kinds of step:

- an OpenVINO model: operations that OpenVINO computes exactly, as many together as the order allows, but no more than
  `MAX_OPERATORS`: compile time grows faster than the length of a chain, and very long ones overflow the compiler's
  stack (hazard H13);
- a reference graph: operations that the reference kernels compute;
- a guard: an index operand brought into range, in memory that nothing else sees, before OpenVINO reads it.

Operations get a stage: OpenVINO's are even, the others odd, and every value is used in the stage it is made in, if the
kind is the same, or in a later one. Operations of one stage go into one step. Everything here is linear in the size of
the graph and without recursion.
"""

from __future__ import annotations

import enum
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ipc.descriptors import DataType, Descriptor
from ipc.graph import Graph, OperandId, Operation, SlotOperands

MAX_OPERATORS = 256
"""Operators per OpenVINO model. Measured on mixed element-wise chains: 125 compile in 0.07 s, 250 in 0.2 s, 500 in
0.7 s, 1000 in 3.3 s; a cut costs one call, about 6 µs, and a pass over what crosses it."""

ValueId = int
"""An operand of the graph, or, from `len(graph.operands)` on, what a guard makes of one."""


class Engine(enum.Enum):
    OPENVINO = "openvino"
    REFERENCE = "reference"


@dataclass(frozen=True, slots=True)
class Native:
    """That an operation can run in OpenVINO, and what has to be minded.

    Attributes:
        guard: (slot, bounds) of an index operand that has to be brought into range first.
        materialises: the results must leave the model before they are used.
    """

    guard: tuple[str, tuple[int, ...]] | None = None
    materialises: bool = False


@dataclass(frozen=True, slots=True)
class ModelStep:
    """A part of the graph for one engine, as a graph of its own whose operand ids start again at 0.

    Attributes:
        inputs: the values that it reads, in the order of `graph.inputs`.
        outputs: the values that others use of it, in the order of `graph.outputs`.
        made: all values that it makes.
        constants: the constants that it uses, by id in `graph`.
    """

    engine: Engine
    graph: Graph
    inputs: tuple[ValueId, ...]
    outputs: tuple[ValueId, ...]
    made: tuple[ValueId, ...]
    constants: Mapping[OperandId, ValueId]


@dataclass(frozen=True, slots=True)
class GuardStep:
    """Indices brought into range, as int32.

    Attributes:
        bounds: the size that all indices count in, or one size per column of the last dimension.
    """

    source: ValueId
    target: ValueId
    bounds: tuple[int, ...]


Step = ModelStep | GuardStep


@dataclass(slots=True)
class Plan:
    """Steps in order, and the descriptors of all values.

    Attributes:
        constant_guards: guards of constants, to be run once, before anything is compiled.
    """

    descriptors: list[Descriptor]
    steps: list[Step] = field(default_factory=list)
    constant_guards: list[GuardStep] = field(default_factory=list)


def make_plan(graph: Graph, classify: Callable[[Operation], Native | None], max_operators: int = MAX_OPERATORS) -> Plan:
    """Cut a graph.

    Args:
        classify: how OpenVINO can run an operation; None where the reference must.
    """
    planner = _Planner(graph)
    for operation in graph.operations:
        native = classify(operation)
        if native is None:
            planner.add_reference(operation)
        else:
            planner.add_native(operation, native)
    return planner.finish(max_operators)


_FIRST_NATIVE, _FIRST_REFERENCE = 0, -1


@dataclass(frozen=True, slots=True)
class _Since:
    """The first stage at which a value can be used by each kind of operation."""

    native: int = _FIRST_NATIVE
    reference: int = _FIRST_REFERENCE


class _Planner:
    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._plan = Plan(list(graph.operands))
        self._since: dict[ValueId, _Since] = defaultdict(_Since)
        self._constants: set[ValueId] = set(graph.constants)
        self._operations: dict[int, list[Operation]] = defaultdict(list)
        self._guards: dict[int, list[GuardStep]] = defaultdict(list)
        self._guarded: dict[tuple[ValueId, tuple[int, ...]], ValueId] = {}

    def add_reference(self, operation: Operation) -> None:
        stage = max((self._since[operand].reference for operand in operation.operand_ids()), default=_FIRST_REFERENCE)
        self._place(operation, stage, _Since(native=stage + 1, reference=stage))

    def add_native(self, operation: Operation, native: Native) -> None:
        if native.guard is not None:
            slot, bounds = native.guard
            indices = operation.operands[slot]
            assert isinstance(indices, int)
            operation = replace(operation, operands={**operation.operands, slot: self._guard(indices, bounds)})
        stage = max((self._since[operand].native for operand in operation.operand_ids()), default=_FIRST_NATIVE)
        self._place(operation, stage, _Since(native=stage + 2 * native.materialises, reference=stage + 1))

    def _place(self, operation: Operation, stage: int, since: _Since) -> None:
        self._operations[stage].append(operation)
        for output in operation.outputs:
            self._since[output] = since

    def _guard(self, source: ValueId, bounds: tuple[int, ...]) -> ValueId:
        known = self._guarded.get((source, bounds))
        if known is not None:
            return known
        target = len(self._plan.descriptors)
        self._plan.descriptors.append(Descriptor(DataType.INT32, self._plan.descriptors[source].shape))
        self._guarded[source, bounds] = target
        guard = GuardStep(source, target, bounds)
        if source in self._constants:
            self._constants.add(target)
            self._plan.constant_guards.append(guard)
        else:
            stage = self._since[source].reference
            self._guards[stage].append(guard)
            self._since[target] = _Since(native=stage + 1, reference=stage)
        return target

    def finish(self, max_operators: int) -> Plan:
        groups: list[tuple[Engine, Sequence[Operation]] | GuardStep] = []
        for stage in sorted(self._operations.keys() | self._guards.keys()):
            operations = self._operations.get(stage, [])
            if stage % 2:
                if operations:
                    groups.append((Engine.REFERENCE, operations))
                groups.extend(self._guards.get(stage, []))
            else:
                groups.extend((Engine.OPENVINO, part) for part in _parts(operations, max_operators))
        crossing = self._crossing(groups)
        for group in groups:
            self._plan.steps.append(group if isinstance(group, GuardStep) else self._model_step(*group, crossing))
        return self._plan

    def _crossing(self, groups: Iterable[tuple[Engine, Sequence[Operation]] | GuardStep]) -> set[ValueId]:
        """The values that are used outside the step that makes them."""
        crossing = {operand for _, operand in self._graph.outputs}
        for group in groups:
            if isinstance(group, GuardStep):
                crossing.add(group.source)
                continue
            made = {output for operation in group[1] for output in operation.outputs}
            read = {operand for operation in group[1] for operand in operation.operand_ids()}
            crossing |= read - made
        return crossing

    def _model_step(self, engine: Engine, operations: Sequence[Operation], crossing: set[ValueId]) -> ModelStep:
        local: dict[ValueId, OperandId] = {}
        graph = Graph()
        inputs: list[ValueId] = []
        constants: dict[OperandId, ValueId] = {}

        def entered(value: ValueId) -> OperandId:
            if value not in local:
                local[value] = len(graph.operands)
                graph.operands.append(self._plan.descriptors[value])
                if value in self._constants:
                    constants[local[value]] = value
                else:
                    graph.inputs.append((str(len(inputs)), local[value]))
                    inputs.append(value)
            return local[value]

        def made(value: ValueId) -> OperandId:
            local[value] = len(graph.operands)
            graph.operands.append(self._plan.descriptors[value])
            return local[value]

        outputs: list[ValueId] = []
        for operation in operations:
            operands = {slot: _mapped(value, entered) for slot, value in operation.operands.items()}
            ids = tuple(made(output) for output in operation.outputs)
            graph.operations.append(replace(operation, operands=operands, outputs=ids))
            outputs.extend(output for output in operation.outputs if output in crossing)
        graph.outputs = [(str(index), local[value]) for index, value in enumerate(outputs)]
        values = tuple(output for operation in operations for output in operation.outputs)
        return ModelStep(engine, graph, tuple(inputs), tuple(outputs), values, constants)


def _parts(operations: Sequence[Operation], size: int) -> list[Sequence[Operation]]:
    """Equal parts of at most `size`."""
    count = -(-len(operations) // size)
    bounds = [len(operations) * part // count for part in range(count + 1)]
    return [operations[first:last] for first, last in itertools.pairwise(bounds)]


def _mapped(value: SlotOperands, entered: Callable[[ValueId], OperandId]) -> SlotOperands:
    if isinstance(value, tuple):
        return tuple(entered(each) for each in value)
    return None if value is None else entered(value)
