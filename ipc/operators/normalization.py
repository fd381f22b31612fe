"""Normalization by given or computed statistics."""

from __future__ import annotations

from ipc.descriptors import FLOATS, Descriptor
from ipc.operators._attributes import finite, list_of, uint32
from ipc.operators._declaration import Options, operand, operator, optional
from ipc.operators._families import AXES_RULES, AXIS_RULES, check_axes, check_axis
from ipc.operators._rules import Rule
from ipc.operators._windows import channels, layout_option

_EPSILON = 1e-5  # the specification's default, for all three


def _check_vector(rule: Rule, name: str, vector: Descriptor, size: int) -> None:
    rule.slot(name)
    rule(f"{name}_shape", vector.shape == (size,), **{name: vector.shape, "size": size})


class BatchNormalizationOptions(Options):
    scale: Descriptor | None = optional(FLOATS, 1, like="input")
    bias: Descriptor | None = optional(FLOATS, 1, like="input")
    axis: int = uint32(1)
    epsilon: float = finite(_EPSILON, cast_to="input")


@operator(
    input=operand(FLOATS, (1, None), required_rank=(3, 5)),
    mean=operand(FLOATS, 1, like="input", late=True),
    variance=operand(FLOATS, 1, like="input", late=True),
    options=BatchNormalizationOptions,
    rules=AXIS_RULES
    | {f"{name}_shape": f"{name} has the size of the axis" for name in ("mean", "variance", "scale", "bias")},
)
def batch_normalization(
    rule: Rule, input: Descriptor, mean: Descriptor, variance: Descriptor, options: BatchNormalizationOptions
) -> Descriptor:
    """scale * (x - mean) / sqrt(variance + epsilon) + bias, the statistics along axis."""
    check_axis(rule, options.axis, input)
    size = input.shape[options.axis]
    _check_vector(rule, "mean", mean, size)
    _check_vector(rule, "variance", variance, size)
    if options.scale is not None:
        _check_vector(rule, "scale", options.scale, size)
    if options.bias is not None:
        _check_vector(rule, "bias", options.bias, size)
    return input


class InstanceNormalizationOptions(Options):
    scale: Descriptor | None = optional(FLOATS, 1, like="input")
    bias: Descriptor | None = optional(FLOATS, 1, like="input")
    epsilon: float = finite(_EPSILON, cast_to="input")
    layout: str = layout_option()


@operator(
    input=operand(FLOATS, 4),
    options=InstanceNormalizationOptions,
    rules={f"{name}_shape": f"{name} has one value per channel" for name in ("scale", "bias")},
)
def instance_normalization(rule: Rule, input: Descriptor, options: InstanceNormalizationOptions) -> Descriptor:
    """scale * (x - mean) / sqrt(variance + epsilon) + bias, with the statistics of each sample's channels."""
    size = channels(input, options.layout)
    if options.scale is not None:
        _check_vector(rule, "scale", options.scale, size)
    if options.bias is not None:
        _check_vector(rule, "bias", options.bias, size)
    return input


class LayerNormalizationOptions(Options):
    scale: Descriptor | None = optional(FLOATS, like="input")
    bias: Descriptor | None = optional(FLOATS, like="input")
    axes: tuple[int, ...] | None = list_of(uint32(), None)
    epsilon: float = finite(_EPSILON, cast_to="input")


@operator(
    input=operand(FLOATS),
    options=LayerNormalizationOptions,
    rules=AXES_RULES
    | {
        "scale_rank": "scale has one dimension per axis",
        "bias_rank": "bias has one dimension per axis",
        "scale_shape": "scale has the sizes of the axes, in the order of axes",
        "bias_shape": "bias has the sizes of the axes, in the order of axes",
    },
)
def layer_normalization(rule: Rule, input: Descriptor, options: LayerNormalizationOptions) -> Descriptor:
    """scale * (x - mean) / sqrt(variance + epsilon) + bias, with the statistics over all axes together.

    The axes are all but the first by default; scale and bias follow the order of axes.
    """
    axes = tuple(range(1, input.rank)) if options.axes is None else options.axes
    check_axes(rule, axes, input)
    vectors = {"scale": options.scale, "bias": options.bias}
    for name, vector in vectors.items():
        if vector is not None:
            rule.slot(name)
            rule(f"{name}_rank", vector.rank == len(axes), **{name: vector.shape, "axes": axes})
    sizes = tuple(input.shape[axis] for axis in axes)
    for name, vector in vectors.items():
        if vector is not None:
            rule(f"{name}_shape", vector.shape == sizes, **{name: vector.shape, "sizes": sizes})
    return input
