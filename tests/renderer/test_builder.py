"""The builder: its state, its names and constants, whose operands it takes, and what its errors say."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from renderer import (
    DataType,
    Descriptor,
    InvalidStateError,
    MLContext,
    MLGraphBuilder,
    MLOperand,
    MLTypeError,
)


def test_an_operand_shows_type_and_shape(builder: MLGraphBuilder) -> None:
    x = builder.input("x", "float32", (2, 3))
    assert (x.data_type, x.shape) == (DataType.FLOAT32, (2, 3))
    assert builder.transpose(x).shape == (3, 2)


def test_a_descriptor_stands_for_type_and_shape(builder: MLGraphBuilder) -> None:
    assert builder.input("x", Descriptor(DataType.INT8, (4,))).shape == (4,)
    assert builder.input("y", np.float16, [4]).data_type is DataType.FLOAT16
    with pytest.raises(MLTypeError, match="shape already"):
        builder.input("z", Descriptor(DataType.INT8, (4,)), (4,))  # type: ignore[call-overload]
    with pytest.raises(MLTypeError, match="shape is missing"):
        builder.input("z", "int8")  # type: ignore[call-overload]


def test_an_operator_with_several_outputs_returns_a_list(builder: MLGraphBuilder) -> None:
    pieces = builder.split(builder.input("x", "float32", (4, 2)), [1, 3])
    assert [piece.shape for piece in pieces] == [(1, 2), (3, 2)]


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (("", "float32", (1,)), "empty"),
        (("taken", "float32", (1,)), r"\[taken\].*taken"),
        (("x", "float32", (0,)), r"\[x\].*dimension 0"),
        (("x", "float32", (2**31,)), "dimension 2147483648"),
        (("x", "float32", (2**31 - 1,)), "bytes exceed"),
        (("x", "float32", (1,) * 9), "rank 9"),
        (("x", "float64", (1,)), "float64"),
        (("x", "int4", (2,)), "experimental_int4"),
        (("x", "float32", "12"), "list"),
        (("x", "float32", (-1,)), "-1"),
        ((1, "float32", (1,)), "string"),
    ],
)
def test_an_input_that_can_not_be_is_refused(builder: MLGraphBuilder, arguments: Any, match: str) -> None:
    builder.input("taken", "float32", (1,))
    with pytest.raises(MLTypeError, match=match):
        builder.input(*arguments)


def test_names_are_shown_with_their_tricks_escaped(builder: MLGraphBuilder) -> None:
    builder.input("a\u202eb\n", "float32", (1,))
    with pytest.raises(MLTypeError, match=r"\[a\\u202eb\\u000a\]"):
        builder.input("a\u202eb\n", "float32", (1,))


# --- errors of operators ------------------------------------------------------------------------------------------


def test_an_error_tells_the_whole_story(builder: MLGraphBuilder) -> None:
    a, b = builder.input("a", "float32", (128, 64)), builder.input("b", "float32", (32, 128))
    with pytest.raises(MLTypeError) as raised:
        builder.gemm(a, b, label="attention.qk")
    sentence = "gemm [attention.qk]: a and b agree on the inner dimension: a (128, 64), b (32, 128)"
    assert str(raised.value) == sentence
    assert raised.value.rule == "gemm.inner"


def test_a_label_is_escaped_in_messages(builder: MLGraphBuilder) -> None:
    a = builder.input("a", "float32", (2, 3))
    with pytest.raises(MLTypeError, match=r"^gemm \[a\\u202eb\]"):
        builder.gemm(a, a, label="a\u202eb")


def test_conversions_come_before_the_state_and_the_state_before_the_rules(builder: MLGraphBuilder) -> None:
    x = builder.input("x", "float32", (2, 3))
    foreign = MLGraphBuilder(builder._context).input("x", "float32", (2, 3))
    with builder.build({"y": builder.relu(x)}):
        pass
    with pytest.raises(MLTypeError) as raised:
        builder.gemm(x, "no operand")  # type: ignore[arg-type]
    assert raised.value.rule == "gemm.b.conversion"
    with pytest.raises(InvalidStateError, match=r"gemm \[l\]"):
        builder.gemm(x, foreign, label="l")


def test_foreign_operands_come_before_the_rules(builder: MLGraphBuilder) -> None:
    x = builder.input("x", "float32", (2, 3))
    foreign = MLGraphBuilder(builder._context).input("x", "float32", (2, 3))
    with pytest.raises(MLTypeError, match="another builder"):
        builder.gemm(x, foreign)


FOREIGN_OPERANDS: dict[str, Callable[[MLGraphBuilder, MLOperand, MLOperand], object]] = {
    "operand": lambda b, x, foreign: b.add(x, foreign),
    "option": lambda b, x, foreign: b.gemm(x, x, c=foreign),
    "list": lambda b, x, foreign: b.concat([x, foreign], 0),
}


@pytest.mark.parametrize("call", FOREIGN_OPERANDS.values(), ids=FOREIGN_OPERANDS)
def test_every_operand_must_be_of_the_builder(builder: MLGraphBuilder, call: Any) -> None:
    foreign = MLGraphBuilder(builder._context).input("x", "float32", (2, 2))
    with pytest.raises(MLTypeError, match="another builder"):
        call(builder, builder.input("x", "float32", (2, 2)), foreign)


# --- constants ----------------------------------------------------------------------------------------------------


def value_of(context: MLContext, builder: MLGraphBuilder, constant: MLOperand) -> Any:
    with builder.build({"y": builder.identity(constant)}) as graph:
        return context.compute(graph, {})["y"]


def test_a_constant_is_copied_when_it_is_made(context: MLContext, builder: MLGraphBuilder) -> None:
    array = np.arange(4, dtype=np.float32)
    constant = builder.constant(array)
    array[:] = -1
    assert value_of(context, builder, constant).tolist() == [0, 1, 2, 3]


CONSTANTS: dict[str, tuple[tuple[Any, ...], Any]] = {
    "array": ((np.array([[1, 2]], np.int32),), [[1, 2]]),
    "descriptor and array": ((Descriptor(DataType.INT32, (1, 2)), np.array([[1, 2]], np.int32)), [[1, 2]]),
    "type, shape and bytes": (("uint8", (2,), b"\x01\x02"), [1, 2]),
    "strided": ((np.arange(6, dtype=np.float32)[::2],), [0, 2, 4]),
    "number": (("int8", 300), 127),
    "number, half to even": (("int32", 2.5), 2),
    "exact number": (("uint64", 2**64 - 1), 2**64 - 1),
    "NaN as an integer": (("int64", float("nan")), 0),
    "half": (("float16", 65520), float("inf")),
}


@pytest.mark.parametrize(("arguments", "expected"), CONSTANTS.values(), ids=CONSTANTS)
def test_a_constant_has_the_value_given(
    context: MLContext, builder: MLGraphBuilder, arguments: Any, expected: Any
) -> None:
    assert value_of(context, builder, builder.constant(*arguments)).tolist() == expected


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (([1, 2],), "give an array"),
        (("float32", (2,), [1.0, 2.0]), "no buffer"),
        (("float32", (2,), np.zeros(2)), "not float32"),
        (("float32", (2,), b"1234567"), "7 bytes"),
        (("float32", "3"), "not a number|number"),
        ((np.zeros(2),), "float64"),
        (("float32", (0,), b""), "dimension 0"),
        ((), "give an array"),
    ],
)
def test_a_constant_that_does_not_match_is_refused(builder: MLGraphBuilder, arguments: Any, match: str) -> None:
    with pytest.raises(MLTypeError, match=match):
        builder.constant(*arguments)


def test_a_constant_tensor_serves_many_builders(context: MLContext) -> None:
    with context.create_constant_tensor("float32", (2,), np.array([1, 2], np.float32)) as tensor:
        for _ in range(2):
            builder = MLGraphBuilder(context)
            assert value_of(context, builder, builder.constant(tensor)).tolist() == [1, 2]


def test_a_graph_keeps_the_value_of_a_constant_tensor_that_is_destroyed(
    context: MLContext, builder: MLGraphBuilder
) -> None:
    tensor = context.create_constant_tensor("float32", (2,), np.array([1, 2], np.float32))
    with builder.build({"y": builder.identity(builder.constant(tensor))}) as graph:
        tensor.destroy()
        assert context.compute(graph, {})["y"].tolist() == [1, 2]


def test_only_a_living_constant_tensor_of_the_context_is_a_constant(
    context: MLContext, other_context: MLContext, builder: MLGraphBuilder
) -> None:
    data = np.zeros(2, np.float32)
    foreign = other_context.create_constant_tensor("float32", (2,), data)
    with foreign, pytest.raises(MLTypeError, match="another context"):
        builder.constant(foreign)
    with context.create_tensor("float32", (2,)) as tensor, pytest.raises(MLTypeError, match="not constant"):
        builder.constant(tensor)
    destroyed = context.create_constant_tensor("float32", (2,), data)
    destroyed.destroy()
    with pytest.raises(MLTypeError, match="destroyed"):
        builder.constant(destroyed)


def test_a_constant_tensor_that_is_destroyed_before_the_build_is_refused(
    context: MLContext, builder: MLGraphBuilder
) -> None:
    tensor = context.create_constant_tensor("float32", (2,), np.zeros(2, np.float32))
    y = builder.identity(builder.constant(tensor))
    tensor.destroy()
    with pytest.raises(MLTypeError, match="destroyed"):
        builder.build({"y": y})


# --- build --------------------------------------------------------------------------------------------------------


def test_a_build_that_is_refused_leaves_the_builder_open(builder: MLGraphBuilder) -> None:
    x = builder.input("x", "float32", (2,))
    foreign = MLGraphBuilder(builder._context)
    y = builder.relu(x)
    refused: list[tuple[Any, str]] = [
        ({}, "no outputs"),
        ({"": y}, "empty"),
        ({"y": foreign.relu(foreign.input("x", "float32", (2,)))}, "another builder"),
        ({"y": x}, "an input"),
        ({"y": builder.constant("float32", 1)}, "a constant"),
        ({"y": "no operand"}, "MLOperand"),
        ([y], "mapping"),
    ]
    for outputs, match in refused:
        with pytest.raises(MLTypeError, match=match):
            builder.build(outputs)
    with builder.build({"y": y}) as graph:
        assert list(graph.outputs) == ["y"]


def test_a_builder_builds_once(builder: MLGraphBuilder) -> None:
    y = builder.relu(builder.input("x", "float32", (2,)))
    with builder.build({"y": y}):
        pass
    with pytest.raises(InvalidStateError, match="already"):
        builder.build({"y": y})
    with pytest.raises(InvalidStateError, match="already"):
        builder.input("z", "float32", (2,))
    with pytest.raises(InvalidStateError, match="already"):
        builder.constant("float32", 1)


def test_only_what_the_outputs_need_is_built(context: MLContext, builder: MLGraphBuilder) -> None:
    used, unused = builder.input("used", "float32", (2,)), builder.input("unused", "float32", (2,))
    builder.exp(builder.add(unused, builder.constant(np.ones(2, np.float32))))
    with builder.build({"y": builder.neg(used)}) as graph:
        assert list(graph.inputs) == ["used"]
        assert context.compute(graph, {"used": np.ones(2, np.float32)})["y"].tolist() == [-1, -1]


def test_one_operand_can_have_two_names(context: MLContext, builder: MLGraphBuilder) -> None:
    y = builder.neg(builder.input("x", "float32", (2,)))
    with builder.build({"one": y, "two": y}) as graph:
        result = context.compute(graph, {"x": np.ones(2, np.float32)})
        assert result["one"].tolist() == result["two"].tolist() == [-1, -1]


def test_an_output_that_nobody_wants_is_no_harm(context: MLContext, builder: MLGraphBuilder) -> None:
    _, second = builder.split(builder.input("x", "float32", (4,)), 2)
    with builder.build({"y": second}) as graph:
        assert context.compute(graph, {"x": np.arange(4, dtype=np.float32)})["y"].tolist() == [2, 3]


def test_a_long_chain_is_recorded_and_pruned_without_recursion(builder: MLGraphBuilder) -> None:
    x = y = builder.input("x", "float32", (1,))
    for _ in range(20_000):
        y = builder.neg(y)
    with builder.build({"y": builder.identity(x)}) as graph:
        assert list(graph.inputs) == ["x"]


def test_a_lost_context_has_no_builders(context: MLContext, builder: MLGraphBuilder) -> None:
    y = builder.relu(builder.input("x", "float32", (2,)))
    tensor = context.create_constant_tensor("float32", (1,), np.zeros(1, np.float32))
    context.destroy()
    with pytest.raises(InvalidStateError):
        MLGraphBuilder(context)
    with pytest.raises(InvalidStateError):
        builder.relu(y)
    with pytest.raises(InvalidStateError):
        builder.build({"y": y})
    with pytest.raises(MLTypeError, match="destroyed"):
        builder.constant(tensor)


def test_a_graph_of_a_destroyed_context_is_not_forgotten(context: MLContext, builder: MLGraphBuilder) -> None:
    graph = builder.build({"y": builder.relu(builder.input("x", "float32", (2,)))})
    context.destroy()
    del graph
    gc.collect()  # a ResourceWarning would be an error here


def test_int4_is_known_where_it_was_asked_for(ml: Any) -> None:
    with ml.create_context(experimental_int4=True) as context:
        builder = MLGraphBuilder(context)
        packed = builder.constant("int4", (4,), b"\x21\xf3")
        scale = builder.constant(np.ones(1, np.float32))
        zero = builder.constant("int4", (1,), b"\x00")
        y = builder.dequantize_linear(packed, scale, zero)
        with builder.build({"y": y}) as graph:
            assert context.compute(graph, {})["y"].tolist() == [1, 2, 3, -1]
