"""An ONNX model computes what ONNX Runtime makes of it, or is refused with its reason."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper, version_converter

from ipc.errors import DataError, MLError, MLTypeError, NotSupportedError
from renderer import ML, MLContext, MLGraphBuilder, aio
from renderer.loaders import onnx as loader

Array = npt.NDArray[Any]


@pytest.fixture(scope="module")
def context() -> Iterator[MLContext]:
    with ML(backend="reference") as ml, ml.create_context() as context:
        yield context


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Array],
    known: Mapping[str, Array] | None = None,
    outputs: Sequence[str] = ("y",),
    opset: int = 18,
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "model",
        [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
            for name, value in inputs.items()
        ],
        [helper.make_empty_tensor_value_info(name) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in (known or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def computed(context: MLContext, model: onnx.ModelProto, inputs: Mapping[str, Array]) -> dict[str, Array]:
    builder = MLGraphBuilder(context)
    with builder.build(loader.load(builder, model)) as graph:
        plain = {name: value.astype(np.uint8) if value.dtype == bool else value for name, value in inputs.items()}
        return context.compute(graph, {name: plain[name] for name in graph.inputs})


def expected(model: onnx.ModelProto, inputs: Mapping[str, Array]) -> dict[str, Array]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(inputs)), strict=True))


class Case(NamedTuple):
    """One node, with inputs x, x1, … of the graph, then known ones."""

    op_type: str
    inputs: tuple[Array, ...]
    known: tuple[Array | None, ...] = ()
    attributes: Mapping[str, Any] = {}
    outputs: int = 1
    opset: int = 18

    @property
    def id(self) -> str:
        return "-".join([self.op_type, *(f"{name}={value}" for name, value in self.attributes.items())])


def some(*shape: int, low: float = -2, high: float = 2) -> Array:
    count = int(np.prod(shape))
    spread: Array = np.linspace(low, high, count, dtype=np.float32)
    return spread[np.arange(count) * 7 % count if count % 7 else np.arange(count)].reshape(shape)


def ints(*values: Any) -> Array:
    return np.array(values, np.int64)


X = some(2, 3, 4)
IMAGE = some(1, 4, 9, 7)
POSITIVE = some(2, 3, low=0.1, high=3)
BOOLS = np.array([True, False, True])

CASES = [
    *(Case(name, (X,)) for name in ("Abs", "Ceil", "Cos", "Erf", "Exp", "Floor", "Identity", "Neg", "Relu", "Round")),
    *(
        Case(name, (X,))
        for name in ("Sigmoid", "Sign", "Sin", "Softplus", "Softsign", "Tan", "Tanh", "IsNaN", "HardSwish")
    ),
    *(Case(name, (POSITIVE,)) for name in ("Log", "Sqrt", "Reciprocal")),
    *(Case(name, (X, some(3, 1))) for name in ("Add", "Sub", "Mul", "Max", "Min", "Equal", "Less", "LessOrEqual")),
    *(Case(name, (X, some(4))) for name in ("Greater", "GreaterOrEqual", "PRelu")),
    Case("Div", (X, POSITIVE[:1, :1])),
    Case("Pow", (POSITIVE, some(3))),
    *(Case(name, (X, some(4), some(3, 1))) for name in ("Max", "Sum")),
    *(Case(name, (BOOLS, BOOLS[::-1].copy())) for name in ("And", "Or", "Xor")),
    Case("Not", (BOOLS,)),
    Case("Where", (BOOLS, some(3), some(2, 3))),
    Case("IsInf", (np.float32([np.inf, -np.inf, np.nan, 1]),), opset=20),
    Case("Elu", (X,), attributes={"alpha": 0.5}),
    Case("LeakyRelu", (X,), attributes={"alpha": 0.3}),
    Case("HardSigmoid", (X,), attributes={"alpha": 0.3, "beta": 0.4}),
    Case("Gelu", (X,), opset=20),
    Case("Gelu", (X,), attributes={"approximate": "tanh"}, opset=20),
    Case("Clip", (X,), (np.float32(-1), np.float32(1))),
    Case("Clip", (X,), (None, np.float32(1))),
    *(Case("Cast", (X,), attributes={"to": to}) for to in (TensorProto.INT32, TensorProto.FLOAT16, TensorProto.BOOL)),
    Case("Dropout", (X,)),
    Case("QuantizeLinear", (X,), (np.float32(0.1), np.uint8(7))),
    Case("QuantizeLinear", (X,), (np.float32([0.1, 0.2, 0.3]), np.int8([1, 2, 3]))),
    Case("DequantizeLinear", (np.int8([[1, -2], [3, 4]]),), (np.float32([0.5, 2]),), {"axis": 0}),
    Case("MatMul", (X, some(2, 4, 5))),
    Case("Gemm", (some(3, 2), some(4, 3), some(4)), attributes={"alpha": 0.5, "beta": 2.0, "transA": 1, "transB": 1}),
    Case("Conv", (IMAGE, some(6, 4, 3, 2), some(6)), attributes={"pads": [1, 0, 2, 1], "strides": [2, 1]}),
    Case("Conv", (IMAGE, some(4, 2, 3, 3)), attributes={"group": 2, "dilations": [2, 1]}),
    *(
        Case("Conv", (IMAGE, some(2, 4, 4, 3)), attributes={"auto_pad": it, "strides": [2, 2]})
        for it in ("SAME_UPPER", "SAME_LOWER", "VALID")
    ),
    Case(
        "ConvTranspose",
        (IMAGE, some(4, 2, 3, 3), some(2)),
        attributes={"strides": [2, 2], "pads": [1, 0, 1, 2], "output_padding": [1, 0]},
    ),
    *(
        Case(name, (IMAGE,), attributes={"kernel_shape": [3, 2], "strides": [2, 2], "pads": [1, 0, 1, 1]})
        for name in ("MaxPool", "AveragePool")
    ),
    Case("MaxPool", (IMAGE,), attributes={"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1}),
    *(Case(name, (IMAGE,)) for name in ("GlobalAveragePool", "GlobalMaxPool")),
    Case("BatchNormalization", (IMAGE, some(4), some(4), some(4), some(4, low=0.5))),
    Case("InstanceNormalization", (IMAGE, some(4), some(4)), attributes={"epsilon": 0.01}),
    Case("LayerNormalization", (X, some(4), some(4)), attributes={"axis": -1}),
    Case("LayerNormalization", (X, some(3, 4)), attributes={"axis": 1, "epsilon": 0.1}),
    *(Case("LRN", (IMAGE,), attributes={"size": size, "alpha": 0.5, "bias": 2.0}) for size in (3, 5)),
    *(Case("Softmax", (X,), attributes={"axis": axis}) for axis in (-1, 1)),
    *(
        Case(f"Reduce{name}", (X,), (ints(-1, 0),), {"keepdims": 0})
        for name in ("L1", "L2", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare", "LogSumExp")
    ),
    Case("ReduceLogSum", (POSITIVE,)),
    Case("ReduceMean", (X,), attributes={"axes": [1]}, opset=13),
    Case("ReduceSum", (X,), attributes={"noop_with_empty_axes": 1}),
    *(Case(name, (X,), attributes={"axis": -1, "keepdims": 0}) for name in ("ArgMax", "ArgMin")),
    Case("CumSum", (X,), (np.array(-1, np.int64),), {"exclusive": 1, "reverse": 1}),
    Case("Shape", (X,), attributes={"start": 1}),
    Case("Size", (X,)),
    Case("Reshape", (X,), (ints(0, -1, 2),)),
    Case("Flatten", (X,), attributes={"axis": -1}),
    Case("Squeeze", (some(1, 3, 1),)),
    Case("Squeeze", (some(1, 3, 1),), (ints(-1),)),
    Case("Unsqueeze", (X,), (ints(0, -1),)),
    Case("Expand", (some(3, 1),), (ints(2, 1, 4),)),
    Case("Transpose", (X,)),
    Case("Transpose", (X,), attributes={"perm": [1, 2, 0]}),
    Case("Concat", (X, some(2, 1, 4)), attributes={"axis": -2}),
    Case("Split", (some(5, 2),), (ints(2, 3),), outputs=2),
    Case("Split", (some(2, 5),), attributes={"axis": -1, "num_outputs": 2}, outputs=2),
    Case("Split", (some(4, 2),), outputs=2, opset=13),
    Case("Slice", (X,), (ints(-3), ints(2**62), ints(-1), ints(2))),
    Case("Slice", (some(9),), (ints(-2), ints(-(2**62)), ints(0), ints(-3))),
    Case("Slice", (X,), (ints(0, 1), ints(1, 3))),
    Case("Tile", (X,), (ints(1, 2, 3),)),
    Case("Pad", (X,), (ints(1, 0, 2, 0, 1, 1), np.float32(5))),
    Case("Pad", (X,), (ints(1, 2), None, ints(-1)), {"mode": "reflect"}),
    Case("Pad", (X,), (ints(0, 0, 1, 0, 0, 1),), {"mode": "edge"}),
    Case("Gather", (X,), (ints([0, -1], [2, 1]),), {"axis": 1}),
    Case("GatherElements", (some(2, 3),), (ints([0, 2], [1, -1]),), {"axis": -1}),
    Case("GatherND", (X,), (ints([0, 1], [1, 2]),)),
    Case("ScatterElements", (some(2, 3), ints([2, 0], [1, 2]), some(2, 2)), attributes={"axis": 1}),
    Case("ScatterND", (some(4, 2), ints([3], [1]), some(2, 2))),
    *(Case("Trilu", (some(4, 4),), (np.array(1, np.int64),), {"upper": upper}) for upper in (0, 1)),
    Case("ConstantOfShape", (), (ints(2, 3),), {"value": numpy_helper.from_array(np.float32([7]))}),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_an_operator_computes_what_onnx_runtime_computes(context: MLContext, case: Case) -> None:
    inputs = {f"x{i}": value for i, value in enumerate(case.inputs)}
    known = {f"k{i}": np.asarray(value) for i, value in enumerate(case.known) if value is not None}
    names = [*inputs, *("" if value is None else f"k{i}" for i, value in enumerate(case.known))]
    outputs = [f"y{i}" for i in range(case.outputs)]
    node = helper.make_node(case.op_type, names, outputs, name="it", **case.attributes)
    given = model([node], inputs, known, outputs, case.opset)
    right = expected(given, inputs)
    ours = computed(context, given, inputs)
    assert ours.keys() == right.keys()
    for name in outputs:
        assert ours[name].dtype == (np.uint8 if right[name].dtype == bool else right[name].dtype)
        np.testing.assert_allclose(ours[name], right[name], rtol=1e-4, atol=1e-5)


def test_every_translated_operator_is_compared() -> None:
    assert {case.op_type for case in CASES} == loader.OPERATORS


def test_shapes_that_a_model_computes_are_numbers_when_it_is_loaded(context: MLContext) -> None:
    """As exporters write `x.reshape(x.shape[0], -1)` for a batch of any size."""
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Constant", [], ["zero"], value_int=0),
        helper.make_node("Gather", ["shape", "zero"], ["batch"]),
        helper.make_node("Unsqueeze", ["batch", "axes"], ["batches"]),
        helper.make_node("Concat", ["batches", "rest"], ["new_shape"], axis=0),
        helper.make_node("Reshape", ["x", "new_shape"], ["y"]),
    ]
    given = model(nodes, {"x": X}, {"axes": ints(0), "rest": ints(-1)})
    given.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    with pytest.raises(MLTypeError, match=r"input \[x\]: the dimension 'batch' has no number"):
        loader.load(MLGraphBuilder(context), given)
    outputs = loader.load(MLGraphBuilder(context), given, dimensions={"batch": 2})
    assert outputs["y"].shape == (2, 12)


def test_outputs_that_nobody_uses_need_no_counterpart(context: MLContext) -> None:
    nodes = [helper.make_node("Dropout", ["x"], ["z", "mask"]), helper.make_node("Relu", ["z"], ["y"])]
    assert loader.load(MLGraphBuilder(context), model(nodes, {"x": X}))["y"].shape == X.shape


def test_weights_that_nodes_share_are_one_constant(context: MLContext, monkeypatch: pytest.MonkeyPatch) -> None:
    builder = MLGraphBuilder(context)
    made = []
    constant = builder.constant
    monkeypatch.setattr(builder, "constant", lambda data: made.append(data) or constant(data))
    nodes = [helper.make_node("MatMul", ["x", "w"], ["z"]), helper.make_node("MatMul", ["z", "w"], ["y"])]
    loader.load(builder, model(nodes, {"x": X}, {"w": some(4, 4)}))
    assert len(made) == 1


def test_outputs_that_are_inputs_or_known_are_outputs_all_the_same(context: MLContext) -> None:
    given = model([helper.make_node("Shape", ["x"], ["shape"])], {"x": X}, {"k": X}, ("x", "shape", "k"))
    results = computed(context, given, {"x": X})
    assert results["shape"].tolist() == [2, 3, 4]
    assert (results["x"] == X).all()
    assert (results["k"] == X).all()


def test_files_bytes_and_asyncio_give_the_same_graph(context: MLContext, tmp_path: Path) -> None:
    given = model([helper.make_node("MatMul", ["x", "w"], ["y"])], {"x": X}, {"w": some(4, 8)})
    path = tmp_path / "model.onnx"
    right = expected(given, {"x": X})["y"]
    apart = onnx.ModelProto()
    apart.CopyFrom(given)
    onnx.save(apart, path, save_as_external_data=True, location="weights", size_threshold=0)

    async def of_twin() -> Array:
        async with aio.ML(backend="reference") as ml:
            with await ml.create_context() as twin:
                builder = aio.MLGraphBuilder(twin)
                with await builder.build(loader.load(builder, given.SerializeToString())) as graph:
                    return (await twin.compute(graph, {"x": X}))["y"]

    builder = MLGraphBuilder(context)
    with builder.build(loader.load(builder, path)) as graph:
        from_file = context.compute(graph, {"x": X})["y"]
    np.testing.assert_allclose(from_file, right, rtol=1e-5)
    assert (asyncio.run(of_twin()) == from_file).all()
    with pytest.raises(DataError, match=r"initializer \[w\]: its data are in another file"):
        loader.load(MLGraphBuilder(context), path.read_bytes())


@pytest.mark.parametrize("name", ["shufflenet", "squeezenet"])
def test_networks_of_the_onnx_package_are_read_as_exporters_wrote_them(name: str) -> None:
    path = Path(onnx.__file__).parent / f"backend/test/data/light/light_{name}.onnx"
    if not path.exists():
        pytest.skip(f"this version of onnx has no {path.name}")
    given = version_converter.convert_version(onnx.load(path), loader.OLDEST_OPSET)
    with ML() as ml, ml.create_context(backend="onnxruntime") as context:
        builder = MLGraphBuilder(context)
        with builder.build(loader.load(builder, given)) as graph:
            inputs = {name: some(*descriptor.shape) for name, descriptor in graph.inputs.items()}
            ours = context.compute(graph, inputs)
    right = expected(given, inputs)
    assert ours.keys() == right.keys()
    for name, value in right.items():
        np.testing.assert_allclose(ours[name], value, rtol=1e-4, atol=1e-6)


REFUSED = {
    "an operator without translation": (helper.make_node("Det", ["x"], ["y"], name="n"), "Det [n]"),
    "another domain": (helper.make_node("Relu", ["x"], ["y"], name="n", domain="org.acme"), "Relu [n]"),
    "an attribute": (helper.make_node("GlobalMaxPool", ["x"], ["y"], name="n", p=2), "the attribute 'p'"),
    "a form": (helper.make_node("ScatterND", ["x", "k", "x"], ["y"], name="n", reduction="add"), "a reduction"),
    "a computed number": (helper.make_node("Reshape", ["x", "i"], ["y"], name="n"), "'new_shape' that is computed"),
    "a second output": (helper.make_node("MaxPool", ["x"], ["y", "at"], name="n", kernel_shape=[1, 1]), "'at'"),
    "an average over padding": (
        helper.make_node("AveragePool", ["x"], ["y"], kernel_shape=[2, 2], pads=[1] * 4, count_include_pad=1),
        "counts padding",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_has_no_counterpart_is_refused_by_name(context: MLContext, what: str) -> None:
    node, told = REFUSED[what]
    given = model([node], {"x": IMAGE, "i": ints(1, 2, 3)}, {"k": ints([0])})
    given.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in node.output[1:])
    with pytest.raises(NotSupportedError) as error:
        loader.load(MLGraphBuilder(context), given)
    assert told in str(error.value)


BROKEN = {
    "an unknown name": (
        helper.make_node("Relu", ["nothing"], ["y"], name="n"),
        DataError,
        "'nothing' is made by no node",
    ),
    "a missing input": (helper.make_node("Reshape", ["x"], ["y"], name="n"), DataError, "Reshape [n]"),
    "WebNN's rules": (helper.make_node("MatMul", ["x", "x"], ["y"], name="n"), MLTypeError, "matmul [n]"),
    "a constant that cannot be": (helper.make_node("Add", ["k", "k1"], ["y"], name="n"), DataError, "Add [n]"),
    "no such output": (helper.make_node("Relu", ["x"], ["z"], name="n"), DataError, "output [y]"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_model_that_contradicts_itself_is_told_where(context: MLContext, what: str) -> None:
    node, kind, told = BROKEN[what]
    with pytest.raises(MLError) as error:
        loader.load(MLGraphBuilder(context), model([node], {"x": X}, {"k": ints(1, 2), "k1": ints(1, 2, 3)}))
    assert type(error.value) is kind
    assert told in str(error.value)


def test_what_is_no_model_or_too_old_is_refused(context: MLContext) -> None:
    with pytest.raises(DataError, match="no ONNX model"):
        loader.load(MLGraphBuilder(context), b"\x0bgarbage")
    with pytest.raises(NotSupportedError, match="opset 11: 13 is the oldest"):
        loader.load(MLGraphBuilder(context), model([helper.make_node("Relu", ["x"], ["y"])], {"x": X}, opset=11))
