"""Which memory OpenVINO may share with a renderer."""

from __future__ import annotations

import numpy as np

from gpu_process.backends import BackendOptions
from gpu_process.backends.openvino._sharing import in_place
from tests.gpu_process.backends.openvino._graphs import Array, Workbench

X = np.ones((3, 4), np.float32)


def _shared(bench: Workbench, **outputs: int) -> tuple[set[str], set[str]]:
    compiled = bench.compiled(outputs)
    return set(compiled.in_place_inputs), set(compiled.in_place_outputs)


def test_plain_values_are_shared() -> None:
    bench = Workbench()
    assert _shared(bench, y=bench.call("relu", bench.place(X))) == ({"x0"}, {"y"})


def test_a_result_that_is_used_again_is_private() -> None:
    bench = Workbench()
    y = bench.call("relu", bench.place(X))
    assert _shared(bench, y=y, z=bench.call("tanh", y)) == ({"x0"}, {"z"})


def test_a_result_with_two_names_is_private() -> None:
    bench = Workbench()
    y = bench.call("relu", bench.place(X))
    assert _shared(bench, y=y, z=y) == ({"x0"}, set())


def test_an_input_that_any_unlisted_operator_reads_is_private() -> None:
    bench = Workbench()
    x = bench.place(X)
    outputs = {"y": bench.call("relu", x), "z": bench.call("transpose", x)}
    assert _shared(bench, **outputs) == (set(), {"y"})


def test_indices_conditions_and_what_the_reference_computes_are_private() -> None:
    bench = Workbench()
    indices: Array = np.array([1], np.int32)
    condition = bench.place(np.ones((3, 4), np.uint8))
    x, i = bench.place(X), bench.place(indices)
    outputs = {
        "gathered": bench.call("gather", x, i),
        "chosen": bench.call("where", condition, x, x),
        "summed": bench.call("add", i, i),
    }
    assert _shared(bench, **outputs) == (set(), set())


def test_nothing_is_shared_when_sharing_is_off() -> None:
    bench = Workbench(BackendOptions(in_place=False))
    assert _shared(bench, y=bench.call("relu", bench.place(X))) == (set(), set())


def test_an_unknown_version_shares_nothing() -> None:
    bench = Workbench()
    graph = bench.builder
    y = bench.call("relu", bench.place(X))
    plan = bench.compiled({"y": y}).plan
    assert in_place(graph.graph, plan, "1999.1.0") == (frozenset(), frozenset())
    assert in_place(graph.graph, plan, bench.backend.version) == (frozenset({"x0"}), frozenset({"y"}))
