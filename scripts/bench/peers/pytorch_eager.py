"""Peer: PyTorch eager, the relu-sized call only: what a Python programmer's own library costs per call."""

from __future__ import annotations

import time
from typing import Any

import torch

from scripts.bench.peers._serving import serve


def configure(threads: int) -> str:
    torch.set_num_threads(threads)
    return f"pytorch {torch.__version__}"


def chain(calls: int) -> dict[str, Any]:
    """x <- x + 1; each result is copied out."""
    tensors = [torch.zeros(2, 2), torch.zeros(2, 2)]
    result = torch.empty(2, 2)
    us = []
    with torch.inference_mode():
        for i in range(calls):
            start = time.perf_counter_ns()
            torch.add(tensors[i % 2], 1, out=tensors[1 - i % 2])
            result.copy_(tensors[1 - i % 2])
            us.append((time.perf_counter_ns() - start) / 1e3)
    return {"us": us, "value": float(result[0, 0])}


if __name__ == "__main__":
    serve({"configure": configure, "chain": chain})
