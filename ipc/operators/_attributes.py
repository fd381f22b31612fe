"""Attributes of operators: their types, and Web IDL's conversion of what a caller gives."""

from __future__ import annotations

import math
import operator
import reprlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ipc.descriptors import ANY, DataType, in_order

REQUIRED: Any = type("Required", (), {"__repr__": lambda _: "REQUIRED"})()
"""Marks an attribute without a default: the caller must give it."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of attribute.

    Attributes:
        name: what it is called in documentation and in the wire's typing.
        phrase: the same in a sentence: "groups is a uint32".
        annotation: the Python type in the builder's signature.
        convert: Web IDL's conversion of a caller's value; raises ValueError or TypeError with a reason.
        canonical: whether a value from the wire is one that `convert` can return; a GPU process takes no other.
        choices: the strings of an enumeration.
        element: the kind of the entries of a list.
    """

    name: str
    phrase: str
    annotation: str
    convert: Callable[[object], Any]
    canonical: Callable[[object], bool]
    choices: tuple[str, ...] = ()
    element: Kind | None = None


@dataclass(frozen=True, slots=True)
class Attribute:
    """An argument or option that is not an operand.

    Attributes:
        default: `REQUIRED`, None for "absent" (not the same as an empty list), or the value.
        cast_to: the operand slot whose data type the number is cast to before anything else looks at it.
    """

    name: str
    kind: Kind
    default: Any
    cast_to: str | None = None
    spec_name: str = ""

    def takes(self, value: object) -> bool:
        """Whether `value` is in canonical form, as `infer_outputs` wants it."""
        return self.default is None if value is None else self.kind.canonical(value)


def uint32(default: Any = REQUIRED) -> Any:
    """A range-checked unsigned 32-bit integer; fractions are truncated, all else out of range is refused."""
    return Attribute("", _UINT32, default)


def int32(default: Any = REQUIRED) -> Any:
    """A range-checked signed 32-bit integer."""
    return Attribute("", _INT32, default)


def modulo_uint32(default: Any = REQUIRED) -> Any:
    """An unchecked unsigned 32-bit integer: taken modulo 2**32, NaN and infinity become 0."""
    return Attribute("", _MODULO, default)


def finite(default: Any = REQUIRED, *, cast_to: str | None = None) -> Any:
    """A finite float64, cast to the data type of an operand where `cast_to` names one."""
    return Attribute("", _FINITE if cast_to is None else _FINITE_CAST, default, cast_to)


def finite_float32(default: Any = REQUIRED) -> Any:
    """A float64 that is finite as a float32 and rounded to it."""
    return Attribute("", _FINITE_FLOAT32, default)


def number(default: Any = REQUIRED, *, cast_to: str) -> Any:
    """An MLNumber: an exact int or any float, cast to the data type of the operand `cast_to`."""
    return Attribute("", _NUMBER, default, cast_to)


def boolean(default: bool) -> Any:
    """Truth of any value, as Web IDL has it."""
    return Attribute("", _BOOLEAN, default)


def enumeration(*values: str, default: Any = REQUIRED) -> Any:
    """One of the given strings."""
    return Attribute("", _enum(values), default)


def data_type(default: Any = REQUIRED) -> Any:
    """One of the specification's operand data types."""
    return Attribute("", _DATA_TYPE, default)


def list_of(element: Any, default: Any = REQUIRED) -> Any:
    """A list of what another constructor makes; canonical form is a tuple. Strings are no lists."""
    return Attribute("", _list(element.kind), default)


def one_or_list(element: Any) -> Any:
    """Either one value or a list of them (`split`)."""
    return Attribute("", _one_or_list(element.kind), REQUIRED)


def _as_number(value: object) -> int | float:
    if isinstance(value, np.ndarray):
        value = value[()]  # its only element, where it has no dimensions
    if isinstance(value, int | float):
        return int(value) if isinstance(value, bool) else value
    if isinstance(value, np.bool_ | np.integer):
        return int(value)
    if isinstance(value, np.floating):
        return float(value)
    if hasattr(value, "__index__"):
        return operator.index(value)
    raise TypeError(f"{shorten(value)} is not a number")


def shorten(value: object) -> str:
    """`repr`, cut where it is long, since a caller's value may be anything."""
    return _REPR.repr(value)


_REPR = reprlib.Repr()
_REPR.maxother = _REPR.maxstring = _REPR.maxlong = 60


