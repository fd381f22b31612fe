"""Conversion of arguments, before any step of the specification: Web IDL's part, with Python's manners."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

import numpy.typing as npt

from ipc.descriptors import INT4S, DataType, Descriptor
from ipc.errors import MLTypeError, escape_label
from ipc.numbers import MLNumber
from ipc.operators import list_of, number, uint32
from ipc.text import scalar_string

DataTypeLike = DataType | str | npt.DTypeLike
"""A data type by name (`"float32"`) or as NumPy's dtype or scalar type."""

T = TypeVar("T")

_UINT32_LIST = list_of(uint32()).kind
_NUMBER = number(cast_to="").kind


def to_descriptor(data_type: Descriptor | DataTypeLike, shape: Iterable[int] | None, *, int4: bool) -> Descriptor:
    """The descriptor given as such, or as type and shape.

    Args:
        int4: whether the context knows the 4-bit types.

    Raises:
        MLTypeError: it is neither; dimensions are not looked at yet.
    """
    if isinstance(data_type, Descriptor):
        if shape is not None:
            raise MLTypeError("a descriptor has a shape already: give one or the other")
        descriptor = Descriptor(to_data_type(data_type.data_type), to_shape(data_type.shape))
    elif shape is None:
        raise MLTypeError("the shape is missing: give a data type and a shape, or a Descriptor")
    else:
        descriptor = Descriptor(to_data_type(data_type), to_shape(shape))
    if descriptor.data_type in INT4S and not int4:
        raise MLTypeError(f"{descriptor.data_type} needs a context made with experimental_int4=True")
    return descriptor


def to_data_type(value: DataTypeLike) -> DataType:
    """Raises:
    MLTypeError: it names no data type.
    """
    try:
        return DataType.of(value)
    except (TypeError, ValueError):
        names = ", ".join(DataType)
        raise MLTypeError(f"{value!r} is no data type: {names}") from None


def to_shape(value: Iterable[int]) -> tuple[int, ...]:
    """Raises:
    MLTypeError: it is no list of numbers that are unsigned 32-bit integers.
    """
    try:
        return tuple(_UINT32_LIST.convert(value))
    except (TypeError, ValueError) as error:
        raise MLTypeError(f"shape: {error}") from None


def to_number(value: object, what: str) -> MLNumber:
    """An exact int or any float.

    Raises:
        MLTypeError: it is no number.
    """
    try:
        converted: MLNumber = _NUMBER.convert(value)
    except (TypeError, ValueError) as error:
        raise MLTypeError(f"{what}: {error}") from None
    return converted


def to_choice(value: object, choices: Iterable[str], what: str) -> str:
    """One of some strings.

    Raises:
        MLTypeError: it is none of them.
    """
    if not isinstance(value, str) or value not in choices:
        raise MLTypeError(f"{what}: {value!r} is none of {', '.join(choices)}")
    return value


def to_text(value: object, what: str) -> str:
    """A string of Unicode scalar values, as Web IDL's USVString: lone surrogates are replaced.

    Raises:
        MLTypeError: it is no string.
    """
    if not isinstance(value, str):
        raise MLTypeError(f"{what} is a string, not {value!r}")
    return scalar_string(value)


def to_named(value: Mapping[str, T], kind: type[T], what: str) -> dict[str, T]:
    """A mapping of names to objects of one kind, in its order.

    Raises:
        MLTypeError: it is something else.
    """
    if not isinstance(value, Mapping):
        raise MLTypeError(f"{what} are a mapping of names, not {value!r}")
    named = {to_text(name, f"a name of {what}"): item for name, item in value.items()}
    for name, item in named.items():
        of_kind(item, kind, f"{what} [{escape_label(name)}]")
    return named


def of_kind(value: object, kind: type[T], what: str) -> T:
    """Raises:
    MLTypeError: the value is of another kind.
    """
    if not isinstance(value, kind):
        raise MLTypeError(f"{what}: {kind.__name__} expected, not {value!r}")
    return value
