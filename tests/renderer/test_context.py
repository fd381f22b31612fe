"""Contexts: commands in the order of the calls, errors in the order of the rules, and the end of all of it."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from ipc.timeline import CARRIERS
from renderer import (
    ML,
    DataType,
    Descriptor,
    InvalidStateError,
    MLContext,
    MLGraph,
    MLGraphBuilder,
    MLTensor,
    MLTypeError,
    NotSupportedError,
)

ONES = np.ones((2, 2), np.float32)


def negation(context: MLContext, shape: tuple[int, ...] = (2, 2)) -> MLGraph:
    builder = MLGraphBuilder(context)
    return builder.build({"y": builder.neg(builder.input("x", "float32", shape))})


# --- tensors ------------------------------------------------------------------------------------------------------


def test_a_new_tensor_is_zero(context: MLContext) -> None:
    with context.create_tensor("int32", (3,), readable=True) as tensor:
        assert context.read_tensor(tensor).tolist() == [0, 0, 0]
        assert (tensor.data_type, tensor.shape) == (DataType.INT32, (3,))
        assert (tensor.readable, tensor.writable, tensor.constant) == (True, False, False)


@pytest.mark.parametrize("shape", [(), (1,), (3, 5), (1, 2, 3, 4, 5, 6, 1, 1), (1000, 1000)], ids=str)
@pytest.mark.parametrize("carrier", CARRIERS)
def test_what_is_written_is_read(ml: ML, carrier: str, shape: tuple[int, ...]) -> None:
    values = np.random.default_rng(7).standard_normal(shape).astype(np.float32)
    with ml.create_context(carrier=carrier) as context:
        assert context.carrier == carrier
        with context.create_tensor("float32", shape, readable=True, writable=True) as tensor:
            context.write_tensor(tensor, values)
            result = context.read_tensor(tensor)
            np.testing.assert_array_equal(result, values)
            assert result.flags.writeable
            assert not context.read_tensor(tensor, copy=False).flags.writeable


def test_a_write_is_copied_at_the_call(context: MLContext) -> None:
    data = ONES.copy()
    with context.create_tensor("float32", (2, 2), readable=True, writable=True) as tensor:
        context.write_tensor(tensor, data)
        data[:] = -1
        assert context.read_tensor(tensor).tolist() == ONES.tolist()


def test_reading_into_a_larger_buffer_fills_its_head(context: MLContext) -> None:
    with context.create_tensor("float32", (2, 2), readable=True, writable=True) as tensor:
        context.write_tensor(tensor, ONES)
        out = np.full(6, 7, np.float32)
        assert context.read_tensor(tensor, out=out) is None
        assert out.tolist() == [1, 1, 1, 1, 7, 7]
        raw = bytearray(16)
        context.read_tensor(tensor, out=raw)
        assert bytes(raw) == ONES.tobytes()


@pytest.mark.parametrize(
    "arguments",
    [("float32", (0,)), ("float32", (2**31 - 1, 2)), ("float32", (1,) * 9), ("bool", (1,)), ("int4", (2,))],
    ids=str,
)
def test_a_tensor_that_can_not_be_is_refused(context: MLContext, arguments: Any) -> None:
    with pytest.raises(MLTypeError):
        context.create_tensor(*arguments)
    with pytest.raises(MLTypeError):
        context.create_constant_tensor(*arguments, b"")


def test_tensors_are_used_only_as_they_were_made_for(context: MLContext, other_context: MLContext) -> None:
    constant = context.create_constant_tensor(Descriptor(DataType.FLOAT32, (2, 2)), ONES)
    with constant, context.create_tensor("float32", (2, 2)) as plain:
        for tensor in (constant, plain):
            with pytest.raises(MLTypeError, match="not writable"):
                context.write_tensor(tensor, ONES)
            with pytest.raises(MLTypeError, match="not readable"):
                context.read_tensor(tensor)
            with pytest.raises(MLTypeError, match="another context"):
                other_context.write_tensor(tensor, b"wrong")
            with pytest.raises(MLTypeError, match="another context"):
                other_context.read_tensor(tensor)


def test_data_are_looked_at_last(context: MLContext) -> None:
    tensor = context.create_tensor("float32", (2, 2), readable=True, writable=True)
    with pytest.raises(MLTypeError, match="3 bytes"):
        context.write_tensor(tensor, b"123")
    with pytest.raises(MLTypeError, match="fewer"):
        context.read_tensor(tensor, out=bytearray(3))
    tensor.destroy()
    tensor.destroy()
    with pytest.raises(InvalidStateError, match="destroyed"):
        context.write_tensor(tensor, b"123")
    with pytest.raises(InvalidStateError, match="destroyed"):
        context.read_tensor(tensor, out=bytearray(3))
    with pytest.raises(MLTypeError, match="no buffer"):
        context.write_tensor(tensor, [1, 2, 3])


# --- dispatch -----------------------------------------------------------------------------------------------------


def test_commands_take_effect_in_the_order_of_the_calls(context: MLContext) -> None:
    with (
        negation(context) as graph,
        context.create_tensor("float32", (2, 2), writable=True) as x,
        context.create_tensor("float32", (2, 2), readable=True) as y,
    ):
        for value in range(50):
            context.write_tensor(x, ONES * value)
            context.dispatch(graph, {"x": x}, {"y": y})
            context.write_tensor(x, ONES * -1)
            assert context.read_tensor(y)[0, 0] == -value


def test_tensors_carry_values_from_one_graph_to_the_next(context: MLContext) -> None:
    with (
        negation(context) as graph,
        context.create_tensor("float32", (2, 2), readable=True, writable=True) as a,
        context.create_tensor("float32", (2, 2)) as b,
    ):
        context.write_tensor(a, ONES)
        context.dispatch(graph, {"x": a}, {"y": b})
        context.dispatch(graph, {"x": b}, {"y": a})
        assert context.read_tensor(a).tolist() == ONES.tolist()


def test_dispatch_refuses_in_the_order_of_the_specification(context: MLContext, other_context: MLContext) -> None:
    def tensor(owner: MLContext = context, shape: tuple[int, ...] = (2, 2)) -> MLTensor:
        return owner.create_tensor("float32", shape)

    graph, x, y, foreign, wrong = negation(context), tensor(), tensor(), tensor(other_context), tensor(shape=(4,))
    destroyed = tensor()
    destroyed.destroy()
    constant = context.create_constant_tensor("float32", (2, 2), ONES)
    refused: list[tuple[dict[str, MLTensor], dict[str, MLTensor], str]] = [
        ({"x": x}, {"y": x}, "twice"),
        ({"x": foreign, "z": foreign}, {"y": y}, "twice"),
        ({"x": foreign}, {"y": destroyed}, "another context"),
        ({"x": destroyed}, {"y": foreign}, "is destroyed"),
        ({"x": x}, {"y": destroyed}, "is destroyed"),
        ({}, {"y": y}, "inputs: 0 given"),
        ({"x": x, "z": wrong}, {"y": y}, "inputs: 2 given"),
        ({"x": constant}, {"y": y}, "is constant"),
        ({"z": x}, {"y": y}, r"\[z\] is none of the graph's: \[x\]"),
        ({"x": wrong}, {"z": y}, r"inputs \[x\].*not float32"),
        ({"x": x}, {"z": y}, r"outputs: \[z\]"),
        ({"x": x}, {"y": wrong}, r"outputs \[y\].*not float32"),
        ({"x": x}, {"y": constant}, "is constant"),
    ]
    for inputs, outputs, match in refused:
        with pytest.raises(MLTypeError, match=match):
            context.dispatch(graph, inputs, outputs)
    with pytest.raises(MLTypeError, match="another context"):
        other_context.dispatch(graph, {}, {})
    graph.destroy()
    with pytest.raises(InvalidStateError, match="destroyed"):
        context.dispatch(graph, {"x": x}, {"y": x})
    with pytest.raises(MLTypeError, match="MLTensor"):
        context.dispatch(graph, {"x": ONES}, {"y": y})  # type: ignore[dict-item]
    for each in (x, y, foreign, wrong, constant):
        each.destroy()


def test_a_graph_that_is_destroyed_finishes_what_was_dispatched(context: MLContext) -> None:
    with (
        context.create_tensor("float32", (2, 2), writable=True) as x,
        context.create_tensor("float32", (2, 2), readable=True) as y,
    ):
        graph = negation(context)
        context.write_tensor(x, ONES)
        context.dispatch(graph, {"x": x}, {"y": y})
        graph.destroy()
        assert context.read_tensor(y).tolist() == (-ONES).tolist()


def test_compute_is_write_dispatch_and_read(context: MLContext) -> None:
    with negation(context) as graph:
        for value in (1.0, 2.0):
            assert context.compute(graph, {"x": ONES * np.float32(value)})["y"].tolist() == (-ONES * value).tolist()
        with pytest.raises(MLTypeError, match=r"inputs \[x\]"):
            context.compute(graph, {"x": ONES.astype(np.float64)})
        with pytest.raises(MLTypeError, match="1: "):
            context.compute(graph, {})


def test_threads_that_compute_do_not_see_each_other(context: MLContext) -> None:
    wrong: list[object] = []

    def work(value: float) -> None:
        for _ in range(25):
            result = context.compute(graph, {"x": ONES * np.float32(value)})["y"]
            if result.tolist() != (-ONES * value).tolist():
                wrong.append(result)

    with negation(context) as graph:
        threads = [threading.Thread(target=work, args=(float(value),)) for value in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong


# --- the context itself -------------------------------------------------------------------------------------------


def test_hints_never_fail_and_accelerated_is_what_was_asked_for(ml: ML) -> None:
    with ml.create_context(power_preference="low-power", accelerated=False) as context:
        assert context.accelerated is False
    with ml.create_context() as context:
        assert context.accelerated is True
        assert context.backend == "reference"


@pytest.mark.parametrize("options", [{"power_preference": "much"}, {"carrier": "pigeon"}, {"backend": 3}], ids=str)
def test_an_option_with_none_of_its_values_is_a_type_error(ml: ML, options: Any) -> None:
    with pytest.raises(MLTypeError):
        ml.create_context(**options)


def test_an_unknown_backend_is_not_supported(ml: ML) -> None:
    with pytest.raises(NotSupportedError, match="abacus"):
        ml.create_context(backend="abacus")


def test_limits_have_the_structure_of_the_specification(context: MLContext) -> None:
    limits = context.op_support_limits()
    assert limits["preferredInputLayout"] in ("nchw", "nhwc")
    assert limits["gemm"]["a"]["rankRange"] == {"min": 2, "max": 2}
    assert "float32" in limits["convTranspose2d"]["input"]["dataTypes"]
    assert set(limits["lstm"]) >= {"recurrentWeight", "output0", "output2"}
    limits["gemm"].clear()
    assert context.op_support_limits()["gemm"]


def test_a_destroyed_context_is_lost_and_with_it_all_that_it_had(context: MLContext) -> None:
    graph = negation(context)
    tensor = context.create_tensor("float32", (2, 2), readable=True, writable=True)
    assert not context.lost.done()
    assert not context.lost.cancel()
    context.destroy()
    context.destroy()
    assert "destroyed" in context.lost.result(0).message
    with pytest.raises(InvalidStateError):
        context.create_tensor("float32", (0,))
    with pytest.raises(InvalidStateError):
        context.create_constant_tensor("float32", (2,), b"")
    with pytest.raises(InvalidStateError):
        context.write_tensor(tensor, ONES)
    with pytest.raises(InvalidStateError):
        context.read_tensor(tensor)
    with pytest.raises(InvalidStateError):
        context.dispatch(graph, {}, {})
    with pytest.raises(InvalidStateError):
        context.compute(graph, {"x": ONES})
    assert context.op_support_limits()["gemm"]
    assert context.accelerated


def test_what_is_forgotten_is_freed_with_a_warning(ml: ML) -> None:
    with ml.create_context() as context:
        tensor = context.create_tensor("float32", (2, 2))
        graph = negation(context)
        context.compute(graph, {"x": ONES})
        owned = [tensor, graph]
        del tensor, graph
        with pytest.warns(ResourceWarning) as warned:
            owned.clear()
        # The tensors that `compute` made were not forgotten by the user.
        assert sorted(str(warning.message)[:20] for warning in warned) == [
            "forgotten: <MLGraph ",
            "forgotten: <MLTensor",
        ]
        assert context.create_tensor("float32", (2, 2)).destroy() is None
