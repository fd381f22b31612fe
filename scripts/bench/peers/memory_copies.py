"""Peer: the memory copies alone, into one buffer and out of it into another; nothing that carries tensors is faster."""

from __future__ import annotations

import functools
import time
from typing import Any

import numpy as np
import numpy.typing as npt

from scripts.bench.peers._serving import serve


@functools.cache
def _buffers(size: int) -> tuple[npt.NDArray[np.uint8], ...]:
    """Kept: memory that was used before is copied faster than what the kernel has just given."""
    return tuple(np.ones(size, np.uint8) for _ in range(3))


def copies(size: int, calls: int) -> dict[str, Any]:
    """Two copies of `size` bytes: in and out."""
    source, middle, target = _buffers(size)
    us = np.empty(calls)
    for i in range(calls):
        source[i % size] = i % 251
        start = time.perf_counter_ns()
        np.copyto(middle, source)
        np.copyto(target, middle)
        us[i] = (time.perf_counter_ns() - start) / 1e3
    return {"us": us.tolist(), "checksum": float(target[: 1 << 16].sum())}


if __name__ == "__main__":
    serve({"copies": copies})
