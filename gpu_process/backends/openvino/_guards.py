"""The guard of index operands, run in NumPy between OpenVINO models.

Source: WebNN, gather and scatter: negative indices count from the end; what is out of range is clamped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from gpu_process.backends._interface import Array


def safe_indices(indices: Array, bounds: Sequence[int]) -> Array:
    """A new int32 array of the same shape with every index within [0, bound).

    Args:
        indices: int32, uint32 or int64; may be changing while it is read.
        bounds: one size for all indices, or one per column of the last dimension.
    """
    # The copy comes first: what is checked and what is used must not be two reads of memory that others can write.
    wide = np.array(indices, np.int64)
    sizes = np.array(bounds if len(bounds) > 1 else bounds[0], np.int64)
    np.add(wide, sizes, out=wide, where=wide < 0)
    return np.clip(wide, 0, sizes - 1, out=wide).astype(np.int32)


def guard(source: Array, target: Array, bounds: Sequence[int]) -> Callable[[], None]:
    """A step that fills `target` (int32, private) with the safe indices of `source`."""

    def run() -> None:
        np.copyto(target, safe_indices(source, bounds))

    return run
