"""How a sliding window meets its input: the geometry that convolution, transposed convolution and pooling share.

Along one axis, tap `i` of the window at position `o` looks at cell `o * stride + i * dilation - begin`. Instead of
padding the input, each tap is given the positions at which its cell lies inside, so that cells outside are not visited.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

NHWC_TO_NCHW = (0, 3, 1, 2)
NCHW_TO_NHWC = (0, 2, 3, 1)


@dataclass(frozen=True, slots=True)
class Tap:
    """One element of the window along one axis.

    Attributes:
        index: its place in the window.
        positions: the window's positions at which its cell exists.
        cells: the cells that it meets there, one per position.
    """

    index: int
    positions: slice
    cells: slice


def taps(window: int, positions: int, cells: int, stride: int, dilation: int, begin: int) -> list[Tap]:
    """The taps that meet a cell at all; the work is bounded by the cells met, not by the size of window or padding."""
    meeting = {
        index for position in range(positions) for index in _meeting(window, cells, dilation, begin - position * stride)
    }
    return [_tap(index, positions, cells, stride, index * dilation - begin) for index in sorted(meeting)]


def taps2d(
    window: Sequence[int],
    positions: Sequence[int],
    cells: Sequence[int],
    *,
    strides: Sequence[int],
    dilations: Sequence[int],
    padding: Sequence[int],
) -> Iterator[tuple[Tap, Tap]]:
    """Pairs of a row's and a column's tap. Padding is [top, bottom, left, right]."""
    rows, columns = (
        taps(window[axis], positions[axis], cells[axis], strides[axis], dilations[axis], padding[2 * axis])
        for axis in (0, 1)
    )
    return ((row, column) for row in rows for column in columns)


def _meeting(window: int, cells: int, dilation: int, first_cell: int) -> range:
    """Indices i < window with 0 <= i * dilation - first_cell < cells."""
    return range(max(0, _ceil_div(first_cell, dilation)), min(window, _ceil_div(first_cell + cells, dilation)))


def _tap(index: int, positions: int, cells: int, stride: int, offset: int) -> Tap:
    first = max(0, _ceil_div(-offset, stride))
    last = min(positions - 1, (cells - 1 - offset) // stride)
    return Tap(index, slice(first, last + 1), slice(first * stride + offset, last * stride + offset + 1, stride))


def _ceil_div(a: int, b: int) -> int:
    return -(-a // b)
