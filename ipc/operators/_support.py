"""Support limits as they follow from the declarations, before a backend cuts them down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ipc.descriptors import INT4S
from ipc.limits import ANY_TENSOR, SupportLimits, TensorLimits
from ipc.operators._declaration import REGISTRY, Operator


def declared_limits() -> SupportLimits:
    """The ceiling: everything that the declarations allow."""
    return SupportLimits({name: operator_limits(operator) for name, operator in REGISTRY.items()})


def operator_limits(operator: Operator) -> dict[str, TensorLimits]:
    """Limits per operand and output of one operator, as declared. A name in both holds for both."""
    return {name: slot.limits for name, slot in {**operator.slots, **operator.outputs}.items()}


def with_int4(limits: SupportLimits) -> SupportLimits:
    """The limits of a context created with `experimental_int4`: extension types are let in where they are declared."""

    def widened(operator: Operator, entries: Mapping[str, TensorLimits]) -> dict[str, TensorLimits]:
        slots = {**operator.slots, **operator.outputs}
        return {
            name: replace(entry, data_types=entry.data_types | slots[name].extension_types)
            for name, entry in entries.items()
        }

    operators = {name: widened(REGISTRY[name], entries) for name, entries in limits.operators.items()}
    top = replace(ANY_TENSOR, data_types=ANY_TENSOR.data_types | INT4S)
    return replace(limits, operators=operators, input=top, constant=top, output=top)


def limits_to_json(limits: SupportLimits) -> dict[str, object]:
    """The specification's `MLOpSupportLimits`, camelCase keys, JSON-ready."""
    result: dict[str, object] = {
        "preferredInputLayout": limits.preferred_input_layout,
        "maxTensorByteLength": limits.max_tensor_byte_length,
        "input": limits.input.to_json(),
        "constant": limits.constant.to_json(),
        "output": limits.output.to_json(),
    }
    for name, entries in limits.operators.items():
        operator = REGISTRY[name]
        slots = {**operator.slots, **operator.outputs}
        result[operator.spec_name] = {slots[key].spec_name: entry.to_json() for key, entry in entries.items()}
    return result
