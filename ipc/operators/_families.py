"""Constructors of the families whose members differ only in name, data types and formula."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from ipc.descriptors import DataType, Descriptor, broadcast_shapes
from ipc.operators._declaration import Operator, Options, Slot, declare, operand
from ipc.operators._rules import Rule

BROADCAST_RULES = {"broadcast": "the shapes of a and b broadcast"}
AXIS_RULES = {"axis": "axis is a dimension of the input"}
AXES_RULES = {"axes_range": "axes are dimensions of the input", "axes_unique": "axes are unique"}


def unary(
    name: str,
    data_types: Iterable[DataType],
    formula: str,
    *,
    required: Iterable[DataType] | None = None,
    options: type[Options] = Options,
) -> Operator:
    """One operand, and an output that is like it."""

    def infer(_rule: Rule, input: Descriptor, *_options: Options) -> Descriptor:
        return input

    input = operand(data_types, required=required)
    return declare(infer, name=name, parameters={"input": input}, options=options, doc=formula)


def predicate(name: str, data_types: Iterable[DataType], formula: str, *, spec_name: str | None = None) -> Operator:
    """One operand, and 1 or 0 per element."""

    def infer(_rule: Rule, a: Descriptor) -> Descriptor:
        return Descriptor(DataType.UINT8, a.shape)

    return declare(
        infer,
        name=name,
        spec_name=spec_name,
        parameters={"a": operand(data_types)},
        outputs={"output": truth()},
        doc=formula,
    )


def binary(
    name: str, data_types: Iterable[DataType], formula: str, *, required: Iterable[DataType] | None = None
) -> Operator:
    """Two operands of one data type whose shapes broadcast."""

    def infer(rule: Rule, a: Descriptor, b: Descriptor) -> Descriptor:
        return a if a.shape == b.shape else Descriptor(a.data_type, broadcast(rule, "broadcast", a=a, b=b))

    parameters = {"a": operand(data_types, required=required), "b": operand(data_types, required=required, like="a")}
    return declare(infer, name=name, parameters=parameters, rules=BROADCAST_RULES, doc=formula)


def comparison(
    name: str, data_types: Iterable[DataType], formula: str, *, required: Iterable[DataType] | None = None
) -> Operator:
    """Two operands of one data type whose shapes broadcast, and 1 or 0 per element."""

    def infer(rule: Rule, a: Descriptor, b: Descriptor) -> Descriptor:
        return Descriptor(DataType.UINT8, broadcast(rule, "broadcast", a=a, b=b))

    return declare(
        infer,
        name=name,
        parameters={"a": operand(data_types, required=required), "b": operand(data_types, required=required, like="a")},
        outputs={"output": truth()},
        rules=BROADCAST_RULES,
        doc=formula,
    )


def truth() -> Slot:
    """The output of comparisons and logic: 1 or 0."""
    slot: Slot = operand({DataType.UINT8})
    return slot


def broadcast(rule: Rule, rule_id: str, **operands: Descriptor) -> tuple[int, ...]:
    """The common shape of two operands, by the rule with this id that there is one."""
    a, b = operands.values()
    if a.shape == b.shape:
        return a.shape
    shape = broadcast_shapes(a.shape, b.shape)
    rule(rule_id, shape is not None, **{name: operand.shape for name, operand in operands.items()})
    assert shape is not None
    return shape


def check_axis(rule: Rule, axis: int, input: Descriptor) -> None:
    """`AXIS_RULES`."""
    rule("axis", axis < input.rank, axis=axis, input=input.shape)


def check_axes(rule: Rule, axes: Sequence[int], input: Descriptor) -> Collection[int]:
    """`AXES_RULES`; the axes as a set."""
    rule("axes_range", all(axis < input.rank for axis in axes), axes=axes, input=input.shape)
    unique = frozenset(axes)
    rule("axes_unique", len(unique) == len(axes), axes=axes)
    return unique
