"""The geometry of sliding windows, against the definition tried on every pair of position and tap."""

from __future__ import annotations

import itertools

from gpu_process.backends.reference._windows import taps


def test_taps_meet_exactly_the_cells_that_the_definition_says() -> None:
    for window, positions, cells, stride, dilation, begin in itertools.product(
        (1, 2, 4), (1, 3, 5), (1, 4, 6), (1, 2, 3), (1, 2, 5), (0, 1, 4)
    ):
        expected = {
            (tap, position, position * stride + tap * dilation - begin)
            for tap in range(window)
            for position in range(positions)
            if 0 <= position * stride + tap * dilation - begin < cells
        }
        met = {
            (tap.index, position, cell)
            for tap in taps(window, positions, cells, stride, dilation, begin)
            for position, cell in zip(range(positions)[tap.positions], range(cells)[tap.cells], strict=True)
        }
        assert met == expected
