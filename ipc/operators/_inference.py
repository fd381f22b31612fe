"""Validation and inference: one function, run by the renderer and again, on its own, by the GPU process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ipc.descriptors import Descriptor
from ipc.limits import SupportLimits, TensorLimits
from ipc.numbers import cast_number
from ipc.operators._declaration import Operator, Rule, RuleError, Slot, SlotValue, data_type_sentence


def cast_attributes(
    operator: Operator, operands: Mapping[str, SlotValue], attributes: Mapping[str, Any]
) -> dict[str, Any]:
    """The attributes with every number cast to the data type of the operand that it belongs to (idempotent)."""
    cast = dict(attributes)
    for name, attribute in operator.attributes.items():
        value = cast[name]
        if attribute.cast_to is not None and value is not None:
            target = operands[attribute.cast_to]
            assert isinstance(target, Descriptor)
            cast[name] = cast_number(value, target.data_type)
    return cast


def infer_outputs(
    operator: Operator,
    operands: Mapping[str, SlotValue],
    attributes: Mapping[str, Any],
    limits: SupportLimits,
) -> tuple[Descriptor, ...]:
    """The output descriptors of `operator`, all its rules checked.

    Args:
        operands: a descriptor per slot; None for an absent option, a tuple for a variadic slot. Every slot is a key.
        attributes: canonical values, every attribute a key, numbers cast by `cast_attributes`.
        limits: what the context supports.

    Raises:
        RuleError: the first rule that does not hold.
    """
    supported = limits.operators.get(operator.name)
    if supported is None:
        raise RuleError(operator.name, f"{operator.name}.supported", "the backend supports this operator", {})

    def check_slot(name: str) -> None:
        slot, value = operator.slots[name], operands[name]
        for descriptor in value if isinstance(value, tuple) else () if value is None else (value,):
            _check_slot(operator, slot, descriptor, operands, supported[name])

    for name, slot in operator.slots.items():
        if not slot.late:
            check_slot(name)
    values = {**operands, **attributes}
    arguments = [values[name] for name in operator.positional]
    if operator.options.members:
        arguments.append(operator.options({name: values[name] for name in operator.options.members}))
    inferred = operator.infer(Rule(operator, check_slot), *arguments)
    outputs = (inferred,) if isinstance(inferred, Descriptor) else tuple(inferred)
    for slot, descriptor in zip(_output_slots(operator, outputs), outputs, strict=True):
        _check_output(operator, slot, descriptor, supported[slot.name], limits)
    return outputs


def _check_slot(
    operator: Operator,
    slot: Slot,
    descriptor: Descriptor,
    operands: Mapping[str, SlotValue],
    supported: TensorLimits,
) -> None:
    data_type, name = descriptor.data_type, slot.name
    if slot.same_type_as is not None:
        like = operands[slot.same_type_as]
        assert isinstance(like, Descriptor)
        if data_type != like.data_type:
            values = {name: data_type, slot.same_type_as: like.data_type}
            raise RuleError(operator.name, f"{operator.name}.{name}.data_type", data_type_sentence(slot), values)
    if not supported.allows_type(data_type):
        sentence = f"the data type of {name} is supported"
        raise RuleError(operator.name, f"{operator.name}.{name}.data_type", sentence, {name: data_type})
    if not supported.allows_rank(descriptor.rank):
        sentence = f"the rank of {name} is within {supported.min_rank} to {supported.max_rank}"
        raise RuleError(operator.name, f"{operator.name}.{name}.rank", sentence, {name: descriptor.shape})


def _output_slots(operator: Operator, outputs: Sequence[Descriptor]) -> list[Slot]:
    slots = list(operator.outputs.values())
    if slots[0].presence == "variadic":
        return slots * len(outputs)
    return slots[: len(outputs)]  # trailing outputs may be absent (a sequence that was not asked for)


def _check_output(
    operator: Operator, slot: Slot, descriptor: Descriptor, supported: TensorLimits, limits: SupportLimits
) -> None:
    name = slot.name
    if not supported.allows_type(descriptor.data_type):
        sentence = f"the data type of {name} is supported"
        raise RuleError(operator.name, f"{operator.name}.{name}.data_type", sentence, {name: descriptor.data_type})
    if not supported.allows_rank(descriptor.rank):
        sentence = f"the rank of {name} is within {supported.min_rank} to {supported.max_rank}"
        raise RuleError(operator.name, f"{operator.name}.{name}.rank", sentence, {name: descriptor.shape})
    problem = descriptor.problem(limits.max_tensor_byte_length)
    if problem is not None:
        sentence = f"{name} has valid dimensions and a supported size ({problem})"
        raise RuleError(operator.name, f"{operator.name}.{name}.dimensions", sentence, {name: descriptor.shape})
