"""Pooling. Windows without a single real cell, which OpenVINO's kernels do not take, go to the reference kernels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from openvino import opset15 as opset

from gpu_process.backends.openvino._lowering import Node, Value, lowers
from gpu_process.backends.openvino._values import greatest, in_float32, transpose
from gpu_process.backends.openvino.convolution import NCHW_TO_NHWC, NHWC_TO_NCHW
from ipc import operators as ops
from ipc.descriptors import DataType


@dataclass(frozen=True, slots=True)
class _Windows:
    """The geometry on the two spatial axes, with the end padding that makes floor rounding give the output's size."""

    window: list[int]
    strides: list[int]
    dilations: list[int]
    begin: list[int]
    end: list[int]

    @property
    def see_real_cells(self) -> bool:
        """No window lies in the padding alone."""
        extents = [(size - 1) * dilation + 1 for size, dilation in zip(self.window, self.dilations, strict=True)]
        return all(
            begin < extent and end < extent for begin, end, extent in zip(self.begin, self.end, extents, strict=True)
        )


def _windows(node: Node) -> _Windows:
    attributes = node.operation.attributes
    rows, columns = (2, 3) if attributes["layout"] == "nchw" else (1, 2)
    shape, result = node.inputs["input"].shape, node.output.shape
    sizes, results = (shape[rows], shape[columns]), (result[rows], result[columns])
    window = list(attributes["window_dimensions"] or sizes)
    strides, dilations = list(attributes["strides"]), list(attributes["dilations"])
    padding = attributes["padding"]
    begin = [padding[0], padding[2]]
    reached = [
        (count - 1) * stride + (extent - 1) * dilation + 1
        for count, stride, extent, dilation in zip(results, strides, window, dilations, strict=True)
    ]
    end = [max(0, last - size - first) for last, size, first in zip(reached, sizes, begin, strict=True)]
    return _Windows(window, strides, dilations, begin, end)


def _sees_real_cells(node: Node) -> bool:
    return _windows(node).see_real_cells


def _is_dense(node: Node) -> bool:
    windows = _windows(node)
    return windows.see_real_cells and windows.dilations == [1, 1]


def _in_nchw(input: Value, layout: str, pool: Callable[[Value], Value]) -> Value:
    if layout == "nchw":
        return pool(input)
    return transpose(pool(transpose(input, NHWC_TO_NCHW)), NCHW_TO_NHWC)


@lowers(ops.average_pool2d, when=_is_dense)
def average_pool2d(node: Node, input: Value, *, layout: str, **_geometry: Any) -> Value:
    """The mean of the real cells under each window, at the borders too."""
    return _in_nchw(input, layout, lambda planes: _average(planes, _windows(node), exclude_pad=True))


@lowers(ops.l2_pool2d, when=_is_dense)
def l2_pool2d(node: Node, input: Value, *, layout: str, **_geometry: Any) -> Value:
    """The root of the sum of squares: the mean with padding counted, times the size of the window.

    In float32: folded constants would be squared in float16, which ends at 256 squared.
    """
    windows = _windows(node)
    area = node.scalar(float(np.prod(windows.window)), DataType.FLOAT32)

    def pool(planes: Value) -> Value:
        mean = _average(opset.multiply(planes, planes), windows, exclude_pad=False)
        return opset.sqrt(opset.multiply(mean, area))

    return in_float32(node, input, lambda wide: _in_nchw(wide, layout, pool))


@lowers(ops.max_pool2d, when=_sees_real_cells)
def max_pool2d(node: Node, input: Value, *, layout: str, **_geometry: Any) -> Value:
    """Twice: the kernel alone loses NaN."""
    windows = _windows(node)

    def pool(planes: Value) -> Value:
        return opset.max_pool(
            planes, windows.strides, windows.dilations, windows.begin, windows.end, windows.window, "floor", "explicit"
        ).output(0)

    return _in_nchw(input, layout, lambda planes: greatest(node, planes, pool))


def _average(planes: Value, windows: _Windows, *, exclude_pad: bool) -> Value:
    return opset.avg_pool(
        planes, windows.strides, windows.begin, windows.end, windows.window, exclude_pad, "floor", "explicit"
    )
