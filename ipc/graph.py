"""A graph as both sides hold it: what the renderer records and what the GPU process decodes, validates and compiles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ipc.descriptors import Descriptor
from ipc.operators import Operator

OperandId = int
SlotOperands = OperandId | tuple[OperandId, ...] | None


@dataclass(frozen=True, slots=True)
class Operation:
    """One operator in a graph.

    Attributes:
        operands: operand ids by slot name, every slot a key in the order of the declaration; None where absent.
        attributes: canonical values by name, every attribute a key, numbers cast to their operand's data type.
        outputs: ids of the operands it makes.
        label: the caller's untrusted text for messages.
    """

    operator: Operator
    operands: Mapping[str, SlotOperands]
    attributes: Mapping[str, Any]
    outputs: tuple[OperandId, ...]
    label: str = ""

    def operand_ids(self) -> list[OperandId]:
        """All operands it reads, in slot order."""
        ids: list[OperandId] = []
        for value in self.operands.values():
            if isinstance(value, tuple):
                ids.extend(value)
            elif value is not None:
                ids.append(value)
        return ids


@dataclass(frozen=True, slots=True)
class ConstantSource:
    """Where the bytes of a constant are: a part of a sealed region, or a constant tensor.

    Attributes:
        token: 16 bytes: the region's, or the tensor's if `is_tensor`.
        offset: bytes from the start of the region; 0 for a tensor.
    """

    token: bytes
    offset: int = 0
    is_tensor: bool = False


@dataclass(slots=True)
class Graph:
    """Operands by id, operations in topological order.

    Attributes:
        operands: descriptor of each operand; an operand's id is its index.
        inputs: (name, id) in order.
        constants: source of each constant operand.
        outputs: (name, id) in order; one operand may have two names.
    """

    operands: list[Descriptor] = field(default_factory=list)
    inputs: list[tuple[str, OperandId]] = field(default_factory=list)
    constants: dict[OperandId, ConstantSource] = field(default_factory=dict)
    operations: list[Operation] = field(default_factory=list)
    outputs: list[tuple[str, OperandId]] = field(default_factory=list)

    def input_descriptors(self) -> dict[str, Descriptor]:
        return {name: self.operands[operand] for name, operand in self.inputs}

    def output_descriptors(self) -> dict[str, Descriptor]:
        return {name: self.operands[operand] for name, operand in self.outputs}
