"""Loops that the peers in process share: what is timed, and what is checked, is the same for each."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from scripts.bench.weights import FreshInput

Array = npt.NDArray[Any]


def run_fresh(calls: int, fresh: FreshInput, bound: tuple[Array, Array], run: Callable[[], object]) -> dict[str, Any]:
    """Copy in, run, copy out, `calls` times.

    Args:
        bound: the memory that `run` reads and the memory that it writes.

    Returns:
        us: of every call; checksum: the sum of all results.
    """
    inside, outside = bound
    result = np.empty_like(outside)
    us = np.empty(calls)
    checksum = 0.0
    for i in range(calls):
        fresh.renew()
        start = time.perf_counter_ns()
        np.copyto(inside, fresh.array)
        run()
        np.copyto(result, outside)
        us[i] = (time.perf_counter_ns() - start) / 1e3
        checksum += float(result.sum(dtype=np.float64))
    return {"us": us.tolist(), "checksum": checksum}


def chain(calls: int, runs: tuple[Callable[[], object], Callable[[], object]], tensors: tuple[Array, Array]) -> Any:
    """x <- x + 1 through alternating tensors; each result is copied out.

    Args:
        runs: from the first tensor to the second, and back.

    Returns:
        us: of every call; value: in the end, from 0.
    """
    for tensor in tensors:
        tensor[...] = 0
    result = np.empty_like(tensors[0])
    us = np.empty(calls)
    for i in range(calls):
        start = time.perf_counter_ns()
        runs[i % 2]()
        np.copyto(result, tensors[1 - i % 2])
        us[i] = (time.perf_counter_ns() - start) / 1e3
    return {"us": us.tolist(), "value": float(result.flat[0])}


def kernel(calls: int, run: Callable[[], object]) -> dict[str, Any]:
    """The computation alone, without copies."""
    us = np.empty(calls)
    for i in range(calls):
        start = time.perf_counter_ns()
        run()
        us[i] = (time.perf_counter_ns() - start) / 1e3
    return {"us": us.tolist()}
