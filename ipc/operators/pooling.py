"""Pooling over windows of the two spatial dimensions."""

from __future__ import annotations

from collections.abc import Iterable

from ipc.descriptors import ANY, FLOATS, DataType, Descriptor
from ipc.operators._attributes import enumeration, list_of, uint32
from ipc.operators._declaration import Operator, declare, operand
from ipc.operators._rules import Rule
from ipc.operators._windows import (
    WINDOW_RULES,
    WindowOptions,
    channels,
    check_positive_pair,
    image,
    layout_option,
    overhangs,
    spatial,
)


class Pool2dOptions(WindowOptions):
    window_dimensions: tuple[int, ...] | None = list_of(uint32(), None)
    layout: str = layout_option()
    output_shape_rounding: str = enumeration("floor", "ceil", default="floor")
    output_sizes: tuple[int, ...] | None = list_of(uint32(), None)


_RULES = WINDOW_RULES | {
    "window_dimensions_length": "window_dimensions has 2 entries",
    "window_dimensions_positive": "window_dimensions are not 0",
    "output_sizes_length": "output_sizes has 2 entries",
    "output_sizes": "output_sizes are the computed sizes, both rounded down or both rounded up",
}


def _pool(name: str, data_types: Iterable[DataType], formula: str) -> Operator:
    return declare(
        _infer,
        name=name,
        parameters={"input": operand(data_types, 4, required=FLOATS)},
        options=Pool2dOptions,
        rules=_RULES,
        doc=f"{formula}\n\nA spatial size is (size + padding - dilated window size) / stride + 1, rounded as "
        "output_shape_rounding says;\noutput_sizes, where given, choose. Without window_dimensions the window is the "
        "whole plane.",
    )


def _infer(rule: Rule, input: Descriptor, options: Pool2dOptions) -> Descriptor:
    plane = spatial(input, options.layout)
    window = plane if options.window_dimensions is None else options.window_dimensions
    check_positive_pair(rule, "window_dimensions", window)
    rule("padding_length", len(options.padding) == 4, padding=options.padding)
    check_positive_pair(rule, "strides", options.strides)
    sizes = options.output_sizes
    if sizes is not None:
        rule("output_sizes_length", len(sizes) == 2, output_sizes=sizes)
    check_positive_pair(rule, "dilations", options.dilations)
    moves = list(zip(overhangs(plane, window, options), options.strides, strict=True))
    floor = tuple(move // stride + 1 for move, stride in moves)
    ceil = tuple(-(-move // stride) + 1 for move, stride in moves)
    if sizes is None:
        sizes = floor if options.output_shape_rounding == "floor" else ceil
    else:
        rule("output_sizes", sizes in (floor, ceil), output_sizes=sizes, floor=floor, ceil=ceil)
    return Descriptor(input.data_type, image(input.shape[0], channels(input, options.layout), sizes, options.layout))


average_pool2d = _pool("average_pool2d", FLOATS, "The mean of the window; padding is left out of sum and count.")
l2_pool2d = _pool("l2_pool2d", FLOATS, "The square root of the sum of squares over the window.")
max_pool2d = _pool("max_pool2d", ANY, "The greatest value in the window; padding never wins.")
