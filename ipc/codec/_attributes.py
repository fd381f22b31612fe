"""Attributes of operators on the wire: which forms each kind may take, and how each form reads and writes.

The table of forms is the only place that knows the kinds by name; a kind that is missing fails when the first operator
with it is encoded or decoded, which a test does for every declared operator.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ipc.codec._common import decode_data_type, encode_data_type
from ipc.codec._strict import MAX_ENTRIES, CodecError
from ipc.descriptors import DataType
from ipc.generated.webnn.v1 import graph_pb2
from ipc.operators import Attribute, Kind, Operator
from ipc.verdicts import BadMessageReason

_SCALAR_FORMS = {
    "uint32": ("uint",),
    "modulo_uint32": ("uint",),
    "int32": ("int",),
    "float64": ("real",),
    "float32": ("real",),
    "number": ("real", "signed_number", "unsigned_number"),
    "bool": ("boolean",),
    "enum": ("text",),
    "data_type": ("data_type",),
}
_LIST_FORMS = {"uint": "uints", "real": "reals", "text": "texts"}
_LISTS = frozenset(_LIST_FORMS.values())
_INT64_MAX = 2**63 - 1


@dataclass(frozen=True, slots=True)
class _Plan:
    """How one attribute is decoded."""

    forms: frozenset[str]
    canonical: Callable[[object], bool]
    may_be_absent: bool


@functools.cache
def attribute_plans(operator: Operator) -> Mapping[str, _Plan]:
    """By attribute name; computed once per operator."""
    return {name: _plan(attribute) for name, attribute in operator.attributes.items()}


def _plan(attribute: Attribute) -> _Plan:
    return _Plan(frozenset(_forms(attribute.kind)), attribute.kind.canonical, attribute.default is None)


@functools.cache
def _forms(kind: Kind) -> tuple[str, ...]:
    if kind.element is None:
        return _SCALAR_FORMS[kind.name]
    single = _SCALAR_FORMS[kind.element.name]
    several = tuple(_LIST_FORMS[form] for form in single)
    return several if kind.name.startswith("list[") else single + several


def encode_attribute(target: graph_pb2.Attribute, attribute: Attribute, value: Any) -> None:
    """Write a canonical value into `target`."""
    target.name = attribute.name
    if value is None:
        target.absent.SetInParent()
        return
    forms = _forms(attribute.kind)
    if isinstance(value, tuple):
        form = next(form for form in forms if form in _LISTS)
        values = getattr(target, form)
        values.SetInParent()  # an empty list is not an absent one
        values.values.extend(value)
    elif isinstance(value, DataType):
        target.data_type = encode_data_type(value)
    elif "signed_number" in forms and isinstance(value, int):
        setattr(target, "signed_number" if value <= _INT64_MAX else "unsigned_number", value)
    else:
        setattr(target, forms[0], value)


def decode_attribute(message: graph_pb2.Attribute, plan: _Plan) -> Any:
    """The value of an attribute, in its canonical form.

    Raises:
        CodecError: another form than its kind takes, or a value that no conversion returns; the field is within
            `message`.
    """
    form = message.WhichOneof("value")
    if form is None:
        raise CodecError(BadMessageReason.MISSING_FIELD, "value")
    if form == "absent":
        if not plan.may_be_absent:
            raise CodecError(BadMessageReason.ATTRIBUTE_FORM, form)
        return None
    if form not in plan.forms:
        raise CodecError(BadMessageReason.ATTRIBUTE_FORM, form)
    value = getattr(message, form)
    if form in _LISTS:
        if len(value.values) > MAX_ENTRIES:
            raise CodecError(BadMessageReason.ATTRIBUTE_VALUE, form)
        value = tuple(value.values)
    elif form == "data_type":
        value = decode_data_type(value, form)
    elif form == "unsigned_number" and value <= _INT64_MAX:
        raise CodecError(BadMessageReason.ATTRIBUTE_FORM, form)
    if not plan.canonical(value):
        raise CodecError(BadMessageReason.ATTRIBUTE_VALUE, form)
    return value
