"""What convolution and pooling share: a window that slides over the two spatial dimensions."""

from __future__ import annotations

from collections.abc import Sequence

from ipc.descriptors import Descriptor
from ipc.operators._attributes import enumeration, list_of, uint32
from ipc.operators._declaration import Options
from ipc.operators._rules import Rule

WINDOW_RULES = {
    "padding_length": "padding has 4 entries: top, bottom, left, right",
    "strides_length": "strides has 2 entries",
    "strides_positive": "strides are not 0",
    "dilations_length": "dilations has 2 entries",
    "dilations_positive": "dilations are not 0",
}


class WindowOptions(Options):
    padding: tuple[int, ...] = list_of(uint32(), (0, 0, 0, 0))
    strides: tuple[int, ...] = list_of(uint32(), (1, 1))
    dilations: tuple[int, ...] = list_of(uint32(), (1, 1))


def check_window(rule: Rule, options: WindowOptions) -> None:
    """`WINDOW_RULES`."""
    rule("padding_length", len(options.padding) == 4, padding=options.padding)
    check_positive_pair(rule, "strides", options.strides)
    check_positive_pair(rule, "dilations", options.dilations)


def check_positive_pair(rule: Rule, name: str, values: Sequence[int]) -> None:
    """The rules `<name>_length` and `<name>_positive`."""
    rule(f"{name}_length", len(values) == 2, **{name: values})
    rule(f"{name}_positive", 0 not in values, **{name: values})


def overhangs(sizes: Sequence[int], window: Sequence[int], options: WindowOptions) -> tuple[int, int]:
    """Per spatial dimension, how far the dilated window can move over the padded input; negative if it doesn't fit."""
    height, width = (
        size + options.padding[2 * d] + options.padding[2 * d + 1] - ((window[d] - 1) * options.dilations[d] + 1)
        for d, size in enumerate(sizes)
    )
    return height, width


def layout_option(*, default: str = "nchw") -> str:
    """The attribute that says where channels and spatial dimensions are."""
    attribute: str = enumeration("nchw", "nhwc", default=default)
    return attribute


def channels(input: Descriptor, layout: str) -> int:
    return input.shape[layout.index("c")]


def spatial(input: Descriptor, layout: str) -> tuple[int, int]:
    """Height and width."""
    return input.shape[layout.index("h")], input.shape[layout.index("w")]


def image(batches: int, channels: int, sizes: Sequence[int], layout: str) -> tuple[int, int, int, int]:
    """A shape in the given layout."""
    height, width = sizes
    return (batches, channels, height, width) if layout == "nchw" else (batches, height, width, channels)
