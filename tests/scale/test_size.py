"""Large graphs cost in proportion to their size, recurse nowhere, and are refused by a quota's name or run."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from gpu_process.backends import BACKEND_NAMES
from ipc.errors import QuotaExceededError
from renderer import ML, MLContext, MLGraph, MLGraphBuilder, MLOperand

Array = npt.NDArray[np.float32]

_LINEAR = ("reference", "onnxruntime")
_ROOM = {"operations": 200_000, "operands": 400_000, "intermediate_bytes": 1 << 34, "build_seconds": 1800}
_X = np.array([[0.5, -2.0], [3.0, -0.25]], np.float32)


def _deep(b: MLGraphBuilder, count: int) -> MLOperand:
    """A chain: each operation reads the one before."""
    value = b.input("x", "float32", _X.shape)
    for index in range(count):
        value = b.abs(value) if index % 2 else b.neg(value)
    return value


def _broad(b: MLGraphBuilder, count: int) -> MLOperand:
    """A tree: half of the operations read the input, the others add what two of them made."""
    x = b.input("x", "float32", _X.shape)
    values = [b.neg(x) for _ in range(count // 2)]
    while len(values) > 1:
        pairs = [b.max(*values[at : at + 2]) for at in range(0, len(values) - 1, 2)]
        values = pairs + values[2 * len(pairs) :]
    return values[0]


def _built(
    context: MLContext, record: Callable[[MLGraphBuilder, int], MLOperand], count: int
) -> tuple[MLGraph, float, float]:
    """The graph, and seconds of recording and of building."""
    start = time.perf_counter()
    builder = MLGraphBuilder(context)
    output = record(builder, count)
    recorded = time.perf_counter()
    graph = builder.build({"y": output})
    return graph, recorded - start, time.perf_counter() - recorded


@pytest.mark.parametrize("backend", _LINEAR)
def test_twenty_thousand_operators_build_and_run(backend: str) -> None:
    with ML(backend=backend, quotas=_ROOM) as ml, ml.create_context() as context:
        deep, *_ = _built(context, _deep, 10_000)
        np.testing.assert_array_equal(context.compute(deep, {"x": _X})["y"], abs(_X))
        broad, *_ = _built(context, _broad, 10_000)
        np.testing.assert_array_equal(context.compute(broad, {"x": _X})["y"], -_X)


@pytest.mark.parametrize("backend", BACKEND_NAMES)
def test_a_graph_beyond_a_quota_is_refused_by_its_name_and_harms_nobody(backend: str) -> None:
    with ML(backend=backend) as ml, ml.create_context() as context:
        with pytest.raises(QuotaExceededError, match=r"quota operations: \d+ exceed the limit of 16384"):
            _built(context, _deep, 20_000)
        graph, *_ = _built(context, _deep, 600)  # OpenVINO: more than one segment
        np.testing.assert_array_equal(context.compute(graph, {"x": _X})["y"], abs(_X))


@pytest.mark.parametrize("backend", BACKEND_NAMES)
def test_shapes_of_eight_dimensions_pass_through_a_whole_graph(backend: str) -> None:
    shape = (2, 1, 3, 1, 2, 2, 1, 2)
    x = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    with ML(backend=backend) as ml, ml.create_context() as context:
        b = MLGraphBuilder(context)
        turned = b.transpose(b.input("x", "float32", shape), permutation=list(range(7, -1, -1)))
        doubled = b.concat([turned, b.mul(turned, b.constant("float32", 2))], 4)
        total = b.reduce_sum(doubled, axes=[1, 4], keep_dimensions=True)
        with b.build({"y": b.softmax(total, 7), "total": total}) as graph:
            results = context.compute(graph, {"x": x})
    right = (3 * x.transpose()).sum(axis=(1, 4), keepdims=True)
    assert results["total"].ndim == 8
    np.testing.assert_allclose(results["total"], right)
    np.testing.assert_allclose(results["y"].sum(axis=7), 1, rtol=1e-6)


# --- long -------------------------------------------------------------------------------------------------------------


@pytest.mark.campaign
@pytest.mark.parametrize("record", [_deep, _broad], ids=["deep", "broad"])
@pytest.mark.parametrize("backend", _LINEAR)
def test_a_hundred_thousand_operators_cost_as_much_each_as_ten_thousand(
    backend: str, record: Callable[[MLGraphBuilder, int], MLOperand]
) -> None:
    """Prints microseconds per operator; 2 is room for caches that no longer hold everything, and for a busy machine."""
    each: dict[int, float] = {}
    with ML(backend=backend, quotas=_ROOM) as ml, ml.create_context() as context:
        for count in (10_000, 10_000, 100_000):  # the first time warms up
            graph, recording, building = _built(context, record, count)
            start = time.perf_counter()
            context.compute(graph, {"x": _X})
            running = time.perf_counter() - start
            graph.destroy()
            each[count] = (recording + building) / count * 1e6
            parts = ", ".join(
                f"{name} {seconds / count * 1e6:.1f}"
                for name, seconds in (("record", recording), ("build", building), ("run", running))
            )
            print(f"{backend} {record.__name__} {count}: µs per operator: {parts}")
    assert each[100_000] < 2 * each[10_000]


@pytest.mark.campaign
@pytest.mark.parametrize("backend", BACKEND_NAMES)
def test_gigabytes_of_constants_are_used_where_they_lie(backend: str) -> None:
    side, count = 8192, 12  # 3 GiB
    with ML(backend=backend, quotas={"constant_bytes": 1 << 34, "build_seconds": 1800, "command_seconds": 600}) as ml:
        context = ml.create_context()
        b = MLGraphBuilder(context)
        weight: Array = np.zeros((side, side), np.float32)
        np.fill_diagonal(weight, 2)
        value = b.input("x", "float32", (1, side))
        start = time.perf_counter()
        for _ in range(count):
            value = b.matmul(value, b.constant(weight))
        recorded = time.perf_counter()
        graph = b.build({"y": value})
        built = time.perf_counter()
        result = context.compute(graph, {"x": np.ones((1, side), np.float32)})["y"]
        print(f"{backend}: record {recorded - start:.1f} s, build {built - recorded:.1f} s for {count / 4:g} GiB")
        np.testing.assert_array_equal(result, np.full((1, side), 2.0**count))
