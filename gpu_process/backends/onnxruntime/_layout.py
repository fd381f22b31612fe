"""Layouts of images: the kernels know channels first."""

from __future__ import annotations

from collections.abc import Sequence

from gpu_process.backends.onnxruntime._lowering import Lowering
from gpu_process.backends.onnxruntime._values import Value

_KERNEL_LAYOUT = "nchw"


def to_nchw(node: Lowering, x: Value, layout: str) -> Value:
    return node.transpose(x, [layout.index(axis) for axis in _KERNEL_LAYOUT])


def from_nchw(node: Lowering, x: Value, layout: str) -> Value:
    return node.transpose(x, [_KERNEL_LAYOUT.index(axis) for axis in layout])


def nchw_shape(shape: Sequence[int], layout: str) -> tuple[int, ...]:
    """The shape in the kernels' layout of what has `shape` in `layout`."""
    return tuple(shape[layout.index(axis)] for axis in _KERNEL_LAYOUT)


def onnx_pads(padding: Sequence[int]) -> list[int]:
    """[top, bottom, left, right] as ONNX orders it: all beginnings, then all ends."""
    top, bottom, left, right = padding
    return [top, left, bottom, right]
