"""Pooling.

The output's size is settled, so rounding up becomes padding at the end: padding takes no part in any of the functions.
The kernels refuse padding as large as the window; there the padding is written out before, and for the mean the sum is
divided by the number of real cells. The greatest is not the kernel's, which knows few types and loses NaN.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gpu_process.backends._interface import Array, BackendError
from gpu_process.backends.onnxruntime._layout import from_nchw, nchw_shape, to_nchw
from gpu_process.backends.onnxruntime._lowering import Lowered, Lowering, in_float32, lowers
from gpu_process.backends.onnxruntime._values import Value
from ipc import operators as ops
from ipc.descriptors import MAX_TENSOR_BYTES


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


@lowers(ops.max_pool2d)
@in_float32
def max_pool2d(node: Lowering, x: Value, *, layout: str, **attributes: Any) -> Lowered:
    """The greatest along each axis in turn, of slices.

    The runtime's own kernel has neither 32- nor 64-bit integers, loses NaN, and gives the lowest finite number where
    all that a window sees is negative infinity, or nothing. This one takes four times as long (1.8 ms instead of 0.4
    for 64 planes of 112 x 112 and windows of 3 x 3).
    """
    images, window = to_nchw(node, x, layout), _Window.of(node, x, layout, **attributes)
    for d in (0, 1):
        images = window.greatest(node, images, d)
    return from_nchw(node, images, layout)


_MOST_SLICES = 8  # of which the greatest is taken at once; larger windows are made of windows of 2, 4, 8, ...
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

    def greatest(self, node: Lowering, images: Value, d: int) -> Value:
        """Of each window's cells along one of the two axes."""
        lowest = -np.inf if images.is_float else np.iinfo(images.data_type.dtype).min
        alone = replace(self, begins=self._only(self.begins, d), ends=self._only(self.ends, d), plane=images.shape[2:])
        rest = alone.padded(node, images, lowest) if any(alone.pads) else images
        count, step = self.sizes[d], self.dilations[d]
        merged = 1  # cells of which each element of `rest` is the greatest
        while count > _MOST_SLICES * merged:
            size = rest.shape[2 + d] - merged * step
            rest = node("Max", *(_cut(node, rest, d, start, size) for start in (0, merged * step)))
            merged *= 2
        reach = (self.shape[2 + d] - 1) * self.strides[d] + 1
        firsts = sorted({*range(0, count - merged, merged), count - merged})
        cut = [_cut(node, rest, d, first * step, reach, self.strides[d]) for first in firsts]
        return node("Max", *cut) if len(cut) > 1 else cut[0]

    @staticmethod
    def _only(padding: tuple[int, ...], d: int) -> tuple[int, ...]:
        return tuple(size if axis == d else 0 for axis, size in enumerate(padding))

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


def _cut(node: Lowering, images: Value, d: int, start: int, size: int, stride: int = 1) -> Value:
    """Along one of the two axes."""
    if (start, size, stride) == (0, images.shape[2 + d], 1):
        return images
    starts, ends, steps = [0] * images.rank, list(images.shape), [1] * images.rank
    starts[2 + d], ends[2 + d], steps[2 + d] = start, start + size, stride
    return node.slice(images, starts, ends, steps)
