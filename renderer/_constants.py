"""Constants on their way: many share one sealed region, each at an aligned place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ipc.graph import OperandId
from ipc.shared_memory import ALIGNMENT


def lay_out(constants: Mapping[OperandId, bytes]) -> tuple[dict[OperandId, int], Iterable[bytes]]:
    """The offset of each constant in their common region, and the pieces that fill it, gaps included."""
    offsets: dict[OperandId, int] = {}
    pieces: list[bytes] = []
    end = 0
    for operand, data in constants.items():
        gap = -end % ALIGNMENT
        pieces += (bytes(gap), data)
        offsets[operand] = end + gap
        end += gap + len(data)
    return offsets, pieces
