"""Convolution and its transpose, in two dimensions."""

from __future__ import annotations

from ipc.descriptors import FLOATS, Descriptor
from ipc.operators._attributes import enumeration, list_of, uint32
from ipc.operators._declaration import operand, operator, optional
from ipc.operators._rules import Rule
from ipc.operators._windows import (
    WINDOW_RULES,
    WindowOptions,
    channels,
    check_window,
    image,
    layout_option,
    overhangs,
    spatial,
)

_BIAS_RULE = {"bias_shape": "bias has one value per output channel"}


class _ConvolutionOptions(WindowOptions):
    groups: int = uint32(1)
    input_layout: str = layout_option()
    bias: Descriptor | None = optional(FLOATS, 1, like="input")


class Conv2dOptions(_ConvolutionOptions):
    filter_layout: str = enumeration("oihw", "hwio", "ohwi", "ihwo", default="oihw")


@operator(
    input=operand(FLOATS, 4),
    filter=operand(FLOATS, 4, like="input"),
    options=Conv2dOptions,
    rules=WINDOW_RULES
    | {
        "groups_positive": "groups is not 0",
        "groups_input": "groups divides the input channels",
        "filter_channels": "the filter has as many input channels as a group",
        "groups_output": "groups divides the output channels",
    }
    | _BIAS_RULE,
)
def conv2d(rule: Rule, input: Descriptor, filter: Descriptor, options: Conv2dOptions) -> Descriptor:
    """The cross-correlation of the zero-padded input with the filter, by groups, plus bias.

    A spatial size is floor((size + padding - dilated filter size) / stride) + 1.
    """
    check_window(rule, options)
    groups, order = options.groups, options.filter_layout
    per_group, produced = filter.shape[order.index("i")], filter.shape[order.index("o")]
    given = channels(input, options.input_layout)
    rule("groups_positive", groups != 0, groups=groups)
    rule("groups_input", given % groups == 0, groups=groups, channels=given)
    rule("filter_channels", given // groups == per_group, filter=per_group, group=given // groups)
    rule("groups_output", produced % groups == 0, groups=groups, channels=produced)
    _check_bias(rule, options.bias, produced)
    window = filter.shape[order.index("h")], filter.shape[order.index("w")]
    moves = overhangs(spatial(input, options.input_layout), window, options)
    sizes = [move // stride + 1 for move, stride in zip(moves, options.strides, strict=True)]
    return Descriptor(input.data_type, image(input.shape[0], produced, sizes, options.input_layout))


class ConvTranspose2dOptions(_ConvolutionOptions):
    output_padding: tuple[int, ...] = list_of(uint32(), (0, 0))
    output_sizes: tuple[int, ...] | None = list_of(uint32(), None)
    filter_layout: str = enumeration("iohw", "hwoi", "ohwi", default="iohw")


@operator(
    input=operand(FLOATS, 4),
    filter=operand(FLOATS, 4, like="input"),
    options=ConvTranspose2dOptions,
    rules=WINDOW_RULES
    | {
        "output_padding_length": "output_padding has 2 entries",
        "output_sizes_length": "output_sizes has 2 entries",
        "output_padding": "output_padding is less than the strides",
        "groups_positive": "groups is not 0",
        "filter_channels": "the filter has as many input channels as the input",
    }
    | _BIAS_RULE
    | {"output_sizes": "output_sizes are at least the computed sizes and less than a stride above them"},
)
def conv_transpose2d(rule: Rule, input: Descriptor, filter: Descriptor, options: ConvTranspose2dOptions) -> Descriptor:
    """The transpose of a convolution, by groups, plus bias.

    A spatial size is (size - 1) * stride + dilated filter size - padding + output_padding; output_sizes, where given,
    say it instead, and output_padding is ignored.
    """
    check_window(rule, options)
    groups, order, sizes = options.groups, options.filter_layout, options.output_sizes
    rule("output_padding_length", len(options.output_padding) == 2, output_padding=options.output_padding)
    if sizes is not None:
        rule("output_sizes_length", len(sizes) == 2, output_sizes=sizes)
    else:
        less = all(extra < stride for extra, stride in zip(options.output_padding, options.strides, strict=True))
        rule("output_padding", less, output_padding=options.output_padding, strides=options.strides)
    rule("groups_positive", groups != 0, groups=groups)
    given, taken = channels(input, options.input_layout), filter.shape[order.index("i")]
    rule("filter_channels", given == taken, filter=taken, channels=given)
    produced = filter.shape[order.index("o")] * groups
    _check_bias(rule, options.bias, produced)
    computed = _transposed_sizes(input, filter, options)
    if sizes is None:
        sizes = tuple(base + extra for base, extra in zip(computed, options.output_padding, strict=True))
    else:
        allowed = all(
            base <= size < base + stride for base, size, stride in zip(computed, sizes, options.strides, strict=True)
        )
        rule("output_sizes", allowed, output_sizes=sizes, computed=computed, strides=options.strides)
    return Descriptor(input.data_type, image(input.shape[0], produced, sizes, options.input_layout))


def _transposed_sizes(input: Descriptor, filter: Descriptor, options: ConvTranspose2dOptions) -> tuple[int, ...]:
    window = filter.shape[options.filter_layout.index("h")], filter.shape[options.filter_layout.index("w")]
    padding = options.padding
    return tuple(
        (size - 1) * options.strides[d]
        + (window[d] - 1) * options.dilations[d]
        + 1
        - padding[2 * d]
        - padding[2 * d + 1]
        for d, size in enumerate(spatial(input, options.input_layout))
    )


def _check_bias(rule: Rule, bias: Descriptor | None, output_channels: int) -> None:
    if bias is not None:
        rule("bias_shape", bias.shape == (output_channels,), bias=bias.shape, channels=output_channels)
        rule.slot("bias")
