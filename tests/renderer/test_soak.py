"""What ten thousand rounds leave behind: nothing, on both sides."""

from __future__ import annotations

import gc
import os

import numpy as np
import psutil
import pytest

from renderer import ML, MLContext, MLGraph, MLGraphBuilder

ROUNDS = 10_000
WARM_UP = 500
SLACK_BYTES = 16 << 20  # allocators keep what they once had; a leak of two kilobytes a round would be more than this


def _round(context: MLContext, graph: MLGraph, value: float) -> None:
    with (
        context.create_tensor("float32", (64,), writable=True) as x,
        context.create_tensor("float32", (64,), readable=True) as y,
    ):
        context.write_tensor(x, np.full(64, value, np.float32))
        context.dispatch(graph, {"x": x}, {"y": y})
        assert context.read_tensor(y)[0] == value + 1


def _held(process: psutil.Process) -> tuple[int, int]:
    """Descriptors and threads."""
    return process.num_fds(), process.num_threads()


@pytest.mark.timeout(180)
def test_ten_thousand_rounds_leave_descriptors_threads_and_memory_where_they_were() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can count the descriptors of the GPU process, which is undumpable")
    with ML(backend="onnxruntime") as ml, ml.create_context() as context:
        b = MLGraphBuilder(context)
        x = b.input("x", "float32", (64,))
        with b.build({"y": b.add(x, b.constant("float32", 1))}) as graph:
            processes = [psutil.Process(), psutil.Process(context.gpu_process_pid)]
            for i in range(WARM_UP):
                _round(context, graph, i)
            gc.collect()
            before = [(_held(process), process.memory_info().rss) for process in processes]
            for i in range(ROUNDS):
                _round(context, graph, i)
            gc.collect()
            for process, (held, memory) in zip(processes, before, strict=True):
                assert _held(process) == held
                assert process.memory_info().rss < memory + SLACK_BYTES
