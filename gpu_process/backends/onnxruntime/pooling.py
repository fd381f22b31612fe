"""Pooling.

The output's size is settled, so rounding up becomes padding at the end: padding takes no part in any of the functions.
The kernels refuse padding as large as the window; there the padding is written out before, and for the mean the sum is
divided by the number of real cells.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpu_process.backends._interface import Array, BackendError
from gpu_process.backends.onnxruntime._layout import from_nchw, nchw_shape, to_nchw
from gpu_process.backends.onnxruntime._lowering import Lowered, Lowering, in_float32, lowers
from gpu_process.backends.onnxruntime._values import ElementType, Value
from ipc import operators as ops
from ipc.descriptors import MAX_TENSOR_BYTES, DataType


@lowers(ops.average_pool2d)
@in_float32
def average_pool2d(node: Lowering, x: Value, *, layout: str, **attributes: Any) -> Lowered:
    images, window = to_nchw(node, x, layout), _Window.of(node, x, layout, **attributes)
    if window.is_global:
        result = node("GlobalAveragePool", images, shape=window.shape)
    elif window.fits_kernel:
        result = window.apply(node, "AveragePool", images, pads=window.pads, count_include_pad=0)
    else:
        padded = window.padded(node, images, 0)
        mean = window.apply(node, "AveragePool", padded, pads=_NO_PADS, count_include_pad=0)
        cells = window.sizes[0] * window.sizes[1]
        total = node.binary("Mul", mean, node.scalar(cells, mean))
        result = node.binary("Div", total, node.constant(window.real_cells(images.shape)))
    return from_nchw(node, result, layout)


@lowers(ops.l2_pool2d)
@in_float32
def l2_pool2d(node: Lowering, x: Value, *, layout: str, **attributes: Any) -> Lowered:
    images, window = to_nchw(node, x, layout), _Window.of(node, x, layout, **attributes)
    pads = window.pads
    if not window.fits_kernel:
        images, pads = window.padded(node, images, 0), _NO_PADS
    return from_nchw(node, window.apply(node, "LpPool", images, pads=pads, p=2), layout)


_MAX_TYPES = {DataType.FLOAT32, DataType.FLOAT16, DataType.INT8, DataType.UINT8, DataType.INT32, DataType.UINT32}


@lowers(ops.max_pool2d, input=_MAX_TYPES, output=_MAX_TYPES)
@in_float32
def max_pool2d(node: Lowering, x: Value, *, layout: str, **attributes: Any) -> Lowered:
    """32-bit integers go through float64, which holds them all; 64-bit ones have no kernel.

    Where all that a window sees is negative infinity, or nothing, the kernel gives the lowest finite number.
    """
    medium = ElementType.DOUBLE if x.data_type in (ElementType.INT32, ElementType.UINT32) else x.data_type
    images, window = to_nchw(node, node.cast(x, medium), layout), _Window.of(node, x, layout, **attributes)
    pads = window.pads
    if not window.fits_kernel:
        lowest = -np.inf if x.is_float else np.iinfo(x.data_type.dtype).min
        images, pads = window.padded(node, images, lowest), _NO_PADS
    result = window.apply(node, "MaxPool", images, pads=pads)
    return from_nchw(node, node.cast(result, x.data_type), layout)


_NO_PADS = [0, 0, 0, 0]


@dataclass(frozen=True, slots=True)
class _Window:
    """The window of a pooling, in the kernels' layout.

    Attributes:
        shape: of the output.
        plane: height and width of the input.
        sizes: of the window.
        begins: padding before.
        ends: padding after, as much as the last window needs.
    """

    shape: tuple[int, ...]
    plane: tuple[int, ...]
    sizes: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    begins: tuple[int, ...]
    ends: tuple[int, ...]

    @classmethod
    def of(
        cls,
        node: Lowering,
        x: Value,
        layout: str,
        *,
        window_dimensions: Sequence[int] | None,
        padding: Sequence[int],
        strides: Sequence[int],
        dilations: Sequence[int],
        **_in_the_shape: object,
    ) -> _Window:
        shape = nchw_shape(node.outputs[0].shape, layout)
        plane = nchw_shape(x.shape, layout)[2:]
        sizes = plane if window_dimensions is None else tuple(window_dimensions)
        begins = (padding[0], padding[2])
        needed = (
            (shape[2 + d] - 1) * strides[d] + (sizes[d] - 1) * dilations[d] + 1 - plane[d] - begins[d] for d in (0, 1)
        )
        ends = tuple(max(0, end) for end in needed)
        return cls(shape, plane, sizes, tuple(strides), tuple(dilations), begins, ends)

    @property
    def pads(self) -> list[int]:
        return [*self.begins, *self.ends]

    @property
    def is_global(self) -> bool:
        return self.sizes == self.plane and self.shape[2:] == (1, 1) and not any(self.pads) and max(self.dilations) == 1

    @property
    def fits_kernel(self) -> bool:
        """Whether the kernels take the padding as it is."""
        return all(max(begin, end) < size for begin, end, size in zip(self.begins, self.ends, self.sizes, strict=True))

    def apply(self, node: Lowering, op_type: str, images: Value, **attributes: Any) -> Value:
        return node(
            op_type,
            images,
            shape=self.shape,
            kernel_shape=self.sizes,
            strides=self.strides,
            dilations=self.dilations,
            **attributes,
        )

    def padded(self, node: Lowering, images: Value, value: float) -> Value:
        """The images with the padding written out.

        Raises:
            BackendError: that would be more than a tensor may have.
        """
        pads = node.integers([0, 0, *self.begins, 0, 0, *self.ends])
        shape = (
            *images.shape[:2],
            *(begin + size + end for begin, size, end in zip(self.begins, self.plane, self.ends, strict=True)),
        )
        if math.prod(shape) * images.data_type.dtype.itemsize > MAX_TENSOR_BYTES:
            raise BackendError(f"the padded input {list(shape)} is larger than {MAX_TENSOR_BYTES} bytes")
        return node("Pad", images, pads, node.scalar(value, images), shape=shape, mode="constant")

    def real_cells(self, shape: tuple[int, ...]) -> Array:
        """How many cells of each window lie inside the input, [output height, output width]."""
        height, width = (self._inside(d, shape[2 + d]) for d in (0, 1))
        return np.outer(height, width).astype(np.float32)

    def _inside(self, d: int, size: int) -> Array:
        first = np.arange(self.shape[2 + d]) * self.strides[d] - self.begins[d]
        step, count = self.dilations[d], self.sizes[d]
        lowest = np.clip(-(first // step), 0, count)  # first tap at or after 0: ceil(-first / step)
        beyond = np.clip(-((first - size) // step), 0, count)
        return beyond - lowest
