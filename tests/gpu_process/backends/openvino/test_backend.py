"""The backend as a whole: bindings, memory, errors."""

from __future__ import annotations

import gc
import mmap
import weakref
from dataclasses import replace

import numpy as np
import pytest

from gpu_process.backends import BackendError, BackendOptions
from gpu_process.backends._interface import aligned_empty
from gpu_process.backends.openvino._lowering import LOWERINGS
from ipc.descriptors import DataType, Descriptor
from ipc.limits import SupportLimits
from ipc.operators import REGISTRY, declared_limits
from tests.gpu_process.backends.openvino._graphs import Workbench

X = np.array([[-1, 2], [3, -4]], np.float32)


def test_every_operator_is_lowered_and_listed_with_every_type() -> None:
    limits: SupportLimits = Workbench().backend.support_limits()
    assert LOWERINGS.entries().keys() == REGISTRY.keys()
    assert limits.operators == declared_limits().operators


def test_an_input_may_be_an_output_by_identity() -> None:
    bench = Workbench()
    x = bench.place(X)
    results = bench.compute(y=bench.call("identity", x), z=bench.call("relu", x))
    np.testing.assert_array_equal(results["y"], X)
    np.testing.assert_array_equal(results["z"], np.maximum(X, 0))


def test_a_graph_needs_no_inputs() -> None:
    bench = Workbench()
    y = bench.call("add", bench.place(X, "constant"), bench.place(X, "constant"))
    np.testing.assert_array_equal(bench.compute(y=y)["y"], X + X)


def test_one_result_may_have_two_names() -> None:
    bench = Workbench()
    y = bench.call("neg", bench.place(X))
    results = bench.compute(a=y, b=y)
    np.testing.assert_array_equal(results["a"], -X)
    np.testing.assert_array_equal(results["b"], -X)


def test_bindings_of_one_graph_are_independent_and_run_often() -> None:
    bench = Workbench()
    compiled = bench.compiled({"y": bench.call("cast", bench.call("neg", bench.place(X)), data_type=DataType.INT32)})
    assert compiled.devices == ("cpu", "reference")
    memory = [(aligned_empty(X.shape, X.dtype), aligned_empty(X.shape, np.dtype(np.int32))) for _ in range(2)]
    bindings = [compiled.bind({"x0": given}, {"y": result}) for given, result in memory]
    for round_ in range(3):
        for number, (binding, (given, _)) in enumerate(zip(bindings, memory, strict=True)):
            given[...] = X + round_ + 10 * number
            binding.run()
        for number, (_, result) in enumerate(memory):
            np.testing.assert_array_equal(result, -(X + round_ + 10 * number).astype(np.int32))


def test_a_binding_keeps_its_memory_alive() -> None:
    bench = Workbench()
    compiled = bench.compiled({"y": bench.call("neg", bench.place(X))})
    result = aligned_empty(X.shape, X.dtype)
    given = aligned_empty(X.shape, X.dtype)
    given[...] = X
    alive = weakref.ref(given)
    run = compiled.bind({"x0": given}, {"y": result}).run
    del given
    gc.collect()
    assert alive() is not None
    run()
    np.testing.assert_array_equal(result, -X)


def test_constants_in_read_only_memory_are_used_in_place() -> None:
    region = mmap.mmap(-1, mmap.PAGESIZE)
    region.write(X.tobytes())
    weights = np.frombuffer(region, np.float32, X.size).reshape(X.shape)
    weights.flags.writeable = False
    bench = Workbench()
    constant = bench.builder.constant(Descriptor(DataType.FLOAT32, X.shape), weights)
    bench.builder.constants[constant] = weights
    np.testing.assert_array_equal(bench.compute(y=bench.call("add", bench.place(X), constant))["y"], X + X)


def test_denormal_constants_keep_their_bits() -> None:
    """OpenVINO makes them 0 where it holds them as constants of more than one element."""
    tiny = np.array([1e-40, 1, -3e-42, 0], np.float32)
    bench = Workbench()
    moved = bench.call("concat", [bench.place(tiny), bench.place(tiny, "constant")], axis=0)
    np.testing.assert_array_equal(bench.compute(y=moved)["y"], np.concatenate([tiny, tiny]))


def test_float16_is_rounded_where_the_graph_says_so() -> None:
    """Inside a model OpenVINO holds float16 in float32, unrounded."""
    values = np.array([65519, 65520, 1.0009, 1e-9], np.float32)
    bench = Workbench()
    half = bench.call("cast", bench.place(values), data_type=DataType.FLOAT16)
    y = bench.compute(y=bench.call("cast", half, data_type=DataType.FLOAT32))["y"]
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(y, values.astype(np.float16).astype(np.float32))


