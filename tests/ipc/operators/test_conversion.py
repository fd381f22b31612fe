"""Web IDL's conversion of attributes, and what a GPU process takes for its result."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import ipc.operators as ops
from ipc.descriptors import DataType
from ipc.numbers import cast_number
from ipc.operators import (
    Attribute,
    boolean,
    enumeration,
    finite,
    finite_float32,
    int32,
    list_of,
    modulo_uint32,
    number,
    one_or_list,
    uint32,
)
from ipc.operators._attributes import data_type

NAN, INF = math.nan, math.inf
_LAYOUT = enumeration("nchw", "nhwc")
_NUMBER = number(cast_to="input")

CONVERTED: list[tuple[Attribute, object, Any]] = [
    (uint32(), 0, 0),
    (uint32(), 2**32 - 1, 2**32 - 1),
    (uint32(), 2.9, 2),
    (uint32(), -0.9, 0),
    (uint32(), 2**32 - 0.5, 2**32 - 1),
    (uint32(), True, 1),
    (uint32(), np.int64(3), 3),
    (uint32(), np.float16(3.5), 3),
    (uint32(), np.bool_(True), 1),
    (uint32(), np.array(3), 3),
    (int32(), -(2**31), -(2**31)),
    (int32(), -1.9, -1),
    (modulo_uint32(), -1, 2**32 - 1),
    (modulo_uint32(), 2**32 + 5, 5),
    (modulo_uint32(), NAN, 0),
    (modulo_uint32(), -INF, 0),
    (modulo_uint32(), -1.5, 2**32 - 1),
    (modulo_uint32(), 10**400 + 7, (10**400 + 7) % 2**32),
    (finite(), 1, 1.0),
    (finite(), np.float32(0.5), 0.5),
    (finite(), np.array(0.5), 0.5),
    (finite(), True, 1.0),
    (finite_float32(), 0.1, 0.10000000149011612),
    (finite_float32(), 3.4028235e38, 3.4028234663852886e38),
    (_NUMBER, 2**64 - 1, 2**64 - 1),
    (_NUMBER, INF, INF),
    (_NUMBER, True, 1),
    (_NUMBER, np.uint64(2**64 - 1), 2**64 - 1),
    (boolean(False), [], False),
    (boolean(False), "false", True),
    (_LAYOUT, "nhwc", "nhwc"),
    (_LAYOUT, np.str_("nhwc"), "nhwc"),
    (data_type(), "float16", DataType.FLOAT16),
    (data_type(), np.int8, DataType.INT8),
    (data_type(), np.dtype("uint64"), DataType.UINT64),
    (data_type(), DataType.INT32, DataType.INT32),
    (list_of(uint32()), [1, 2.5], (1, 2)),
    (list_of(uint32()), np.array([1, 2]), (1, 2)),
    (list_of(uint32()), (size for size in (3, 4)), (3, 4)),
    (list_of(uint32()), [], ()),
    (list_of(finite_float32()), [1, 0.5], (1.0, 0.5)),
    (list_of(_LAYOUT), ["nchw", "nchw"], ("nchw", "nchw")),
    (one_or_list(uint32()), 3, 3),
    (one_or_list(uint32()), [3], (3,)),
    (one_or_list(uint32()), np.array(3), 3),
    (one_or_list(uint32()), np.array([3, 4]), (3, 4)),
]

REFUSED: list[tuple[Attribute, object]] = [
    (uint32(), -1),
    (uint32(), 2**32),
    (uint32(), NAN),
    (uint32(), INF),
    (uint32(), "3"),
    (uint32(), None),
    (uint32(), 1j),
    (uint32(), np.datetime64(1, "D")),
    (uint32(), np.array([3])),
    (uint32(), 10**1000),
    (int32(), 2**31),
    (int32(), -(2**31) - 1),
    (modulo_uint32(), "3"),
    (finite(), NAN),
    (finite(), -INF),
    (finite(), 10**400),
    (finite(), "1"),
    (finite_float32(), 3.5e38),
    (finite_float32(), NAN),
    (_NUMBER, "1"),
    (_NUMBER, None),
    (_LAYOUT, "NCHW"),
    (_LAYOUT, None),
    (_LAYOUT, ["nchw"]),
    (_LAYOUT, np.array("nchw")),
    (data_type(), "float64"),
    (data_type(), "int4"),
    (data_type(), np.float64),
    (data_type(), ">f4"),
    (data_type(), np.dtype(">i4")),
    (data_type(), bool),
    (data_type(), None),
    (data_type(), 3),
    (data_type(), np.float32(3)),
    (data_type(), np.array(3.0, np.float32)),
    (list_of(uint32()), 3),
    (list_of(uint32()), "12"),
    (list_of(uint32()), {1: 2}),
    (list_of(uint32()), [1, -1]),
    (list_of(uint32()), [[1]]),
    (list_of(uint32()), np.array(3)),
    (one_or_list(uint32()), "12"),
    (one_or_list(uint32()), None),
]


def test_an_option_that_overflows_its_operands_type_is_still_canonical() -> None:
    alpha = ops.elu.attributes["alpha"]
    cast = cast_number(alpha.kind.convert(1e6), DataType.FLOAT16)
    assert cast == INF
    assert alpha.takes(cast)
    assert not alpha.takes(NAN)


@pytest.mark.parametrize("attribute", [finite(), finite(cast_to="input"), finite_float32()])
@pytest.mark.parametrize("value", [1, True, "1", None, np.array(1.0), NAN])
def test_nothing_but_a_float_is_the_canonical_form_of_one(attribute: Attribute, value: object) -> None:
    assert attribute.kind.canonical(1.0)
    assert not attribute.kind.canonical(value)


def _id(value: object) -> str:
    return value.kind.name if isinstance(value, Attribute) else repr(value)[:40]


@pytest.mark.parametrize(("attribute", "given", "expected"), CONVERTED, ids=_id)
def test_a_value_converts_to_its_canonical_form(attribute: Attribute, given: object, expected: object) -> None:
    converted = attribute.kind.convert(given)
    assert converted == expected
    assert type(converted) is type(expected)
    assert attribute.kind.canonical(converted)
    assert attribute.kind.convert(converted) == converted


@pytest.mark.parametrize(("attribute", "given"), REFUSED, ids=_id)
def test_a_value_that_does_not_convert_is_refused_with_a_short_reason(attribute: Attribute, given: object) -> None:
    with pytest.raises((TypeError, ValueError)) as refusal:
        attribute.kind.convert(given)
    assert 0 < len(str(refusal.value)) < 300
    assert not attribute.kind.canonical(given)


NOT_CANONICAL: list[tuple[Attribute, object]] = [
    (uint32(), True),
    (uint32(), 1.0),
    (modulo_uint32(), -1),
    (finite(), 1),
    (finite_float32(), 0.1),
    (finite_float32(), INF),
    (finite_float32(), 1e300),
    (_NUMBER, True),
    (boolean(False), 1),
    (list_of(uint32()), [1]),
    (list_of(uint32()), (1, -1)),
    (data_type(), "float32"),
    (data_type(), DataType.UINT4),
]


@pytest.mark.parametrize(("attribute", "value"), NOT_CANONICAL, ids=_id)
def test_a_value_that_no_conversion_returns_is_not_canonical(attribute: Attribute, value: object) -> None:
    assert not attribute.kind.canonical(value)
