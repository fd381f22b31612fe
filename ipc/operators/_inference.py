"""Validation and inference: one function, run by the renderer and again, on its own, by the GPU process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ipc.descriptors import Descriptor
from ipc.limits import SupportLimits
from ipc.numbers import cast_number
from ipc.operators._declaration import Operator
from ipc.operators._rules import Rule, RuleError, SlotValue


def cast_attributes(
    operator: Operator, operands: Mapping[str, SlotValue], attributes: Mapping[str, Any]
) -> dict[str, Any]:
    """The attributes with every number cast to the data type of the operand that it belongs to (idempotent)."""
    cast = dict(attributes)
    for name, slot in operator.casts:
        value, target = cast[name], operands[slot]
        if value is not None:
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
        RuleError: the first rule that does not hold; nothing else, whatever the values.
    """
    supported = limits.operators.get(operator.name)
    if supported is None:
        raise RuleError(operator.name, f"{operator.name}.supported", "the backend supports this operator", {})
    rule = Rule(operator, operands, supported, limits.max_tensor_byte_length)
    for name in operator.early_slots:
        rule.slot(name)
    arguments: list[Any] = [operands[name] if name in operands else attributes[name] for name in operator.positional]
    if operator.options.members:
        arguments.append(operator.options({**operands, **attributes}))
    inferred = operator.infer(rule, *arguments)
    for name in operator.late_slots:
        rule.slot(name)
    if isinstance(inferred, Descriptor):
        (name,) = operator.outputs
        return (rule.output(inferred, name),)
    return rule.outputs(tuple(inferred))
