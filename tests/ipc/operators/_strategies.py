"""Hypothesis strategies for what a wire can deliver: canonical values, but any of them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from ipc.descriptors import ANY, MAX_DIMENSION, MAX_RANK, DataType, Descriptor, in_order
from ipc.operators import Attribute, Kind, Operator, Slot

_DIMENSIONS = st.one_of(st.integers(1, 5), st.sampled_from([2**16, 2**30, MAX_DIMENSION]))
_UINT32S = st.one_of(st.integers(0, 9), st.sampled_from([2**31 - 1, 2**31, 2**32 - 1]))
_FLOATS = st.floats(allow_nan=False, allow_infinity=False)
_SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "uint32": _UINT32S,
    "modulo_uint32": _UINT32S,
    "int32": st.integers(-(2**31), 2**31 - 1),
    "float64": _FLOATS,
    "float32": st.floats(allow_nan=False, allow_infinity=False, width=32),
    "number": st.one_of(st.floats(), st.integers(-(2**63), 2**64 - 1)),
    "bool": st.booleans(),
    "data_type": st.sampled_from(in_order(ANY)),
}

descriptors = st.builds(
    Descriptor, st.sampled_from(list(DataType)), st.lists(_DIMENSIONS, max_size=MAX_RANK + 1).map(tuple)
)


def operands(slot: Slot) -> st.SearchStrategy[Any]:
    """What may stand in a slot."""
    if slot.presence == "variadic":
        return st.lists(descriptors, max_size=4).map(tuple)
    return st.one_of(st.none(), descriptors) if slot.presence == "optional" else descriptors


def values(attribute: Attribute) -> st.SearchStrategy[Any]:
    """Any canonical value of an attribute."""
    canonical = _canonical(attribute.kind)
    return st.one_of(st.none(), canonical) if attribute.default is None else canonical


def _canonical(kind: Kind) -> st.SearchStrategy[Any]:
    if kind.name in _SCALARS:
        return _SCALARS[kind.name]
    if kind.element is None:
        return st.sampled_from(kind.choices)
    several = st.lists(_canonical(kind.element), max_size=10).map(tuple)
    return st.one_of(_canonical(kind.element), several) if " | " in kind.name else several


@st.composite
def garbage(draw: st.DrawFn, operator: Operator) -> tuple[dict[str, Any], dict[str, Any]]:
    """Operands and attributes with nothing right about them but their kinds."""
    return (
        {name: draw(operands(slot)) for name, slot in operator.slots.items()},
        {name: draw(values(attribute)) for name, attribute in operator.attributes.items()},
    )


@st.composite
def nearly_right(
    draw: st.DrawFn, operator: Operator, right: tuple[dict[str, Any], dict[str, Any]]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """A right call with one or two of its parts replaced."""
    given, attributes = dict(right[0]), dict(right[1])
    for name in draw(st.lists(st.sampled_from([*given, *attributes]), min_size=1, max_size=2)):
        if name in given:
            given[name] = draw(operands(operator.slots[name]))
        else:
            attributes[name] = draw(values(operator.attributes[name]))
    return given, attributes
