"""Peer: the memory copies alone, into one buffer and out of it into another; nothing that carries tensors is faster."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from scripts.bench.peers._serving import serve


def copies(size: int, calls: int) -> dict[str, Any]:
    """Two copies of `size` bytes: in and out."""
    source, middle, target = (np.ones(size, np.uint8) for _ in range(3))
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
