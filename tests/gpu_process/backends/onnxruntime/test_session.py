"""Sessions: names, memory, errors, size."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable

import numpy as np
import onnx
import pytest

from gpu_process.backends import Backend, BackendError, BackendOptions, load_backend
from gpu_process.backends.onnxruntime import _segments, _session
from gpu_process.backends.onnxruntime._graph import lower
from gpu_process.backends.onnxruntime._lowering import LOWERINGS
from gpu_process.backends.onnxruntime._model import serialize
from gpu_process.backends.onnxruntime._segments import segments
from ipc import operators as ops
from ipc.descriptors import DataType, Descriptor
from ipc.graph import ConstantSource, Graph, Operation
from ipc.operators import REGISTRY
from tests.conformance._in_process import BackendBuilder, BackendContext

_F32 = DataType.FLOAT32


@pytest.fixture(scope="module")
def backend() -> Backend:
    return load_backend("onnxruntime", BackendOptions())


def _relus(count: int) -> Graph:
    descriptor = Descriptor(_F32, (2, 2))
    graph = Graph([descriptor] * (count + 1), [("x", 0)], {}, [], [("y", count)])
    graph.operations.extend(Operation(ops.relu, {"input": i}, {}, (i + 1,)) for i in range(count))
    return graph


def test_every_operator_is_lowered_or_refused() -> None:
    entries = LOWERINGS.entries()
    assert set(entries) == set(REGISTRY)
    assert all((entry.implementation is None) == bool(entry.refusal) for entry in entries.values())


def test_required_data_types_and_ranks_are_listed(backend: Backend) -> None:
    limits = backend.support_limits().operators
    for name, operator in REGISTRY.items():
        for slot in (*operator.slots.values(), *operator.outputs.values()):
            listed = limits[name][slot.name]
            assert slot.required <= listed.data_types, f"{name}.{slot.name}"
            assert listed.min_rank <= slot.required_rank[0], f"{name}.{slot.name}"
            assert listed.max_rank >= slot.required_rank[1], f"{name}.{slot.name}"


def test_a_hundred_thousand_operators_build_and_run(backend: Backend) -> None:
    compiled = backend.compile(_relus(100_000), {})
    x, y = np.array([[-1, 2], [3, -4]], np.float32), np.zeros((2, 2), np.float32)
    compiled.bind({"x": x}, {"y": y}).run()
    np.testing.assert_array_equal(y, [[0, 2], [3, 0]])
    compiled.close()


def test_what_the_caller_calls_things_never_reaches_the_runtime() -> None:
    descriptor = Descriptor(_F32, (2,))
    graph = Graph([descriptor] * 2, [("../secret\0", 0)], {}, [], [("v0", 1)])
    graph.operations.append(Operation(ops.relu, {"input": 0}, {}, (1,), "op7_7 \u202e"))
    (segment,) = segments(lower(graph, {}, guards=True))
    model = onnx.load_from_string(serialize(segment))
    assert "secret" not in str(model)
    assert "op7_7" not in str(model)


def _added(data_type: DataType, size: int) -> Graph:
    descriptor = Descriptor(data_type, (size,))
    operation = Operation(ops.add, {"a": 0, "b": 1}, {}, (2,))
    return Graph([descriptor] * 3, [("x", 0)], {1: ConstantSource(bytes(16))}, [operation], [("y", 2)])


@pytest.mark.parametrize("size", [1, 40, 4096, 1 << 20])
@pytest.mark.parametrize("data_type", [_F32, DataType.FLOAT16, DataType.INT32, DataType.INT64, DataType.UINT8])
def test_the_runtime_has_copies_of_constants(backend: Backend, data_type: DataType, size: int) -> None:
    constant = np.full(size, 5, data_type.storage)
    compiled = backend.compile(_added(data_type, size), {1: constant})
    constant[:] = 77
    x, y = np.full(size, 2, data_type.storage), np.zeros(size, data_type.storage)
    compiled.bind({"x": x}, {"y": y}).run()
    assert (y == 7).all()
    compiled.close()


def test_constants_are_let_go_of_when_a_graph_is_compiled(backend: Backend) -> None:
    constant = np.full(4096, 5, np.float32)
    watched = weakref.ref(constant)
    compiled = backend.compile(_added(_F32, 4096), {1: constant})
    del constant
    gc.collect()
    assert watched() is None
    compiled.close()


def test_constants_stay_where_the_runtime_may_not_copy_them(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_session, "PROBED_VERSIONS", frozenset())
    constant = np.full(4096, 5, np.float32)
    watched = weakref.ref(constant)
    compiled = backend.compile(_added(_F32, 4096), {1: constant})
    del constant
    gc.collect()
    assert watched() is not None
    compiled.close()


def _looked_up(rows: int, *, also_added: bool = False) -> Graph:
    """Rows of a constant table of 64 columns; with their sum with the first row."""
    table, indices, found = Descriptor(_F32, (rows, 64)), Descriptor(DataType.INT32, (3,)), Descriptor(_F32, (3, 64))
    graph = Graph([table, indices, found], [("i", 1)], {0: ConstantSource(bytes(16))}, [], [("y", 2)])
    graph.operations.append(Operation(ops.gather, {"input": 0, "indices": 1}, {"axis": 0}, (2,)))
    if also_added:
        graph.operands.append(table)
        graph.operations.append(Operation(ops.add, {"a": 0, "b": 0}, {}, (3,)))
        graph.outputs.append(("twice", 3))
    return graph


@pytest.mark.parametrize("also_added", [False, True], ids=["looked up", "also added"])
def test_a_table_gives_its_rows_and_indices_stay_within_it(backend: Backend, also_added: bool) -> None:
    table = np.random.default_rng(0).standard_normal((8192, 64), np.float32)
    compiled = backend.compile(_looked_up(8192, also_added=also_added), {0: table})
    outputs = {"y": np.zeros((3, 64), np.float32)}
    if also_added:
        outputs["twice"] = np.zeros_like(table)
    compiled.bind({"i": np.array([5, 2**31 - 1, -(2**31)], np.int32)}, outputs).run()
    np.testing.assert_array_equal(outputs["y"], table[[5, 8191, 0]])
    compiled.close()


def test_a_large_table_is_looked_up_where_it_is(backend: Backend) -> None:
    for rows, is_copied in ((64, True), (8192, False)):
        table = np.zeros((rows, 64), np.float32)
        compiled = backend.compile(_looked_up(rows), {0: table})
        table[:] = 1
        y = np.full((3, 64), -1, np.float32)
        compiled.bind({"i": np.zeros(3, np.int32)}, {"y": y}).run()
        assert (y == (0 if is_copied else 1)).all()
        compiled.close()


def test_one_operand_may_be_two_outputs_and_an_input_or_constant_may_pass_through(backend: Backend) -> None:
    context = BackendContext(backend)
    builder = context.builder()
    x = builder.input("x", Descriptor(_F32, (2,)))
    constant = builder.constant(Descriptor(_F32, (2,)), np.array([5, 6], np.float32))
    doubled = builder.call("add", [x, x], {})
    same = builder.call("identity", [x], {})
    fixed = builder.call("reshape", [constant], {"new_shape": (2,)})
    outputs = {"a": doubled, "b": doubled, "c": same, "d": builder.call("identity", [same], {}), "e": fixed}
    result = context.compute(builder.build(outputs), {"x": np.array([1, 2], np.float32)})
    assert {name: array.tolist() for name, array in result.items()} == {
        "a": [2, 4],
        "b": [2, 4],
        "c": [1, 2],
        "d": [1, 2],
        "e": [5, 6],
    }


def test_outputs_that_are_the_same_constant_are_all_written(backend: Backend) -> None:
    descriptor = Descriptor(DataType.INT64, (3,))
    operations = [
        Operation(ops.identity, {"input": 0}, {}, (1,)),
        Operation(ops.reshape, {"input": 1}, {"new_shape": (3,)}, (2,)),
    ]
    names = [("constant", 0), ("copy", 1), ("copy again", 2), ("constant again", 0)]
    graph = Graph([descriptor] * 3, [], {}, operations, names)
    compiled = backend.compile(graph, {0: np.array([1, 2, 3])})
    outputs = {name: np.full(3, -1) for name, _ in names}
    compiled.bind({}, outputs).run()
    assert {name: output.tolist() for name, output in outputs.items()} == {name: [1, 2, 3] for name, _ in names}
    compiled.close()


def test_bindings_see_what_their_memory_holds_at_each_run(backend: Backend) -> None:
    compiled = backend.compile(_relus(1), {})
    x, y, z = (np.zeros((2, 2), np.float32) for _ in range(3))
    first, second = compiled.bind({"x": x}, {"y": y}), compiled.bind({"x": x}, {"y": z})
    for value in (1, 2):
        x[:] = value
        first.run()
        assert (y == value).all()
    second.run()
    assert (z == 2).all()
    compiled.close()


def test_an_error_of_a_run_names_operator_and_label() -> None:
    backend = load_backend("onnxruntime", BackendOptions(guards=False))
    builder = BackendBuilder(backend.support_limits())
    table = builder.input("table", Descriptor(_F32, (4,)))
    indices = builder.input("indices", Descriptor(DataType.INT32, (1,)))
    graph = builder.build({"y": builder.call("gather", [table, indices], {})}).graph
    (operation,) = graph.operations
    graph.operations[0] = Operation(
        operation.operator, operation.operands, operation.attributes, operation.outputs, "e"
    )
    compiled = backend.compile(graph, {})
    binding = compiled.bind(
        {"table": np.ones(4, np.float32), "indices": np.array([9], np.int32)}, {"y": np.zeros(1, np.float32)}
    )
    with pytest.raises(BackendError, match=r"^gather \[e\]: .*out of data bounds"):
        binding.run()


def test_an_error_of_a_build_names_operator_and_label(backend: Backend) -> None:
    image, filter = Descriptor(_F32, (1, 3, 4, 4)), Descriptor(_F32, (3, 1, 1, 1))
    limits = REGISTRY["conv_transpose2d"].attributes
    attributes = {name: attribute.default for name, attribute in limits.items()} | {"groups": 2}
    operands = {"input": 0, "filter": 1, "bias": None}
    operation = Operation(ops.conv_transpose2d, operands, attributes, (2,), "up")
    graph = Graph([image, filter, Descriptor(_F32, (1, 2, 4, 4))], [("x", 0), ("w", 1)], {}, [operation], [("y", 2)])
    arrays = {name: np.zeros(d.shape, np.float32) for name, d in (("x", image), ("w", filter))}
    with pytest.raises(BackendError, match=r"^conv_transpose2d \[up\]: "):
        backend.compile(graph, {}).bind(arrays, {"y": np.zeros((1, 2, 4, 4), np.float32)}).run()


@pytest.mark.parametrize("threads", [1, 2])
def test_equal_runs_give_equal_bits(threads: int) -> None:
    context = BackendContext(load_backend("onnxruntime", BackendOptions(threads=threads)))
    random = np.random.default_rng(1)
    a, b = (random.normal(size=(256, 256)).astype(np.float32) for _ in range(2))

    def product() -> bytes:
        builder = context.builder()
        operands = [builder.input(name, Descriptor(_F32, (256, 256))) for name in "ab"]
        graph = builder.build({"y": builder.call("matmul", operands, {})})
        return context.compute(graph, {"a": a.copy(), "b": b.copy()})["y"].tobytes()

    assert product() == product()


def test_weights_shared_by_many_cells_are_reordered_once() -> None:
    limits = load_backend("onnxruntime", BackendOptions()).support_limits()
    builder = BackendBuilder(limits)
    x = builder.input("x", Descriptor(_F32, (1, 4)))
    state = builder.input("h", Descriptor(_F32, (1, 4)))
    weight = builder.constant(Descriptor(_F32, (12, 4)), np.ones((12, 4), np.float32))
    for _ in range(10):
        options = {"hidden_size": 4, "layout": "rzn"}
        state = builder.call("gru_cell", [], {**options, **_cell(x, weight, state)})
    graph = builder.build({"y": state})
    lowered = lower(graph.graph, graph.constants, guards=True)
    assert sum(node.op_type == "Concat" for node in lowered.nodes) == 1


def _cell(x: int, weight: int, state: int) -> dict[str, int]:
    return {"input": x, "weight": weight, "recurrent_weight": weight, "hidden_state": state}


def _memory_sets(build: Callable[[BackendBuilder], dict[str, int]], **options: bool) -> tuple[set[str], set[str]]:
    backend = load_backend("onnxruntime", BackendOptions(**options))
    builder = BackendBuilder(backend.support_limits())
    graph = builder.build(build(builder))
    compiled = backend.compile(graph.graph, graph.constants)
    return set(compiled.in_place_inputs), set(compiled.in_place_outputs)


def _plain(builder: BackendBuilder) -> dict[str, int]:
    x = builder.input("x", Descriptor(_F32, (2, 2)))
    return {"y": builder.call("softmax", [builder.call("relu", [x], {})], {"axis": 1})}


def _embedding(builder: BackendBuilder) -> dict[str, int]:
    ids = builder.input("ids", Descriptor(DataType.INT32, (2,)))
    other = builder.input("other", Descriptor(_F32, (2, 2)))
    table = builder.constant(Descriptor(_F32, (4, 2)), np.ones((4, 2), np.float32))
    near = builder.call("clamp", [ids], {"min_value": -4, "max_value": 3})
    rows = builder.call("gather", [table, near], {})
    bounds = builder.call("clamp", [ids], {"min_value": -4, "max_value": 3})
    mixed = builder.call("add", [rows, other], {})
    return {"rows": rows, "mixed": mixed, "bounds": bounds, "plain": builder.call("relu", [other], {})}


def _constant_gather(builder: BackendBuilder) -> dict[str, int]:
    x = builder.input("x", Descriptor(_F32, (4, 2)))
    rows = builder.constant(Descriptor(DataType.INT32, (2,)), np.array([0, 9], np.int32))
    return {"y": builder.call("gather", [x, rows], {}), "bounds": builder.call("neg", [rows], {})}


def _divisions(builder: BackendBuilder) -> dict[str, int]:
    """The guard of an integer divisor reads it twice: changed in between, it traps."""
    a, b = (builder.input(name, Descriptor(DataType.INT32, (2,))) for name in "ab")
    x, y = (builder.input(name, Descriptor(_F32, (2,))) for name in "xy")
    return {"integers": builder.call("div", [a, b], {}), "floats": builder.call("div", [x, y], {})}


def _lstm(builder: BackendBuilder) -> dict[str, int]:
    x = builder.input("x", Descriptor(_F32, (2, 1, 4)))
    weight = builder.constant(Descriptor(_F32, (1, 16, 4)), np.ones((1, 16, 4), np.float32))
    hidden, _ = builder.call(
        "lstm", [builder.call("identity", [x], {}), weight, weight], {"steps": 2, "hidden_size": 4}
    )
    return {"hidden": builder.call("reshape", [hidden], {"new_shape": (4,)}), "y": builder.call("relu", [x], {})}


@pytest.mark.parametrize(
    ("build", "inputs", "outputs"),
    [
        (_plain, {"x"}, {"y"}),
        (_embedding, {"other"}, {"plain"}),
        (_constant_gather, {"x"}, {"y"}),
        (_divisions, {"x", "y"}, {"floats"}),
        (_lstm, set(), set()),
    ],
)
def test_only_what_no_other_kernel_sees_may_be_in_place(
    build: Callable[[BackendBuilder], dict[str, int]], inputs: set[str], outputs: set[str]
) -> None:
    assert _memory_sets(build) == (inputs, outputs)
    assert _memory_sets(build, in_place=False) == (set(), set())


def test_nothing_is_in_place_with_a_version_that_was_not_probed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_session.onnxruntime, "__version__", "1.33.0")
    assert _memory_sets(_plain) == (set(), set())


@pytest.mark.parametrize("data_type", [DataType.INT8, DataType.INT32, DataType.INT64, DataType.FLOAT16])
def test_a_relu_may_be_clamped_whatever_its_type(backend: Backend, data_type: DataType) -> None:
    """As Relu and Clip, integers are refused: `test_runtime_faults.py`."""
    context = BackendContext(backend)
    builder = context.builder()
    x = builder.input("x", Descriptor(data_type, (3,)))
    y = builder.call("clamp", [builder.call("relu", [x], {})], {"min_value": 1, "max_value": 5})
    result = context.compute(builder.build({"y": y}), {"x": np.array([-7, 3, 9], data_type.storage)})
    np.testing.assert_array_equal(result["y"], [1, 3, 5])


def test_a_graph_cut_after_every_node_computes_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def build(builder: BackendBuilder) -> tuple[dict[str, int], dict[str, np.ndarray]]:
        random = np.random.default_rng(2)
        x = builder.input("x", Descriptor(_F32, (3, 2, 4)))
        n = builder.input("n", Descriptor(DataType.INT64, (3,)))
        weight = builder.constant(Descriptor(_F32, (2, 16, 4)), random.normal(size=(2, 16, 4)).astype(np.float32))
        peephole = builder.constant(Descriptor(_F32, (2, 12)), random.normal(size=(2, 12)).astype(np.float32))
        options = {"peephole_weight": peephole, "steps": 3, "hidden_size": 4, "direction": "both", "layout": "ifgo"}
        hidden, cell = builder.call("lstm", [x, weight, weight], options)
        chosen = builder.call("where", [builder.call("greater", [hidden, cell], {}), hidden, cell], {})
        power = builder.call("pow", [n, builder.call("abs", [n], {})], {})
        gathered = builder.call("gather", [x, builder.call("div", [power, n], {})], {})
        inputs = {"x": random.normal(size=(3, 2, 4)).astype(np.float32), "n": np.array([-1, 3, 0])}
        return {
            "a": chosen,
            "b": gathered,
            "c": power,
            "d": builder.call("reshape", [chosen], {"new_shape": (16,)}),
        }, inputs

    results = []
    for nodes in (2048, 1, 3):
        monkeypatch.setattr(_segments, "MAX_NODES", nodes)
        context = BackendContext(load_backend("onnxruntime", BackendOptions()))
        builder = context.builder()
        outputs, inputs = build(builder)
        results.append(context.compute(builder.build(outputs), inputs))
    for other in results[1:]:
        for name, array in results[0].items():
            np.testing.assert_allclose(other[name], array, rtol=1e-6, atol=1e-6, err_msg=name)
