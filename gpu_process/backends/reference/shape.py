"""What moves elements about and computes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from gpu_process.backends._interface import Array
from gpu_process.backends.reference._kernels import kernel
from ipc import operators as ops
from ipc.numbers import MLNumber

_PAD_MODES: dict[str, Literal["edge", "reflect"]] = {"edge": "edge", "reflection": "reflect"}


@kernel(ops.concat)
def concat(inputs: Sequence[Array], *, axis: int) -> Array:
    """The inputs one after the other along axis."""
    return np.concatenate(inputs, axis)


@kernel(ops.expand)
def expand(x: Array, *, new_shape: Sequence[int]) -> Array:
    """x repeated along the axes where its size is 1 or that it lacks."""
    return np.broadcast_to(x, new_shape)


@kernel(ops.pad)
def pad(
    x: Array, *, beginning_padding: Sequence[int], ending_padding: Sequence[int], mode: str, value: MLNumber
) -> Array:
    """x between margins of `value`, of its border elements (edge), or mirrored without repeating them (reflection)."""
    if x.ndim == 0:
        return x
    widths = list(zip(beginning_padding, ending_padding, strict=True))
    if mode == "constant":
        return np.pad(x, widths, constant_values=x.dtype.type(value))
    return np.pad(x, widths, mode=_PAD_MODES[mode])


@kernel(ops.reshape)
def reshape(x: Array, *, new_shape: Sequence[int]) -> Array:
    """The same elements in row-major order."""
    return x.reshape(new_shape)


@kernel(ops.reverse)
def reverse(x: Array, *, axes: Sequence[int] | None) -> Array:
    """x backwards along the axes; along all if absent."""
    return np.flip(x, None if axes is None else tuple(axes))


@kernel(ops.slice)
def slice(x: Array, *, starts: Sequence[int], sizes: Sequence[int], strides: Sequence[int] | None) -> Array:
    """x[start : start + size : stride] on every axis; a size spans elements of the input."""
    spans = zip(starts, sizes, strides or [1] * x.ndim, strict=True)
    return x[tuple(np.s_[start : start + size : stride] for start, size, stride in spans)]


@kernel(ops.split)
def split(x: Array, *, splits: int | Sequence[int], axis: int) -> list[Array]:
    """Consecutive pieces along axis: as many as `splits` says, or of the sizes it lists."""
    return np.split(x, splits if isinstance(splits, int) else np.cumsum(splits)[:-1], axis)


@kernel(ops.tile)
def tile(x: Array, *, repetitions: Sequence[int]) -> Array:
    """The whole of x repeated along each axis."""
    return np.tile(x, tuple(repetitions))


@kernel(ops.transpose)
def transpose(x: Array, *, permutation: Sequence[int] | None) -> Array:
    """Axis k of the output is axis permutation[k] of x; if absent, the axes are reversed."""
    return np.transpose(x, permutation)


@kernel(ops.triangular)
def triangular(x: Array, *, upper: bool, diagonal: int) -> Array:
    """On the last two axes: x where column - row >= diagonal (upper) or <= diagonal (lower), else 0."""
    rows, columns = x.shape[-2:]
    distance = np.arange(columns) - np.arange(rows)[:, np.newaxis]
    return np.where(distance >= diagonal if upper else distance <= diagonal, x, x.dtype.type(0))
