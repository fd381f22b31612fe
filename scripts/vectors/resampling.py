"""Resampling along any two axes, up and down."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from scripts.vectors._suite import EXACT, Suite, Tolerance, atol
from scripts.vectors._tensor import FLOATS, Coordinate, Number, Tensor, computed, mixed, ramp

_NEAREST, _LINEAR = "nearest-neighbor", "linear"
_CLOSE: dict[str, Tolerance] = {"float32": atol(1e-5), "float16": atol(1 / 64)}


def suite() -> Suite:
    """Vectors of `resample2d`."""
    suite = Suite("resampling")
    for mode in (_NEAREST, _LINEAR):
        for options in (
            {},
            {"scales": [2.0, 2.0]},
            {"scales": [0.5, 1.5]},
            {"scales": [3.0, 0.75]},
            {"sizes": [5, 7]},
            {"sizes": [2, 1]},
            {"sizes": [6, 4], "scales": [1.0, 2.0]},
        ):
            for data_type in FLOATS:
                _add(suite, mixed(data_type, [1, 2, 3, 4], 5), mode, options)
        for axes in ([0, 1], [1, 2], [2, 3], [3, 2], [0, 3], [3, 1]):
            _add(suite, mixed("float32", [2, 3, 2, 3], 6), mode, {"axes": axes, "scales": [2.0, 1.5]})
        for data_type in ("uint8", "int8"):
            start = 0 if data_type == "uint8" else -128
            _add(suite, ramp(data_type, [1, 1, 4, 4], start=start, step=16), mode, {"sizes": [6, 3]})
    return suite


def _add(suite: Suite, x: Tensor, mode: str, options: Mapping[str, Any]) -> None:
    axes: Sequence[int] = options.get("axes", [2, 3])
    scales = options.get("scales", [1.0, 1.0])
    sizes = options.get("sizes") or [math.floor(x.shape[a] * s) for a, s in zip(axes, scales, strict=True)]
    shape = list(x.shape)
    for axis, size in zip(axes, sizes, strict=True):
        shape[axis] = size

    def source(at: Coordinate, axis: int) -> Fraction:
        u = Fraction(2 * at[axis] + 1, 2) * x.shape[axis] / shape[axis] - Fraction(1, 2)
        return min(max(u, Fraction(0)), Fraction(x.shape[axis] - 1))

    def nearest(at: Coordinate) -> Number:
        cell = list(at)
        for axis in axes:
            cell[axis] = math.ceil(source(at, axis) - Fraction(1, 2))
        return x[cell]

    def linear(at: Coordinate) -> Number:
        total = Fraction(0)
        for first in (math.floor, math.ceil):
            for second in (math.floor, math.ceil):
                cell, weight = list(at), Fraction(1)
                for axis, end in zip(axes, (first, second), strict=True):
                    u = source(at, axis)
                    above = u - math.floor(u)
                    cell[axis] = end(u)
                    weight *= above if end is math.ceil else 1 - above
                total += weight * Fraction(x[cell])
        return float(total) if x.data_type in FLOATS else round(total)

    expected = computed(x.data_type, shape, nearest if mode == _NEAREST else linear)
    said = ", ".join(f"{key} {value}" for key, value in options.items()) or "defaults"
    tolerance: Tolerance = EXACT if mode == _NEAREST else _CLOSE.get(x.data_type, EXACT)
    suite.add(
        f"{x.data_type} {list(x.shape)} {mode}, {said}",
        "resample2d",
        {"input": x},
        expected,
        options={"mode": mode, **options},
        tolerance=tolerance,
    )