def _range_checked(name: str, phrase: str, low: int, high: int) -> Kind:
    def convert(value: object) -> int:
        given = _as_number(value)
        if isinstance(given, float) and not math.isfinite(given):
            raise ValueError(f"{given!r} is not finite")
        truncated = int(given)
        if not low <= truncated <= high:
            raise ValueError(f"{shorten(given)} is not within {low} to {high}")
        return truncated

    return Kind(name, phrase, "int", convert, lambda value: type(value) is int and low <= value <= high)


def _modulo(value: object) -> int:
    given = _as_number(value)
    if isinstance(given, float) and not math.isfinite(given):
        return 0
    return int(given) % 2**32


def _finite(value: object) -> float:
    try:
        given = float(_as_number(value))
    except OverflowError as error:
        raise ValueError(f"{shorten(value)} is not finite in float64") from error
    if not math.isfinite(given):
        raise ValueError(f"{given!r} is not finite")
    return given


def _finite_float32(value: object) -> float:
    rounded = _to_float32(_finite(value))
    if not math.isfinite(rounded):
        raise ValueError(f"{shorten(value)} is not finite in float32")
    return rounded


def _is_finite_float32(value: object) -> bool:
    return isinstance(value, float) and math.isfinite(value) and _to_float32(value) == value


def _to_float32(value: float) -> float:
    with np.errstate(all="ignore"):
        return float(np.float32(value))


def _enum(values: tuple[str, ...]) -> Kind:
    listed = ", ".join(map(repr, values))

    def convert(value: object) -> str:
        if not isinstance(value, str) or value not in values:
            raise ValueError(f"{shorten(value)} is not")
        return str(value)

    def canonical(value: object) -> bool:
        return isinstance(value, str) and value in values

    return Kind("enum", f"one of {listed}", f"Literal[{listed}]", convert, canonical, choices=values)


def _data_type(value: object) -> DataType:
    if not isinstance(value, str | type | np.dtype):
        raise TypeError(f"{shorten(value)} names no data type")
    try:
        converted = DataType.of(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{shorten(value)} names no data type") from error
    if converted not in ANY:
        raise ValueError(f"{converted.value!r} is none of {', '.join(in_order(ANY))}")
    return converted


def _list(element: Kind) -> Kind:
    def convert(value: object) -> tuple[Any, ...]:
        return tuple(element.convert(item) for item in as_list(value))

    def canonical(value: object) -> bool:
        return isinstance(value, tuple) and all(element.canonical(item) for item in value)

    name, phrase = f"list[{element.name}]", f"a list with each entry {element.phrase}"
    return Kind(name, phrase, f"Sequence[{element.annotation}]", convert, canonical, element.choices, element)


def as_list(value: object) -> Iterable[object]:
    """What Web IDL takes for a sequence.

    Raises:
        TypeError: it is none: not iterable, or text or a mapping, whose entries nobody means.
    """
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise TypeError(f"{shorten(value)} is not a list")
    return value


def _one_or_list(element: Kind) -> Kind:
    several = _list(element)

    def convert(value: object) -> Any:
        is_list = isinstance(value, Iterable) and not (isinstance(value, np.ndarray) and value.ndim == 0)
        return several.convert(value) if is_list else element.convert(value)

    def canonical(value: object) -> bool:
        return element.canonical(value) or several.canonical(value)

    name, phrase = f"{element.name} | {several.name}", f"{element.phrase} or {several.phrase}"
    return Kind(name, phrase, f"{element.annotation} | {several.annotation}", convert, canonical, element=element)


_UINT32 = _range_checked("uint32", "a uint32", 0, 2**32 - 1)
_INT32 = _range_checked("int32", "an int32", -(2**31), 2**31 - 1)
_MODULO = Kind("modulo_uint32", "a number", "int", _modulo, lambda value: type(value) is int and 0 <= value < 2**32)
_FINITE = Kind(
    "float64", "a finite float64", "float", _finite, lambda value: type(value) is float and math.isfinite(value)
)
_FINITE_CAST = replace(  # what is finite in float64 may have become infinite in float16
    _FINITE, canonical=lambda value: type(value) is float and not math.isnan(value)
)
_FINITE_FLOAT32 = Kind("float32", "a finite float32", "float", _finite_float32, _is_finite_float32)
_NUMBER = Kind("number", "a number", "int | float", _as_number, lambda value: type(value) in (int, float))
_BOOLEAN = Kind("bool", "a truth value", "bool", bool, lambda value: type(value) is bool)
_DATA_TYPE = Kind(
    "data_type",
    "a data type",
    "DataTypeLike",
    _data_type,
    lambda value: isinstance(value, DataType) and value in ANY,
)
