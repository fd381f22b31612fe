"""Arithmetic and casts, element by element."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

from scripts.vectors._suite import EXACT, Suite, Tolerance, atol, ulp
from scripts.vectors._tensor import (
    ALL_TYPES,
    FLOATS,
    INF,
    INTEGERS,
    NAN,
    Number,
    Tensor,
    computed,
    limits,
    mixed,
    ramp,
    tensor,
)

Binary = Callable[[Number, Number], Number]
Unary = Callable[[float], float]

_SIGNED = ("int64", "int32", "int8")


def suite() -> Suite:
    """Vectors of binary and unary arithmetic, clamp and cast."""
    suite = Suite("elementwise")
    _arithmetic(suite)
    _division(suite)
    _power(suite)
    _extremes(suite)
    _signs(suite)
    _rounding(suite)
    _functions(suite)
    _clamp(suite)
    _casts(suite)
    return suite


def broadcast(function: Binary, a: Tensor, b: Tensor, data_type: str | None = None) -> Tensor:
    """function(a, b), each element of the broadcast shape."""
    rank = max(len(a.shape), len(b.shape))
    left, right = (1,) * (rank - len(a.shape)) + a.shape, (1,) * (rank - len(b.shape)) + b.shape
    shape = [max(m, n) for m, n in zip(left, right, strict=True)]
    return computed(data_type or a.data_type, shape, lambda at: function(a.broadcast(at), b.broadcast(at)))


def each(function: Callable[[Number], Number], x: Tensor, data_type: str | None = None) -> Tensor:
    """function(x), each element."""
    return tensor(data_type or x.data_type, x.shape, map(function, x.values))


def _arithmetic(suite: Suite) -> None:
    functions: dict[str, Binary] = {"add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b}
    for method, function in functions.items():
        for data_type in INTEGERS:
            low, high = limits(data_type)
            a, b = [low, low, high, high, 7, 100, high], [high, 1, 1, high, 5, 3, 2]
            operands = tensor(data_type, [7], a), tensor(data_type, [7], b)
            _binary(suite, f"{data_type} wraps around", method, function, *operands)
        a_rank6 = mixed("float32", [2, 1, 2, 1, 1, 3], 1)
        b_rank5 = mixed("float32", [3, 1, 2, 1, 1], 2)
        _binary(suite, "float32 rank 6 with rank 5, both broadcast", method, function, a_rank6, b_rank5)
        a_rank8, scalar = ramp("float32", [1, 2, 1, 2, 1, 1, 2, 1]), tensor("float32", [], [-1.5])
        _binary(suite, "float32 rank 8 with a scalar", method, function, a_rank8, scalar)
        _binary(suite, "float32 of two scalars", method, function, scalar, tensor("float32", [], [0.25]))
        special = [INF, INF, -INF, NAN, -0.0, -0.0, 3e38, 1.0], [INF, -INF, 1.0, 1.0, -0.0, 0.0, 3e38, 2**-30]
        operands = tensor("float32", [8], special[0]), tensor("float32", [8], special[1])
        _binary(suite, "float32 infinities, NaN, zeros and overflow", method, _float(function), *operands)
        halves = tensor("float16", [4], [60000, -60000, 2048, 0.1]), tensor("float16", [4], [60000, 60000, 1, 0.2])
        _binary(suite, "float16 overflow and ties to even", method, function, *halves, tolerance=ulp(1))


def _division(suite: Suite) -> None:
    for data_type in _SIGNED:
        low, high = limits(data_type)
        a = tensor(data_type, [8], [-7, 7, -7, 7, low, low, high, -1])
        b = tensor(data_type, [8], [2, -2, -2, 2, -1, 1, -1, 2])
        _binary(suite, f"{data_type} truncates toward zero, lowest / -1 wraps", "div", _truncated, a, b)
        zeros = tensor(data_type, [4], [5, -5, 0, low]), tensor(data_type, [1], [0])
        _binary(suite, f"{data_type} by zero is 0", "div", _truncated, *zeros)
        for constant in ("a", "b"):
            name = f"{data_type} by zero and -1, {constant} constant"
            a, b = tensor(data_type, [3], [low, 9, -9]), tensor(data_type, [3], [-1, 0, 4])
            expected = broadcast(_truncated, a, b)
            suite.add(name, "div", {"a": a, "b": b}, expected, constant=[constant])
    for data_type in ("uint8", "uint32", "uint64"):
        _, high = limits(data_type)
        operands = tensor(data_type, [4], [high, 7, 7, 0]), tensor(data_type, [4], [2, 0, 3, 5])
        _binary(suite, f"{data_type} truncates, by zero is 0", "div", _truncated, *operands)
    exact = tensor("int32", [2], [2147483647, 16777217]), tensor("int32", [2], [1, 1])
    _binary(suite, "int32 beyond 24 bits is exact", "div", _truncated, *exact)
    a = tensor("float32", [6], [1, -1, 0, INF, -7, 1])
    b = tensor("float32", [6], [0, 0, 0, INF, 2, -0.0])
    expected = tensor("float32", [6], [INF, -INF, NAN, NAN, -3.5, -INF])
    suite.add("float32 by zeros and infinities", "div", {"a": a, "b": b}, expected)


def _power(suite: Suite) -> None:
    for data_type in INTEGERS:
        a, b = tensor(data_type, [6], [2, 3, 7, 0, 10, 1]), tensor(data_type, [6], [7, 5, 0, 0, 3, 100])
        _binary(suite, f"{data_type} wraps around", "pow", lambda a, b: int(a) ** int(b), a, b)
    for data_type in _SIGNED:
        a, b = tensor(data_type, [7], [2, -2, 1, -1, -1, 0, 5]), tensor(data_type, [7], [-1, -3, -5, -2, -3, -1, -2])
        expected = tensor(data_type, [7], [0, 0, 1, 1, -1, 0, 0])
        suite.add(f"{data_type} negative exponents", "pow", {"a": a, "b": b}, expected)
    a = tensor("float32", [7], [2, -8, -2, 0, 9, 0, 4])
    b = tensor("float32", [7], [10, 1 / 3, 3, 0, 0.5, -1, -0.5])
    expected = tensor("float32", [7], [1024, NAN, -8, 1, 3, INF, 0.5])
    suite.add("float32 with fractions and zeros", "pow", {"a": a, "b": b}, expected, tolerance=ulp(32))


def _extremes(suite: Suite) -> None:
    functions: dict[str, Binary] = {"max": max, "min": min}
    for method, function in functions.items():
        for data_type in INTEGERS:
            low, high = limits(data_type)
            column, row = tensor(data_type, [3, 1], [low, high, 3]), tensor(data_type, [1, 3], [high, low, 4])
            _binary(suite, f"{data_type} at the limits, broadcast", method, function, column, row)
        a, b = tensor("float32", [4], [INF, -INF, 1.5, -2]), tensor("float32", [4], [1, 1, -2, 1e30])
        _binary(suite, "float32 with infinities", method, function, a, b)
        halves = mixed("float16", [2, 3], 4), mixed("float16", [3], 5)
        _binary(suite, "float16 broadcast", method, function, *halves)
    near = tensor("int32", [2], [16777217, -16777217]), tensor("int32", [2], [16777216, -16777216])
    _binary(suite, "int32 beyond 24 bits is exact", "max", max, *near)


def _signs(suite: Suite) -> None:
    functions: dict[str, Callable[[Number], Number]] = {
        "abs": abs,
        "neg": lambda x: -x,
        "sign": lambda x: (x > 0) - (x < 0),
    }
    for method, function in functions.items():
        for data_type in _SIGNED:
            low, high = limits(data_type)
            x = tensor(data_type, [5], [low, -1, 0, 1, high])
            suite.add(f"{data_type} at the limits", method, {"input": x}, each(function, x))
        for data_type in FLOATS:
            tolerance = ulp(0) if method == "sign" else EXACT
            x = tensor(data_type, [2, 3], [-INF, -2.5, -0.0, 0.0, 3.0, INF])
            suite.add(
                f"{data_type} with zeros and infinities", method, {"input": x}, each(function, x), tolerance=tolerance
            )
    nan = tensor("float32", [1], [NAN])
    suite.add("float32 of NaN is 0", "sign", {"input": nan}, tensor("float32", [1], [0]), tolerance=ulp(0))


def _rounding(suite: Suite) -> None:
    values = [-2.5, -1.5, -0.5, -0.25, 0.5, 1.5, 2.5, 2.75, INF, -INF, NAN, -0.0]
    functions: dict[str, Unary] = {"ceil": math.ceil, "floor": math.floor, "roundEven": round}
    for method, function in functions.items():
        for data_type in FLOATS:
            x = tensor(data_type, [3, 4], values)
            name = f"{data_type} halves, zeros and infinities"
            suite.add(name, method, {"input": x}, each(_whole(function), x))
    for data_type in ALL_TYPES:
        x = ramp(data_type, [2, 1, 3, 1, 1, 1, 1, 2])
        suite.add(f"{data_type} rank 8", "identity", {"input": x}, x)
    scalar = tensor("float32", [], [-0.0])
    suite.add("float32 scalar of minus zero", "identity", {"input": scalar}, scalar)


def _functions(suite: Suite) -> None:
    trigonometric = {"float32": atol(1 / 1024), "float16": atol(1 / 512)}
    cases: list[tuple[str, Unary, list[float], dict[str, Tolerance]]] = [
        ("cos", math.cos, [0, 1, -2.5, 3.140625, 30], trigonometric),
        ("sin", math.sin, [-0.0, 1, -2.5, 3.140625, 30], trigonometric),
        ("tan", math.tan, [0, 1, -1.25, 0.5, -3], trigonometric),
        ("erf", math.erf, [0, 0.5, -0.5, 1, -2, 3.5, INF, -INF, 1e-3], trigonometric),
        ("exp", _exp, [0, 1, -1, -INF, INF, 10, -10, 0.125], {"float32": ulp(32), "float16": ulp(1)}),
        ("log", _log, [1, 2, 0, INF, 0.5, 10, 0.01], dict.fromkeys(FLOATS, atol(1 / 1024))),
        ("sqrt", math.sqrt, [0, 1, 2, 4, INF, 1e-4, 60000], dict.fromkeys(FLOATS, ulp(1))),
        ("reciprocal", _reciprocal, [1, -2, 3, INF, -INF, 0.0, -0.0, 1e4], dict.fromkeys(FLOATS, ulp(2))),
    ]
    for method, function, values, tolerances in cases:
        for data_type in FLOATS:
            x = tensor(data_type, [len(values)], values)
            expected = each(function, x)
            suite.add(f"{data_type}", method, {"input": x}, expected, tolerance=tolerances[data_type])
            scalar = tensor(data_type, [], values[1:2])
            name = f"{data_type} scalar"
            suite.add(name, method, {"input": scalar}, each(function, scalar), tolerance=tolerances[data_type])
        undefined = tensor("float32", [1], [NAN])
        suite.add("float32 of NaN is NaN", method, {"input": undefined}, undefined)
    for method in ("log", "sqrt"):
        below = tensor("float32", [2], [-1, -INF])
        suite.add("float32 below zero is NaN", method, {"input": below}, tensor("float32", [2], [NAN, NAN]))


def _clamp(suite: Suite) -> None:
    def clamped(x: Tensor, low: Number | None, high: Number | None) -> Tensor:
        def bounded(value: Number) -> Number:
            value = value if low is None or not value < low else low
            return value if high is None or not value > high else high

        return each(bounded, x)

    for data_type in ALL_TYPES:
        x = ramp(data_type, [2, 4], step=15)
        suite.add(
            f"{data_type} both bounds",
            "clamp",
            {"input": x},
            clamped(x, 20, 77),
            options={"minValue": 20, "maxValue": 77},
        )
        suite.add(f"{data_type} lower bound", "clamp", {"input": x}, clamped(x, 33, None), options={"minValue": 33})
        suite.add(f"{data_type} upper bound", "clamp", {"input": x}, clamped(x, None, 33), options={"maxValue": 33})
        suite.add(f"{data_type} no bounds", "clamp", {"input": x}, x)
    special = tensor("float32", [4], [NAN, INF, -INF, 0.5])
    options = {"minValue": -1, "maxValue": 1}
    suite.add(
        "float32 NaN stays, infinities do not", "clamp", {"input": special}, clamped(special, -1, 1), options=options
    )
    for data_type in ("int64", "uint64"):
        _, high = limits(data_type)
        bound = 2**53 + 1
        x = tensor(data_type, [4], [bound - 2, bound, bound + 1, high])
        name = f"{data_type} bounds beyond float64 are exact"
        suite.add(name, "clamp", {"input": x}, clamped(x, bound, None), options={"minValue": bound})
    bytes_ = tensor("int8", [3], [-128, 0, 127])
    outside = {"minValue": -1000, "maxValue": 2.5}
    suite.add(
        "int8 bounds saturate and round half to even",
        "clamp",
        {"input": bytes_},
        clamped(bytes_, -128, 2),
        options=outside,
    )


def _casts(suite: Suite) -> None:
    def add(name: str, x: Tensor, expected: Tensor) -> None:
        suite.add(name, "cast", {"input": x, "dataType": expected.data_type}, expected)

    for source in INTEGERS:
        low, high = limits(source)
        x = tensor(source, [5], [low, high, 1, 100, high // 3])
        for target in INTEGERS:
            add(f"{source} to {target} keeps the low bits", x, tensor(target, [5], x.values))
    for source in FLOATS:
        for target in INTEGERS:
            low, high = limits(target)
            values = [NAN, INF, -INF, 1.75, -0.5, 99.5, 60000.0, -60000.0]
            x = tensor(source, [8], values)
            saturated = [_saturated(value, low, high) for value in x.values]
            add(f"{source} to {target} truncates and saturates, NaN is 0", x, tensor(target, [8], saturated))
    for target in INTEGERS:
        low, high = limits(target)
        values = [float(low), float(high + 1), 3e38, -3e38]
        x = tensor("float32", [4], values)
        expected = [_saturated(value, low, high) for value in x.values]
        add(f"float32 to {target} at the limits", x, tensor(target, [4], expected))
    for source in INTEGERS:
        low, high = limits(source)
        x = tensor(source, [4], [low, high, 1, 77])
        for target in FLOATS:
            add(f"{source} to {target}", x, tensor(target, [4], [_nearest(int(v), target) for v in x.values]))
    halves = tensor("float32", [6], [65519, 65520, -65520, 1e-8, -1e-8, 2049])
    add("float32 to float16: nearest, infinite beyond", halves, tensor("float16", [6], halves.values))
    wide = tensor("float16", [4], [65504, -0.0, NAN, 2**-24])
    add("float16 to float32 is exact", wide, tensor("float32", [4], wide.values))


def _binary(
    suite: Suite, name: str, method: str, function: Binary, a: Tensor, b: Tensor, tolerance: Tolerance = EXACT
) -> None:
    suite.add(name, method, {"a": a, "b": b}, broadcast(function, a, b), tolerance=tolerance)


def _float(function: Binary) -> Binary:
    return lambda a, b: function(float(a), float(b))


def _truncated(a: Number, b: Number) -> int:
    return 0 if b == 0 else math.trunc(Fraction(int(a), int(b)))


def _whole(function: Unary) -> Callable[[Number], Number]:
    """The rounding function with IEEE's habits: NaN and infinities stay, and so does the sign of a zero."""
    return lambda x: math.copysign(function(x), x) if math.isfinite(x) else x


def _exp(x: float) -> float:
    try:
        return math.exp(x)
    except OverflowError:
        return INF


def _log(x: float) -> float:
    return -INF if x == 0 else math.log(x)


def _reciprocal(x: float) -> float:
    return math.copysign(INF, x) if x == 0 else 1 / x


def _saturated(value: Number, low: int, high: int) -> int:
    if math.isnan(value):
        return 0
    if math.isinf(value):
        return high if value > 0 else low
    return min(max(math.trunc(value), low), high)


def _nearest(value: int, data_type: str) -> float:
    """An integer as the nearest float of so many significant bits, ties to even, with one rounding."""
    excess = max(0, abs(value).bit_length() - (24 if data_type == "float32" else 11))
    return float(round(Fraction(value, 2**excess))) * 2.0**excess