@pytest.mark.parametrize("threads", [0, 1, 2])
def test_any_number_of_threads_computes_the_same(threads: int) -> None:
    a = np.random.default_rng(7).normal(size=(96, 96)).astype(np.float32)
    bench = Workbench(BackendOptions(threads=threads))
    y = bench.compute(y=bench.call("matmul", bench.place(a), bench.place(a, "constant")))["y"]
    np.testing.assert_allclose(y, a.astype(np.float64) @ a.astype(np.float64), rtol=1e-4, atol=1e-4)


def test_the_absolute_value_of_a_converted_constant_is_taken() -> None:
    """OpenVINO's shape inference drops Abs from it where it has rank 1."""
    bench = Workbench()
    wide = bench.call("cast", bench.place(np.array([-1.5, 2], np.float16), "constant"), data_type=DataType.FLOAT32)
    np.testing.assert_array_equal(bench.compute(y=bench.call("abs", wide))["y"], np.array([1.5, 2], np.float32))


@pytest.mark.parametrize("threads", [1, 2])
def test_of_several_updates_of_one_place_the_last_one_holds(threads: int) -> None:
    random = np.random.default_rng(3)
    target = np.zeros((8, 64), np.float32)
    rows = random.integers(0, 8, 500).astype(np.int32)
    updates = random.normal(size=(500, 64)).astype(np.float32)
    wanted = target.copy()
    for row, update in zip(rows, updates, strict=True):
        wanted[row] = update
    bench = Workbench(BackendOptions(threads=threads))
    x, by_row = bench.place(target), bench.place(rows[:, None])
    by_element = bench.place(np.repeat(rows[:, None], 64, axis=1))
    values = bench.place(updates)
    results = bench.compute(
        nd=bench.call("scatter_nd", x, by_row, values),
        elements=bench.call("scatter_elements", x, by_element, values),
    )
    np.testing.assert_array_equal(results["nd"], wanted)
    np.testing.assert_array_equal(results["elements"], wanted)


def test_warming_up_leaves_a_backend_that_works() -> None:
    bench = Workbench()
    bench.backend.warm_up()
    np.testing.assert_array_equal(bench.compute(y=bench.call("abs", bench.place(X)))["y"], np.abs(X))


def test_an_error_names_operator_and_label(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_operands: object, **_attributes: object) -> object:
        raise RuntimeError("Check failed at somewhere.cpp:1\nthe reason\n")

    lowering = LOWERINGS[REGISTRY["matmul"]]
    monkeypatch.setattr(type(lowering), "__call__", refuse)
    bench = Workbench()
    y = bench.call("matmul", bench.place(X), bench.place(X))
    graph = bench.builder.build({"y": y}).graph
    graph.operations = [replace(operation, label="attention.\u202eqk") for operation in graph.operations]
    with pytest.raises(BackendError, match=r"^matmul \[attention\.\\u202eqk\]: .*the reason$"):
        bench.backend.compile(graph, {})


def test_squares_of_float16_constants_do_not_overflow_when_they_are_folded() -> None:
    bench = Workbench()
    image = np.full((1, 1, 2, 2), 300, np.float16)
    y = bench.call("l2_pool2d", bench.place(image, "constant"), window_dimensions=(2, 2))
    assert bench.compute(y=y)["y"].item() == 600


def test_products_over_one_element_may_follow_each_other() -> None:
    """As products, OpenVINO refuses them: `test_runtime_faults.py`."""
    bench = Workbench()
    x = bench.place(np.array([[1, 2], [3, 4]], np.float32))
    column = bench.call("matmul", x, bench.place(np.array([[1], [2]], np.float32), "constant"))
    for b_transpose in (False, True):
        weights = np.array([[3]], np.float32)
        column = bench.call("gemm", column, bench.place(weights, "constant"), b_transpose=b_transpose)
    np.testing.assert_array_equal(bench.compute(y=column)["y"], [[45], [99]])


def test_statistics_of_float16_are_folded_in_float32() -> None:
    rng = np.random.default_rng(7)
    x, mean, variance = (rng.uniform(0.01, 1, 512).astype(np.float16) for _ in range(3))
    bench = Workbench()
    operands = bench.place(x.reshape(1, 512)), bench.place(mean, "constant"), bench.place(variance, "constant")
    y = bench.compute(y=bench.call("batch_normalization", *operands))["y"]
    wide = [each.astype(np.float64) for each in (x, mean, variance)]
    right = (wide[0] - wide[1]) / np.sqrt(wide[2] + np.float64(np.float16(1e-5)))
    np.testing.assert_array_equal(y[0], right.astype(np.float16))
