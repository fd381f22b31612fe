"""Convolutions: every layout, with padding, strides, dilations and groups."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from scripts.vectors._suite import Suite, Tolerance, atol
from scripts.vectors._tensor import FLOATS, Coordinate, Tensor, computed, coordinates, mixed

_CLOSE: dict[str, Tolerance] = {"float32": atol(1e-4), "float16": atol(0.5)}
_INPUT_LAYOUTS = ("nchw", "nhwc")

_DEFAULTS: dict[str, Any] = {
    "padding": [0, 0, 0, 0],
    "strides": [1, 1],
    "dilations": [1, 1],
    "outputPadding": [0, 0],
    "groups": 1,
}
_VARIANTS: tuple[dict[str, Any], ...] = (
    {},
    {"padding": [1, 0, 2, 1]},
    {"strides": [2, 3], "padding": [1, 1, 1, 1]},
    {"dilations": [2, 1], "padding": [2, 0, 0, 1]},
    {"groups": 2},
    {"groups": 2, "strides": [2, 1], "padding": [0, 1, 1, 0]},
)


def suite() -> Suite:
    """Vectors of `conv2d` and `convTranspose2d`."""
    suite = Suite("convolution")
    for data_type in FLOATS:
        for number, options in enumerate(_VARIANTS):
            _conv(suite, f"{data_type} {_said(options)}", data_type, options, seed=number)
            _transposed(suite, f"{data_type} {_said(options)}", data_type, options, seed=number)
    for input_layout in _INPUT_LAYOUTS:
        for filter_layout in ("oihw", "hwio", "ohwi", "ihwo"):
            layouts = {"inputLayout": input_layout, "filterLayout": filter_layout}
            for options in (layouts, {**layouts, "groups": 2, "padding": [1, 0, 0, 2], "dilations": [1, 2]}):
                _conv(suite, f"float32 {_said(options)}", "float32", options)
        for filter_layout in ("iohw", "hwoi", "ohwi"):
            layouts = {"inputLayout": input_layout, "filterLayout": filter_layout}
            for options in (layouts, {**layouts, "groups": 2, "padding": [1, 0, 0, 2], "dilations": [1, 2]}):
                _transposed(suite, f"float32 {_said(options)}", "float32", options)
    _depthwise(suite)
    for options in (
        {"strides": [3, 2], "outputPadding": [2, 1]},
        {"strides": [3, 2], "padding": [1, 1, 0, 1], "outputSizes": [9, 8]},
        {"strides": [2, 2], "outputSizes": [8, 9], "outputPadding": [1, 1]},
    ):
        _transposed(suite, f"float32 {_said(options)}", "float32", options)
    return suite


def _conv(suite: Suite, name: str, data_type: str, options: Mapping[str, Any], seed: int = 0) -> None:
    groups = options.get("groups", 1)
    x = mixed(data_type, [2, 2 * groups, 5, 6], 20 + seed)
    weights = mixed(data_type, [2 * groups, 2, 3, 2], 30 + seed)
    bias = mixed(data_type, [2 * groups], 40 + seed) if seed % 2 else None
    _add(suite, name, "conv2d", x, weights, bias, options, convolved(x, weights, bias, options), "oihw")


def _depthwise(suite: Suite) -> None:
    x, weights = mixed("float32", [1, 3, 4, 4], 1), mixed("float32", [3, 1, 2, 2], 2)
    bias = mixed("float32", [3], 3)
    options = {"groups": 3}
    _add(suite, "float32 depthwise", "conv2d", x, weights, bias, options, convolved(x, weights, bias, options), "oihw")
    point = mixed("float32", [2, 3, 1, 1], 4)
    _add(suite, "float32 pointwise", "conv2d", x, point, None, {}, convolved(x, point, None, {}), "oihw")


def _transposed(suite: Suite, name: str, data_type: str, options: Mapping[str, Any], seed: int = 0) -> None:
    groups = options.get("groups", 1)
    x = mixed(data_type, [2, 2 * groups, 3, 4], 50 + seed)
    weights = mixed(data_type, [2 * groups, 2, 3, 2], 60 + seed)
    bias = mixed(data_type, [2 * groups], 70 + seed) if seed % 2 else None
    _add(suite, name, "convTranspose2d", x, weights, bias, options, transposed(x, weights, bias, options), "iohw")


def convolved(x: Tensor, weights: Tensor, bias: Tensor | None, options: Mapping[str, Any]) -> Tensor:
    """conv2d of nchw and oihw."""
    p = {**_DEFAULTS, **options}
    top, bottom, left, right = p["padding"]
    padded = [x.shape[2] + top + bottom, x.shape[3] + left + right]
    size = [
        (padded[axis] - (weights.shape[2 + axis] - 1) * p["dilations"][axis] - 1) // p["strides"][axis] + 1
        for axis in (0, 1)
    ]
    out_channels, depth = weights.shape[:2]

    def element(at: Coordinate) -> float:
        sample, channel, row, column = at
        group = channel // (out_channels // p["groups"])
        terms = []
        for c, i, j in coordinates(weights.shape[1:]):
            y = row * p["strides"][0] + i * p["dilations"][0] - top
            z = column * p["strides"][1] + j * p["dilations"][1] - left
            if 0 <= y < x.shape[2] and 0 <= z < x.shape[3]:
                terms.append(x[(sample, group * depth + c, y, z)] * weights[(channel, c, i, j)])
        return math.fsum(terms) + (0 if bias is None else bias[[channel]])

    return computed(x.data_type, [x.shape[0], out_channels, *size], element)


def transposed(x: Tensor, weights: Tensor, bias: Tensor | None, options: Mapping[str, Any]) -> Tensor:
    """convTranspose2d of nchw and iohw: every input cell adds a stamp of the filter to the output."""
    p = {**_DEFAULTS, **options}
    top, bottom, left, right = p["padding"]
    cut = [top + bottom, left + right]
    size = p.get("outputSizes") or [
        (x.shape[2 + axis] - 1) * p["strides"][axis]
        + (weights.shape[2 + axis] - 1) * p["dilations"][axis]
        + 1
        - cut[axis]
        + p["outputPadding"][axis]
        for axis in (0, 1)
    ]
    in_channels, depth = weights.shape[:2]
    shape = [x.shape[0], depth * p["groups"], *size]
    terms: dict[Coordinate, list[float]] = {at: [] for at in coordinates(shape)}
    for sample, channel, row, column in coordinates(x.shape):
        group = channel // (in_channels // p["groups"])
        for o, i, j in coordinates(weights.shape[1:]):
            y = row * p["strides"][0] + i * p["dilations"][0] - top
            z = column * p["strides"][1] + j * p["dilations"][1] - left
            target = (sample, group * depth + o, y, z)
            if target in terms:
                terms[target].append(x[(sample, channel, row, column)] * weights[(channel, o, i, j)])
    return computed(x.data_type, shape, lambda at: math.fsum(terms[at]) + (0 if bias is None else bias[[at[1]]]))


def permuted(x: Tensor, order: Sequence[int]) -> Tensor:
    """The tensor with its axes in another order: axis k is what axis order[k] was."""
    shape = [x.shape[axis] for axis in order]

    def element(at: Coordinate) -> float:
        source = dict(zip(order, at, strict=True))
        return x[[source[axis] for axis in range(len(order))]]

    return computed(x.data_type, shape, element)


def to_nhwc(x: Tensor) -> Tensor:
    return permuted(x, [0, 2, 3, 1])


def _add(
    suite: Suite,
    name: str,
    method: str,
    x: Tensor,
    weights: Tensor,
    bias: Tensor | None,
    options: Mapping[str, Any],
    expected: Tensor,
    own_layout: str,
) -> None:
    layout = options.get("filterLayout", own_layout)
    stored = permuted(weights, [own_layout.index(axis) for axis in layout])
    channels_last = options.get("inputLayout") == "nhwc"
    arguments = {"input": to_nhwc(x) if channels_last else x, "filter": stored}
    given = dict(options) if bias is None else {**options, "bias": bias}
    expected = to_nhwc(expected) if channels_last else expected
    suite.add(name, method, arguments, expected, options=given, tolerance=_CLOSE[x.data_type], constant=["filter"])


def _said(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in options.items()) or "defaults"
