"""Casting of numbers: nearest with ties to even, saturating integers, exact big ones."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ipc.descriptors import ANY, DataType, in_order
from ipc.numbers import MLNumber, cast_number

INF, NAN = math.inf, math.nan

TABLE: list[tuple[MLNumber, str, MLNumber]] = [
    (300, "int8", 127),
    (-300, "int8", -128),
    (-1, "uint8", 0),
    (NAN, "int64", 0),
    (2**64, "uint64", 2**64 - 1),
    (2**64 - 1, "uint64", 2**64 - 1),
    (2**63 + 1, "uint64", 2**63 + 1),
    (10**400, "int8", 127),
    (-(10**400), "uint64", 0),
    (2.5, "int32", 2),
    (3.5, "int32", 4),
    (-2.5, "int32", -2),
    (-0.5, "int32", 0),
    (INF, "uint64", 2**64 - 1),
    (-INF, "int64", -(2**63)),
    (3e9, "uint32", 3_000_000_000),
    (1e30, "int64", 2**63 - 1),
    (65520, "float16", INF),
    (-65520, "float16", -INF),
    (65519, "float16", 65504.0),
    (1e-30, "float16", 0.0),
    (1e-5, "float16", 1.0013580322265625e-05),
    (2.0**-25, "float16", 0.0),
    (0.1, "float32", 0.10000000149011612),
    (3.5e38, "float32", INF),
    (2**128, "float32", INF),
    (-(10**400), "float32", -INF),
    (10**400, "float16", INF),
    (-(2**60 + 2**36), "float32", -(2.0**60)),
    (2**51 + 1, "float32", 2.0**51),
    (2**24 + 1, "float32", 2.0**24),
    (2**60 + 2**36 + 1, "float32", 2.0**60 + 2.0**37),  # no tie, though float64 would make it one
    (-(2**60 + 2**36 + 1), "float32", -(2.0**60 + 2.0**37)),
    (2**60 + 2**36, "float32", 2.0**60),
]


@pytest.mark.parametrize(("value", "data_type", "expected"), TABLE)
def test_numbers_cast_as_the_table_says(value: MLNumber, data_type: str, expected: MLNumber) -> None:
    cast = cast_number(value, DataType(data_type))
    assert cast == expected
    assert type(cast) is (float if data_type.startswith("float") else int)


def test_nan_stays_in_floats_and_zero_keeps_its_sign_only_there() -> None:
    assert math.isnan(float(cast_number(NAN, DataType.FLOAT16)))
    assert math.copysign(1, cast_number(-1e-30, DataType.FLOAT16)) == -1
    assert cast_number(-0.0, DataType.INT8) == 0


_NUMBERS = st.one_of(st.floats(), st.integers(), st.integers(-(2**130), 2**130))


@given(value=_NUMBERS, data_type=st.sampled_from(in_order(ANY)))
def test_casting_is_idempotent(value: MLNumber, data_type: DataType) -> None:
    once = cast_number(value, data_type)
    assert repr(cast_number(once, data_type)) == repr(once)


@given(value=st.integers(-(2**127), 2**127))
@example(value=2**100 + 2**76 + 1)
def test_an_int_casts_to_the_nearest_float32(value: int) -> None:
    cast = np.float32(cast_number(value, DataType.FLOAT32))
    distance = abs(Fraction(float(cast)) - value)
    for neighbour in (np.nextafter(cast, np.float32(INF)), np.nextafter(cast, np.float32(-INF))):
        assert not math.isfinite(neighbour) or distance <= abs(Fraction(float(neighbour)) - value)


def test_numpys_error_settings_do_not_matter() -> None:
    with np.errstate(all="raise"):
        assert cast_number(1e300, DataType.FLOAT32) == INF
        assert cast_number(1e-300, DataType.FLOAT16) == 0
