"""Pooling: windows, padding that takes no part, partial windows, dilations, both layouts."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from scripts.vectors._suite import EXACT, Suite, Tolerance, ulp
from scripts.vectors._tensor import ALL_TYPES, FLOATS, Coordinate, Number, Tensor, computed, mixed, ramp
from scripts.vectors.convolution import to_nhwc

_FUNCTIONS: dict[str, Callable[[list[Any]], Number]] = {
    "averagePool2d": lambda cells: math.fsum(cells) / len(cells),
    "l2Pool2d": lambda cells: math.sqrt(math.fsum(cell * cell for cell in cells)),
    "maxPool2d": max,
}
_VARIANTS: tuple[dict[str, Any], ...] = (
    {},
    {"windowDimensions": [2, 3]},
    {"windowDimensions": [3, 2], "strides": [2, 2]},
    {"windowDimensions": [3, 3], "padding": [1, 2, 0, 1]},
    {"windowDimensions": [2, 2], "dilations": [2, 3], "padding": [1, 0, 0, 1]},
    {"windowDimensions": [3, 3], "strides": [2, 2], "outputShapeRounding": "ceil"},
    {"windowDimensions": [3, 3], "strides": [3, 3], "padding": [0, 1, 1, 0], "outputShapeRounding": "ceil"},
    {"windowDimensions": [3, 3], "strides": [3, 3], "padding": [1, 0, 1, 0], "outputSizes": [2, 3]},
    {"windowDimensions": [3, 3], "strides": [2, 2], "outputSizes": [2, 2], "outputShapeRounding": "ceil"},
)


def suite() -> Suite:
    """Vectors of the three pools."""
    suite = Suite("pooling")
    for method in _FUNCTIONS:
        for options in _VARIANTS:
            for layout in ("nchw", "nhwc"):
                _add(suite, method, mixed("float32", [2, 2, 5, 6], 3), {**options, "layout": layout})
        _add(suite, method, mixed("float16", [1, 2, 4, 4], 4), {"windowDimensions": [2, 2], "padding": [1, 1, 1, 1]})
    for data_type in ALL_TYPES:
        signed = not data_type.startswith("u")
        # All negative where the type allows: padding of zeros would win.
        x = ramp(data_type, [1, 1, 4, 4], start=-20 if signed else 1)
        _add(suite, "maxPool2d", x, {"windowDimensions": [2, 2], "padding": [1, 1, 1, 1], "strides": [2, 2]})
    return suite


def _add(suite: Suite, method: str, x: Tensor, options: Mapping[str, Any]) -> None:
    expected = _pooled(_FUNCTIONS[method], x, options)
    if options.get("layout") == "nhwc":
        x, expected = to_nhwc(x), to_nhwc(expected)
    selects = method == "maxPool2d"
    tolerance: Tolerance = EXACT if selects else ulp(27) if x.data_type in FLOATS else EXACT
    said = ", ".join(f"{key} {value}" for key, value in options.items())
    suite.add(f"{x.data_type} {said}", method, {"input": x}, expected, options=options, tolerance=tolerance)


def _pooled(function: Callable[[list[Any]], Number], x: Tensor, options: Mapping[str, Any]) -> Tensor:
    size = x.shape[2:]
    window = options.get("windowDimensions", size)
    strides, dilations = options.get("strides", [1, 1]), options.get("dilations", [1, 1])
    padding = options.get("padding", [0, 0, 0, 0])
    rounding = math.ceil if options.get("outputShapeRounding") == "ceil" else math.floor
    out_size = options.get("outputSizes") or [
        rounding((size[d] + sum(padding[2 * d : 2 * d + 2]) - (window[d] - 1) * dilations[d] - 1) / strides[d]) + 1
        for d in (0, 1)
    ]

    def element(at: Coordinate) -> Number:
        sample, channel, *place = at
        rows, columns = (
            [place[d] * strides[d] + tap * dilations[d] - padding[2 * d] for tap in range(window[d])] for d in (0, 1)
        )
        cells = [
            x[(sample, channel, row, column)]
            for row in rows
            for column in columns
            if 0 <= row < size[0] and 0 <= column < size[1]
        ]
        return function(cells)

    return computed(x.data_type, [*x.shape[:2], *out_size], element)
