"""Comparisons, logic, tests and selection."""

from __future__ import annotations

import math
import operator

from scripts.vectors._suite import Suite
from scripts.vectors._tensor import ALL_TYPES, FLOATS, INF, INTEGERS, NAN, Tensor, computed, limits, mixed, ramp, tensor
from scripts.vectors.elementwise import Binary, broadcast


def suite() -> Suite:
    """Vectors of everything that returns 0 and 1, and of `where`."""
    suite = Suite("logical")
    _comparisons(suite)
    _logic(suite)
    _tests(suite)
    _where(suite)
    return suite


def _comparisons(suite: Suite) -> None:
    functions: dict[str, Binary] = {
        "equal": operator.eq,
        "notEqual": operator.ne,
        "greater": operator.gt,
        "greaterOrEqual": operator.ge,
        "lesser": operator.lt,
        "lesserOrEqual": operator.le,
    }

    def add(method: str, name: str, a: Tensor, b: Tensor) -> None:
        suite.add(name, method, {"a": a, "b": b}, broadcast(functions[method], a, b, "uint8"))

    for method in functions:
        for data_type in INTEGERS:
            low, high = limits(data_type)
            values = [low, high, high - 1]  # the last two are one float32 for all wide types
            column, row = tensor(data_type, [3, 1], values), tensor(data_type, [1, 3], values)
            add(method, f"{data_type} neighbours at the limits, broadcast", column, row)
        for data_type in FLOATS:
            special = [NAN, INF, -INF, 0.0, -0.0, 1.5]
            column, row = tensor(data_type, [6, 1], special), tensor(data_type, [6], special)
            add(method, f"{data_type} NaN, infinities and zeros", column, row)
        a, b = mixed("float32", [2, 1, 1, 2, 1, 3], 7), mixed("float32", [1, 2, 1, 1, 2, 1], 8)
        add(method, "float32 rank 6 broadcast", a, b)
        add(method, "int32 scalars", tensor("int32", [], [16777217]), tensor("int32", [], [16777216]))


def _logic(suite: Suite) -> None:
    column, row = tensor("uint8", [4, 1], [0, 1, 2, 255]), tensor("uint8", [4], [0, 1, 4, 255])
    functions: dict[str, Binary] = {
        "logicalAnd": lambda a, b: bool(a) and bool(b),
        "logicalOr": lambda a, b: bool(a) or bool(b),
        "logicalXor": lambda a, b: bool(a) != bool(b),
    }
    for method, function in functions.items():
        expected = broadcast(lambda a, b, function=function: int(function(a, b)), column, row, "uint8")  # type: ignore[misc]
        suite.add("uint8 any value but 0 is true", method, {"a": column, "b": row}, expected)
        expected = computed("uint8", [4, 4], lambda at, function=function: int(function(column.broadcast(at), 255)))  # type: ignore[misc]
        wide = tensor("uint8", [4, 4], [value for value in column.values for _ in range(4)])
        suite.add(
            "uint8 with a constant scalar",
            method,
            {"a": wide, "b": tensor("uint8", [], [255])},
            expected,
            constant=["b"],
        )
    suite.add("uint8 any value but 0 is true", "logicalNot", {"a": row}, tensor("uint8", [4], [1, 0, 0, 0]))
    suite.add("uint8 scalar", "logicalNot", {"a": tensor("uint8", [], [128])}, tensor("uint8", [], [0]))


def _tests(suite: Suite) -> None:
    for data_type in FLOATS:
        x = tensor(data_type, [2, 3], [NAN, INF, -INF, 0.0, -0.0, 60000.0])
        is_nan = tensor("uint8", [2, 3], [int(math.isnan(value)) for value in x.values])
        is_infinite = tensor("uint8", [2, 3], [int(math.isinf(value)) for value in x.values])
        suite.add(data_type, "isNaN", {"a": x}, is_nan)
        suite.add(data_type, "isInfinite", {"a": x}, is_infinite)
    scalar = tensor("float32", [1, 1, 1, 1, 1, 1, 1, 1], [NAN])
    suite.add("float32 rank 8", "isNaN", {"a": scalar}, tensor("uint8", scalar.shape, [1]))


def _where(suite: Suite) -> None:
    condition = tensor("uint8", [2, 1, 3], [0, 1, 2, 255, 0, 128])
    for data_type in ALL_TYPES:
        a, b = ramp(data_type, [4, 1], start=1), ramp(data_type, [2, 1, 1], start=100)
        _add_where(suite, f"{data_type} any condition but 0 is true, broadcast", condition, a, b)
    a, b = tensor("float32", [4], [NAN, 1, INF, 0]), tensor("float32", [4], [2, NAN, -INF, 3])
    _add_where(suite, "float32 what is not selected has no influence", tensor("uint8", [4], [0, 1, 1, 255]), a, b)
    zeros = tensor("float32", [2], [-0.0, 1]), tensor("float32", [2], [1, -0.0])
    _add_where(suite, "float32 minus zero survives", tensor("uint8", [2], [1, 0]), *zeros)
    scalars = tensor("float16", [], [1.5]), tensor("float16", [], [2.5])
    _add_where(suite, "float16 scalars", tensor("uint8", [], [7]), *scalars)


def _add_where(suite: Suite, name: str, condition: Tensor, a: Tensor, b: Tensor) -> None:
    values = broadcast(lambda x, _: x, a, b), broadcast(lambda _, y: y, a, b)
    chosen = broadcast(lambda c, x: x if c else 0, condition, values[0], a.data_type)
    other = broadcast(lambda c, y: 0 if c else y, condition, values[1], a.data_type)
    taken = broadcast(lambda c, _: c, condition, values[0], "uint8")
    expected = Tensor(
        a.data_type,
        chosen.shape,
        tuple(x if c else y for c, x, y in zip(taken.values, chosen.values, other.values, strict=True)),
    )
    suite.add(name, "where", {"condition": condition, "trueValue": a, "falseValue": b}, expected)
