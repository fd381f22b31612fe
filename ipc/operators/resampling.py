"""Resampling of images."""

from __future__ import annotations

from ipc.descriptors import FLOATS, DataType, Descriptor
from ipc.operators._attributes import enumeration, finite_float32, list_of, uint32
from ipc.operators._declaration import Options, operand, operator
from ipc.operators._families import AXES_RULES, check_axes
from ipc.operators._rules import Rule


class Resample2dOptions(Options):
    mode: str = enumeration("nearest-neighbor", "linear", default="nearest-neighbor")
    scales: tuple[float, ...] = list_of(finite_float32(), (1.0, 1.0))
    sizes: tuple[int, ...] | None = list_of(uint32(), None)
    axes: tuple[int, ...] = list_of(uint32(), (2, 3))


@operator(
    input=operand(FLOATS | {DataType.UINT8, DataType.INT8}, 4, required=FLOATS),
    options=Resample2dOptions,
    rules={
        "scales_positive": "scales are above 0",
        "scales_length": "scales has 2 entries",
        "sizes_length": "sizes has 2 entries",
        "sizes_positive": "sizes are not 0",
        "axes_length": "axes has 2 entries",
    }
    | AXES_RULES,
)
def resample2d(rule: Rule, input: Descriptor, options: Resample2dOptions) -> Descriptor:
    """The input resampled along two axes, to sizes or, without them, to floor(size * scale).

    Samples lie at the centres of their cells; "nearest-neighbor" takes the lower of two equally near ones.
    """
    scales, sizes, axes = options.scales, options.sizes, options.axes
    rule("scales_positive", all(scale > 0 for scale in scales), scales=scales)
    rule("scales_length", len(scales) == 2, scales=scales)
    if sizes is not None:
        rule("sizes_length", len(sizes) == 2, sizes=sizes)
        rule("sizes_positive", 0 not in sizes, sizes=sizes)
    rule("axes_length", len(axes) == 2, axes=axes)
    check_axes(rule, axes, input)
    shape = list(input.shape)
    for d, axis in enumerate(axes):
        shape[axis] = _scaled(shape[axis], scales[d]) if sizes is None else sizes[d]
    return Descriptor(input.data_type, tuple(shape))


def _scaled(size: int, scale: float) -> int:
    numerator, denominator = scale.as_integer_ratio()  # exact: a product in floating point may round up to an integer
    return size * numerator // denominator
