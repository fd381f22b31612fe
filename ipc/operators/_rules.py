"""Rules of operators: how one is stated, what is checked of slots and outputs, what a broken one raises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ipc.descriptors import DataType, Descriptor
from ipc.limits import TensorLimits

if TYPE_CHECKING:
    from ipc.operators._declaration import Operator, Slot

SlotValue = Descriptor | tuple[Descriptor, ...] | None

_SHOWN_ENTRIES = 16


class RuleError(Exception):
    """A rule of an operator does not hold.

    Attributes:
        operator: name of the operator.
        rule: the rule's stable id, qualified: `gemm.inner`.
        sentence: the rule in words.
        values: the offending values by name.
    """

    def __init__(self, operator: str, rule: str, sentence: str, values: Mapping[str, object]) -> None:
        super().__init__(operator, rule, sentence, values)
        self.operator = operator
        self.rule = rule
        self.sentence = sentence
        self.values = values

    def message(self, label: str = "") -> str:
        """The whole story: `gemm [label]: sentence: a (128, 64), b (32, 128)`; the label is shown as it was given."""
        place = f"{self.operator} [{label}]" if label else self.operator
        values = ", ".join(f"{name} {_shown(value)}" for name, value in self.values.items())
        return f"{place}: {self.sentence}" + (f": {values}" if values else "")

    def __str__(self) -> str:
        return self.message()


def _shown(value: object) -> str:
    if isinstance(value, DataType):
        return value.value
    if isinstance(value, tuple) and len(value) > _SHOWN_ENTRIES:  # a caller may give a million of them
        head = ", ".join(repr(entry) for entry in value[:_SHOWN_ENTRIES])
        return f"({head}, ... {len(value)} entries)"
    return repr(value)


class Rule:
    """Handed to a declaration's function: states its rules one by one, the first that does not hold ends it."""

    __slots__ = ("_max_byte_length", "_operands", "_operator", "_supported")

    def __init__(
        self,
        operator: Operator,
        operands: Mapping[str, SlotValue],
        supported: Mapping[str, TensorLimits],
        max_byte_length: int,
    ) -> None:
        self._operator = operator
        self._operands = operands
        self._supported = supported
        self._max_byte_length = max_byte_length

    def __call__(self, rule: str, holds: bool, /, **values: object) -> None:
        """State that the rule with this id (declared in `rules`) holds; `values` are shown where it doesn't.

        Raises:
            RuleError: it does not hold.
        """
        sentence = self._operator.rules[rule]
        if not holds:
            raise self._broken(rule, sentence, values)

    def slot(self, name: str) -> None:
        """Check data type and rank of a slot here, in the order of the rules, where it was declared `late`.

        Late slots that the declaration's function doesn't check are checked after it.
        """
        slot, value = self._operator.slots[name], self._operands[name]
        supported = self._supported[name]
        if isinstance(value, Descriptor):
            self._check_slot(slot, value, supported)
        elif value is not None:
            for descriptor in value:
                self._check_slot(slot, descriptor, supported)

    def output(self, descriptor: Descriptor, name: str = "output") -> Descriptor:
        """Check an output here, in the order of the rules, before a cost depends on its size; return it."""
        supported = self._supported[name]
        if descriptor.data_type not in supported.data_types:
            sentence = data_type_sentence(name)
            raise self._broken(f"{name}.data_type", sentence, {name: descriptor.data_type})
        if not supported.min_rank <= len(descriptor.shape) <= supported.max_rank:
            raise self._broken(f"{name}.rank", _rank_sentence(name, supported), {name: descriptor.shape})
        problem = descriptor.problem(self._max_byte_length)
        if problem is not None:
            sentence = f"{name} has valid dimensions and a supported size ({problem})"
            raise self._broken(f"{name}.dimensions", sentence, {name: descriptor.shape})
        return descriptor

    def outputs(self, descriptors: tuple[Descriptor, ...]) -> tuple[Descriptor, ...]:
        """Check all outputs and return them; trailing ones that the options did not ask for may be missing."""
        slots = list(self._operator.outputs.values())
        if slots[0].presence == "variadic":
            slots *= len(descriptors)
        for slot, descriptor in zip(slots, descriptors):  # noqa: B905
            self.output(descriptor, slot.name)
        return descriptors

    def _check_slot(self, slot: Slot, descriptor: Descriptor, supported: TensorLimits) -> None:
        data_type, name = descriptor.data_type, slot.name
        if slot.same_type_as is not None:
            like = self._operands[slot.same_type_as]
            assert isinstance(like, Descriptor)
            if data_type != like.data_type:
                values = {name: data_type, slot.same_type_as: like.data_type}
                raise self._broken(f"{name}.data_type", data_type_sentence(name, slot.same_type_as), values)
        if data_type not in supported.data_types:
            raise self._broken(f"{name}.data_type", data_type_sentence(name), {name: data_type})
        if not supported.min_rank <= len(descriptor.shape) <= supported.max_rank:
            raise self._broken(f"{name}.rank", _rank_sentence(name, supported), {name: descriptor.shape})

    def _broken(self, rule: str, sentence: str, values: Mapping[str, object]) -> RuleError:
        return RuleError(self._operator.name, f"{self._operator.name}.{rule}", sentence, values)


def data_type_sentence(name: str, same_type_as: str | None = None) -> str:
    if same_type_as is not None:
        return f"{name} has the data type of {same_type_as}"
    return f"the data type of {name} is supported"


def _rank_sentence(name: str, supported: TensorLimits) -> str:
    if supported.min_rank == supported.max_rank:
        return f"the rank of {name} is {supported.min_rank}"
    return f"the rank of {name} is within {supported.min_rank} to {supported.max_rank}"
