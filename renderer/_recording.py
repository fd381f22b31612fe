"""What a builder records, and the part of it that the outputs need.

Operations are recorded after the operands they read, so that their order is topological and nothing here recurses.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ipc.descriptors import Descriptor
from ipc.graph import Graph, OperandId, Operation, SlotOperands
from ipc.operators import Operator
from renderer._constants import Constants

if TYPE_CHECKING:
    from renderer.tensor import MLTensor


@dataclass(slots=True)
class Recording:
    """Everything made by a builder; an operand's id is its index.

    Attributes:
        operands: descriptor of each.
        inputs: id by name.
        input_ids: the same ids, to look one up.
        constants: where the bytes of each constant are in `data`, or its tensor.
        data: the bytes of the constants.
        operations: in the order of the calls.
    """

    operands: list[Descriptor] = field(default_factory=list)
    inputs: dict[str, OperandId] = field(default_factory=dict)
    input_ids: set[OperandId] = field(default_factory=set)
    constants: dict[OperandId, int | MLTensor] = field(default_factory=dict)
    data: Constants = field(default_factory=Constants)
    operations: list[Operation] = field(default_factory=list)

    def add_input(self, name: str, descriptor: Descriptor) -> OperandId:
        self.inputs[name] = operand = self._add(descriptor)
        self.input_ids.add(operand)
        return operand

    def add_constant(self, data: memoryview | MLTensor, descriptor: Descriptor) -> OperandId:
        """Record a constant, its bytes copied; its id."""
        source = self.data.add(data) if isinstance(data, memoryview) else data
        operand = self._add(descriptor)
        self.constants[operand] = source
        return operand

    def add_operation(
        self,
        operator: Operator,
        operands: Mapping[str, SlotOperands],
        attributes: Mapping[str, Any],
        outputs: Iterable[Descriptor],
        label: str,
    ) -> tuple[OperandId, ...]:
        """Record an operation that was validated; the ids of its outputs."""
        made = tuple(self._add(descriptor) for descriptor in outputs)
        self.operations.append(Operation(operator, operands, attributes, made, label))
        return made

    def needed_for(self, outputs: Mapping[str, OperandId]) -> tuple[Graph, dict[OperandId, int | MLTensor]]:
        """The graph of what the outputs depend on, with ids of its own, and its constants by these ids."""
        needed = set(outputs.values())
        operations = []
        for operation in reversed(self.operations):
            if not needed.isdisjoint(operation.outputs):
                operations.append(operation)
                needed.update(operation.operand_ids())
                needed.update(operation.outputs)  # an output that nobody reads is still made
        kept = sorted(needed)
        renumbered = {old: new for new, old in enumerate(kept)}
        graph = Graph(
            operands=[self.operands[operand] for operand in kept],
            inputs=[(name, renumbered[operand]) for name, operand in self.inputs.items() if operand in needed],
            operations=[_renumber(operation, renumbered) for operation in reversed(operations)],
            outputs=[(name, renumbered[operand]) for name, operand in outputs.items()],
        )
        constants = {renumbered[operand]: source for operand, source in self.constants.items() if operand in needed}
        return graph, constants

    def _add(self, descriptor: Descriptor) -> OperandId:
        self.operands.append(descriptor)
        return len(self.operands) - 1


def _renumber(operation: Operation, ids: Mapping[OperandId, OperandId]) -> Operation:
    def renumbered(value: SlotOperands) -> SlotOperands:
        if isinstance(value, tuple):
            return tuple(ids[operand] for operand in value)
        return None if value is None else ids[value]

    operands = {name: renumbered(value) for name, value in operation.operands.items()}
    return replace(operation, operands=operands, outputs=tuple(ids[operand] for operand in operation.outputs))
