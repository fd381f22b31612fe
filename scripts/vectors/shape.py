"""What moves elements about and computes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from scripts.vectors._suite import Suite
from scripts.vectors._tensor import ALL_TYPES, FLOATS, INF, NAN, Number, Tensor, computed, limits, ramp, tensor


def suite() -> Suite:
    """Vectors of the manipulations."""
    suite = Suite("shape")
    for data_type in ALL_TYPES:
        _of_type(suite, data_type)
    _concat(suite)
    _pads(suite)
    _slices(suite)
    _ranks(suite)
    _values_survive(suite)
    return suite


def _of_type(suite: Suite, data_type: str) -> None:
    """One vector of each operator for every data type."""
    x = ramp(data_type, [2, 3], start=1)
    moved: list[tuple[str, dict[str, Any], dict[str, Any], list[int], list[Number]]] = [
        ("expand", {"newShape": [2, 2, 3]}, {}, [2, 2, 3], [1, 2, 3, 4, 5, 6] * 2),
        (
            "pad",
            {"beginningPadding": [1, 0], "endingPadding": [0, 1]},
            {"value": 9},
            [3, 4],
            [9, 9, 9, 9, 1, 2, 3, 9, 4, 5, 6, 9],
        ),
        ("reshape", {"newShape": [3, 1, 2]}, {}, [3, 1, 2], [1, 2, 3, 4, 5, 6]),
        ("reverse", {}, {"axes": [1]}, [2, 3], [3, 2, 1, 6, 5, 4]),
        ("slice", {"starts": [0, 1], "sizes": [2, 2]}, {}, [2, 2], [2, 3, 5, 6]),
        ("tile", {"repetitions": [2, 1]}, {}, [4, 3], [1, 2, 3, 4, 5, 6] * 2),
        ("transpose", {}, {}, [3, 2], [1, 4, 2, 5, 3, 6]),
        ("triangular", {}, {}, [2, 3], [1, 2, 3, 0, 5, 6]),
    ]
    for method, arguments, options, shape, values in moved:
        expected = tensor(data_type, shape, values)
        suite.add(f"{data_type}", method, {"input": x, **arguments}, expected, options=options)
    pieces = [tensor(data_type, [2, 1], [column, column + 3]) for column in (1, 2, 3)]
    suite.add(f"{data_type}", "split", {"input": x, "splits": 3}, pieces, options={"axis": 1})
    suite.add(f"{data_type}", "concat", {"inputs": pieces, "axis": 1}, x)


def _concat(suite: Suite) -> None:
    parts = [ramp("float32", [2, size, 3], start=100 * size) for size in (1, 3, 2)]

    def element(at: tuple[int, ...]) -> Number:
        index = at[1]
        for part in parts:
            if index < part.shape[1]:
                return part[(at[0], index, at[2])]
            index -= part.shape[1]
        raise AssertionError(at)

    expected = computed("float32", [2, 6, 3], element)
    suite.add("float32 of different sizes", "concat", {"inputs": parts, "axis": 1}, expected)
    suite.add("float32 of one", "concat", {"inputs": parts[:1], "axis": 0}, parts[0])
    suite.add("float32 by sizes", "split", {"input": expected, "splits": [1, 3, 2]}, parts, options={"axis": 1})
    line = ramp("int64", [4])
    pieces = [tensor("int64", [2], [0, 1]), tensor("int64", [2], [2, 3])]
    suite.add("int64 default axis", "split", {"input": line, "splits": 2}, pieces)


def _pads(suite: Suite) -> None:
    def mapped(x: Tensor, begin: Sequence[int], end: Sequence[int], mode: str, value: Number) -> Tensor:
        shape = [b + size + e for b, size, e in zip(begin, x.shape, end, strict=True)]

        def element(at: tuple[int, ...]) -> Number:
            inner = [index - b for index, b in zip(at, begin, strict=True)]
            if all(0 <= index < size for index, size in zip(inner, x.shape, strict=True)):
                return x[inner]
            if mode == "constant":
                return value
            last = [size - 1 for size in x.shape]
            if mode == "edge":
                return x[[min(max(index, 0), top) for index, top in zip(inner, last, strict=True)]]
            return x[[top - abs(top - abs(index)) for index, top in zip(inner, last, strict=True)]]

        return computed(x.data_type, shape, element)

    for data_type in ("float32", "float16", "int64", "uint8"):
        x = ramp(data_type, [2, 3, 4], start=1)
        for mode in ("constant", "edge", "reflection"):
            begin, end = [1, 0, 3], [0, 2, 1]
            arguments = {"input": x, "beginningPadding": begin, "endingPadding": end}
            expected = mapped(x, begin, end, mode, 7)
            suite.add(f"{data_type} {mode}", "pad", arguments, expected, options={"mode": mode, "value": 7})
    x = ramp("float32", [1, 2, 1, 2, 1, 2])
    begin, end = [0, 1, 0, 1, 2, 0], [0, 0, 0, 1, 0, 1]
    for mode in ("constant", "edge"):
        arguments = {"input": x, "beginningPadding": begin, "endingPadding": end}
        suite.add(f"float32 rank 6 {mode}", "pad", arguments, mapped(x, begin, end, mode, 0), options={"mode": mode})
    one = {"beginningPadding": [1], "endingPadding": [0]}
    for data_type, value, stored in (
        ("float32", -INF, -INF),
        ("uint8", -5, 0),
        ("int8", 1000, 127),
        ("uint64", 2**64, 2**64 - 1),
    ):
        x = tensor(data_type, [1], [3])
        name = f"{data_type} value {value} is cast"
        suite.add(name, "pad", {"input": x, **one}, tensor(data_type, [2], [stored, 3]), options={"value": value})
    scalar = tensor("float32", [], [4])
    suite.add("float32 scalar", "pad", {"input": scalar, "beginningPadding": [], "endingPadding": []}, scalar)


def _slices(suite: Suite) -> None:
    x = ramp("float32", [4, 5, 6])
    starts, sizes, strides = [1, 0, 2], [3, 5, 4], [2, 3, 4]
    shape = [-(-size // stride) for size, stride in zip(sizes, strides, strict=True)]

    def element(at: tuple[int, ...]) -> Number:
        return x[[start + index * stride for start, index, stride in zip(starts, at, strides, strict=True)]]

    arguments = {"input": x, "starts": starts, "sizes": sizes}
    suite.add("float32 strides", "slice", arguments, computed("float32", shape, element), options={"strides": strides})
    for diagonal in (-3, -1, 0, 1, 4):
        for upper in (True, False):
            x = ramp("int32", [2, 3, 4], start=1)

            def kept(at: tuple[int, ...], x: Tensor = x, upper: bool = upper, diagonal: int = diagonal) -> Number:
                distance = at[2] - at[1]
                return x[at] if (distance >= diagonal if upper else distance <= diagonal) else 0

            options = {"upper": upper, "diagonal": diagonal}
            name = f"int32 {'upper' if upper else 'lower'} from {diagonal}"
            suite.add(name, "triangular", {"input": x}, computed("int32", x.shape, kept), options=options)


def _ranks(suite: Suite) -> None:
    x = ramp("float32", [1, 2, 3, 1, 2, 1, 2, 1])
    order = [6, 0, 2, 7, 4, 1, 3, 5]
    shape = [x.shape[axis] for axis in order]

    def permuted(at: tuple[int, ...]) -> Number:
        source = [0] * len(order)
        for index, axis in zip(at, order, strict=True):
            source[axis] = index
        return x[source]

    suite.add(
        "float32 rank 8",
        "transpose",
        {"input": x},
        computed("float32", shape, permuted),
        options={"permutation": order},
    )
    backwards = computed(
        "float32", x.shape, lambda at: x[[size - 1 - index for size, index in zip(x.shape, at, strict=True)]]
    )
    suite.add("float32 rank 8, all axes", "reverse", {"input": x}, backwards)
    suite.add("float32 rank 8, no axes", "reverse", {"input": x}, x, options={"axes": []})
    repetitions = [2, 1, 1, 3, 2, 1, 1, 1]
    repeated = computed(
        "float32",
        [size * count for size, count in zip(x.shape, repetitions, strict=True)],
        lambda at: x[[index % size for index, size in zip(at, x.shape, strict=True)]],
    )
    suite.add("float32 rank 8", "tile", {"input": x, "repetitions": repetitions}, repeated)
    column = ramp("int8", [3, 1])
    wide = computed("int8", [2, 1, 2, 3, 2], column.broadcast)
    suite.add("int8 to rank 5", "expand", {"input": column, "newShape": [2, 1, 2, 3, 2]}, wide)
    scalar = tensor("float32", [], [-2.5])
    empty_lists: dict[str, dict[str, list[int]]] = {
        "reshape": {"newShape": []},
        "expand": {"newShape": []},
        "transpose": {},
        "reverse": {},
        "tile": {"repetitions": []},
        "slice": {"starts": [], "sizes": []},
    }
    for method, arguments in empty_lists.items():
        suite.add("float32 scalar", method, {"input": scalar, **arguments}, scalar)
    suite.add(
        "float32 scalar to rank 8",
        "reshape",
        {"input": scalar, "newShape": [1] * 8},
        tensor("float32", [1] * 8, [-2.5]),
    )
    suite.add(
        "float32 scalar to rank 2",
        "expand",
        {"input": scalar, "newShape": [2, 1]},
        tensor("float32", [2, 1], [-2.5] * 2),
    )


def _values_survive(suite: Suite) -> None:
    """Moving must not change a value: NaN, infinities, zeros, subnormal numbers, integers beyond 53 bits."""
    special = [NAN, INF, -INF, -0.0, 2.0**-149, 1.5]
    for data_type in FLOATS:
        x = tensor(data_type, [6], special if data_type == "float32" else [*special[:4], 2.0**-24, 1.5])
        backwards = tensor(data_type, [6], x.values[::-1])
        suite.add(f"{data_type} special values", "reverse", {"input": x}, backwards)
        suite.add(
            f"{data_type} special values",
            "reshape",
            {"input": x, "newShape": [2, 3]},
            tensor(data_type, [2, 3], x.values),
        )
        kept = tensor(data_type, [2, 2], [1, 2, 0, 3])
        poisoned = tensor(data_type, [2, 2], [1, 2, NAN, 3])
        suite.add(f"{data_type} NaN is cleared", "triangular", {"input": poisoned}, kept)
    for data_type in ("int64", "uint64"):
        low, high = limits(data_type)
        x = tensor(data_type, [2, 2], [low, high, 2**53 + 1, 2**40 + 1])
        turned = tensor(data_type, [2, 2], [low, 2**53 + 1, high, 2**40 + 1])
        suite.add(f"{data_type} wide values", "transpose", {"input": x}, turned)
        suite.add(
            f"{data_type} wide values", "concat", {"inputs": [x, x], "axis": 0}, tensor(data_type, [4, 2], x.values * 2)
        )
