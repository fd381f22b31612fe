"""Reductions, the index of an extreme, and the cumulative sum."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from scripts.vectors._suite import EXACT, Suite, Tolerance, ulp
from scripts.vectors._tensor import (
    ALL_TYPES,
    FLOATS,
    INF,
    NAN,
    Number,
    Tensor,
    computed,
    coordinates,
    limits,
    mixed,
    ramp,
    tensor,
)

_WIDE_INTEGERS = ("int32", "uint32", "int64", "uint64")
_Reduce = Callable[[list[Any]], Number]


def suite() -> Suite:
    """Vectors of the ten reductions, `argMin`, `argMax` and `cumulativeSum`."""
    suite = Suite("reduction")
    _floats(suite)
    _integers(suite)
    _special(suite)
    _indices(suite)
    _cumulative(suite)
    return suite


def reduced(
    function: _Reduce, x: Tensor, axes: Sequence[int] | None, keep: bool, data_type: str | None = None
) -> Tensor:
    """function(list of elements) for each line, plane, ... that the axes span."""
    over = range(len(x.shape)) if axes is None else axes
    kept = [1 if axis in over else size for axis, size in enumerate(x.shape)]
    spans = list(coordinates([size if axis in over else 1 for axis, size in enumerate(x.shape)]))

    def elements(at: tuple[int, ...]) -> list[Number]:
        return [x[[base + offset for base, offset in zip(at, span, strict=True)]] for span in spans]

    result = computed(data_type or x.data_type, kept, lambda at: function(elements(at)))
    shape = kept if keep else [size for axis, size in enumerate(x.shape) if axis not in over]
    return Tensor(result.data_type, tuple(shape), result.values)


def _log(x: float) -> float:
    return math.log(x) if x > 0 else -INF if x == 0 else NAN


_FUNCTIONS: dict[str, _Reduce] = {
    "reduceL1": lambda values: math.fsum(map(abs, values)),
    "reduceL2": lambda values: math.sqrt(math.fsum(v * v for v in values)),
    "reduceLogSum": lambda values: _log(math.fsum(values)),
    "reduceLogSumExp": lambda values: max(values) + math.log(math.fsum(math.exp(v - max(values)) for v in values)),
    "reduceMax": max,
    "reduceMean": lambda values: math.fsum(values) / len(values),
    "reduceMin": min,
    "reduceProduct": math.prod,
    "reduceSum": math.fsum,
    "reduceSumSquare": lambda values: math.fsum(v * v for v in values),
}
_SELECTS = ("reduceMax", "reduceMin")


def _floats(suite: Suite) -> None:
    for method, function in _FUNCTIONS.items():
        tolerance: Tolerance = EXACT if method in _SELECTS else ulp(66)
        positive = method == "reduceLogSum"
        for data_type in FLOATS:
            x = (
                ramp(data_type, [2, 3, 4], start=0.25, step=0.25, modulus=7)
                if positive
                else mixed(data_type, [2, 3, 4], 5)
            )
            for axes in (None, [], [0], [1], [2], [2, 0], [0, 1, 2]):
                for keep in (False, True):
                    options: dict[str, Any] = {} if axes is None else {"axes": axes}
                    name = f"{data_type} axes {'absent' if axes is None else axes}{', kept' if keep else ''}"
                    # ln(exp(x)) is x; the formula for many values would only add its own rounding.
                    is_identity = method == "reduceLogSumExp" and axes == []
                    expected = x if is_identity else reduced(function, x, axes, keep)
                    suite.add(
                        name,
                        method,
                        {"input": x},
                        expected,
                        options=options | ({"keepDimensions": True} if keep else {}),
                        tolerance=tolerance,
                    )
        scalar = tensor("float32", [], [2.5])
        suite.add(
            "float32 scalar", method, {"input": scalar}, reduced(function, scalar, None, False), tolerance=tolerance
        )
        x = ramp("float32", [1, 2, 1, 3, 1, 2], start=0.5, step=0.25)
        expected = reduced(function, x, [1, 5], False)
        suite.add("float32 rank 6", method, {"input": x}, expected, options={"axes": [1, 5]}, tolerance=tolerance)


def _integers(suite: Suite) -> None:
    exact: dict[str, _Reduce] = {
        "reduceL1": lambda values: sum(map(abs, values)),
        "reduceProduct": math.prod,
        "reduceSum": sum,
        "reduceSumSquare": lambda values: sum(v * v for v in values),
    }
    for method, function in exact.items():
        for data_type in _WIDE_INTEGERS:
            low, high = limits(data_type)
            x = tensor(data_type, [2, 3], [high, 2, 3, high - 1, low, 7])
            for axes in (None, [0], []):
                options = {} if axes is None else {"axes": axes}
                expected = reduced(function, x, axes, False)
                name = f"{data_type} wraps around, axes {'absent' if axes is None else axes}"
                suite.add(name, method, {"input": x}, expected, options=options)
            precise = tensor(data_type, [2], [16777217, 16777219])
            suite.add(
                f"{data_type} beyond 24 bits", method, {"input": precise}, reduced(function, precise, None, False)
            )
    for method in _SELECTS:
        for data_type in ALL_TYPES[2:]:
            low, high = limits(data_type)
            x = tensor(data_type, [2, 2], [low, high, high - 1, low + 1])
            for axes in (None, [1], []):
                options = {} if axes is None else {"axes": axes}
                expected = reduced(_FUNCTIONS[method], x, axes, False)
                suite.add(
                    f"{data_type} axes {'absent' if axes is None else axes}",
                    method,
                    {"input": x},
                    expected,
                    options=options,
                )


def _special(suite: Suite) -> None:
    x = tensor("float32", [3, 2], [INF, 1, -INF, 2, -INF, -INF])
    cases = {
        "reduceMax": [INF, 2, -INF],
        "reduceMin": [1, -INF, -INF],
        "reduceSum": [INF, -INF, -INF],
        "reduceL1": [INF, INF, INF],
        "reduceLogSumExp": [INF, 2, -INF],
    }
    for method, values in cases.items():
        expected = tensor("float32", [3], values)
        suite.add("float32 infinities", method, {"input": x}, expected, options={"axes": [1]}, tolerance=ulp(1))
    big = tensor("float32", [2], [500, 500])
    expected = tensor("float32", [], [500 + math.log(2)])
    suite.add("float32 does not overflow", "reduceLogSumExp", {"input": big}, expected, tolerance=ulp(4))
    zero = tensor("float32", [2], [1, -1])
    suite.add("float32 of zero", "reduceLogSum", {"input": zero}, tensor("float32", [], [-INF]))


def _indices(suite: Suite) -> None:
    for method, best in (("argMax", max), ("argMin", min)):
        for data_type in ALL_TYPES:
            x = ramp(data_type, [3, 2, 4], start=3, step=5, modulus=23)
            for axis in range(3):
                expected = reduced(lambda v, best=best: v.index(best(v)), x, [axis], False, "int32")  # type: ignore[misc]
                suite.add(f"{data_type} axis {axis}", method, {"input": x, "axis": axis}, expected)
        x = mixed("float32", [2, 1, 5, 1, 1, 2], 9)
        distinct = tensor("float32", x.shape, [v + index / 64 for index, v in enumerate(x.values)])
        expected = reduced(lambda v, best=best: v.index(best(v)), distinct, [2], True, "int64")  # type: ignore[misc]
        options = {"keepDimensions": True, "outputDataType": "int64"}
        suite.add("float32 rank 6, kept, int64", method, {"input": distinct, "axis": 2}, expected, options=options)
    near = tensor("int32", [3], [16777216, 16777217, 16777215])
    suite.add("int32 beyond 24 bits", "argMax", {"input": near, "axis": 0}, tensor("int32", [], [1]))


def _cumulative(suite: Suite) -> None:
    for data_type in (*FLOATS, *_WIDE_INTEGERS):
        x = ramp(data_type, [2, 3, 2], start=1, step=2, modulus=5)
        for axis in range(3):
            for exclusive in (False, True):
                for reverse in (False, True):
                    name = (
                        f"{data_type} axis {axis}{', exclusive' if exclusive else ''}{', reversed' if reverse else ''}"
                    )
                    options = {"exclusive": exclusive, "reversed": reverse}
                    expected = _accumulated(x, axis, exclusive, reverse)
                    tolerance = ulp(3) if data_type in FLOATS else EXACT
                    suite.add(
                        name,
                        "cumulativeSum",
                        {"input": x, "axis": axis},
                        expected,
                        options=options,
                        tolerance=tolerance,
                    )
    for data_type in _WIDE_INTEGERS:
        low, high = limits(data_type)
        x = tensor(data_type, [4], [high, 1, high, low])
        suite.add(
            f"{data_type} wraps around", "cumulativeSum", {"input": x, "axis": 0}, _accumulated(x, 0, False, False)
        )
    infinite = tensor("float32", [3], [1, INF, 2])
    expected = tensor("float32", [3], [0, 1, INF])
    options = {"exclusive": True}
    suite.add(
        "float32 exclusive with infinity", "cumulativeSum", {"input": infinite, "axis": 0}, expected, options=options
    )


def _accumulated(x: Tensor, axis: int, exclusive: bool, reverse: bool) -> Tensor:
    def element(at: tuple[int, ...]) -> Number:
        here = at[axis]
        before = range(here + 1, x.shape[axis]) if reverse else range(here)
        return sum(x[(*at[:axis], index, *at[axis + 1 :])] for index in before) + (0 if exclusive else x[at])

    return computed(x.data_type, x.shape, element)
