"""A call of an operator: descriptors and attributes, before there is a graph around it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ipc.descriptors import Descriptor
from ipc.limits import SupportLimits
from ipc.operators import Operator, RuleError, SlotValue, cast_attributes, infer_outputs


@dataclass(frozen=True, slots=True)
class Call:
    """What one operation is made from.

    Attributes:
        operands: by slot, every slot a key; None where absent, a tuple where variadic.
        attributes: canonical values, every attribute a key, numbers cast to their operand's type.
    """

    operator: Operator
    operands: Mapping[str, SlotValue]
    attributes: Mapping[str, Any]

    def with_operand(self, name: str, value: SlotValue) -> Call:
        """Another operand in a slot; numbers are cast anew, should its type be another."""
        return make_call(self.operator, {**self.operands, name: value}, self.attributes)

    def with_attribute(self, name: str, value: Any) -> Call:
        return make_call(self.operator, self.operands, {**self.attributes, name: value})

    def descriptors(self) -> Iterator[tuple[str, Descriptor]]:
        """All operands with the names of their slots."""
        for name, value in self.operands.items():
            for descriptor in value if isinstance(value, tuple) else () if value is None else (value,):
                yield name, descriptor

    def infer(self, limits: SupportLimits) -> tuple[Descriptor, ...]:
        """The output descriptors.

        Raises:
            RuleError: a rule does not hold.
        """
        return infer_outputs(self.operator, self.operands, self.attributes, limits)

    def refusal(self, limits: SupportLimits) -> RuleError | None:
        """The first rule that does not hold, or None."""
        try:
            self.infer(limits)
        except RuleError as error:
            return error
        return None


def make_call(operator: Operator, operands: Mapping[str, SlotValue], attributes: Mapping[str, Any]) -> Call:
    """A call, its numbers cast as the renderer casts them."""
    return Call(operator, operands, cast_attributes(operator, operands, attributes))
