"""Graphs that decode and still cannot be: one check broken each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

import ipc.operators as ops
from gpu_process.estimates import graph_macs, intermediate_bytes
from gpu_process.quotas import Quotas
from gpu_process.validation import check_cost, check_graph_quotas, validate_graph
from ipc.codec import decode_graph, encode_graph
from ipc.descriptors import ANY, FLOATS, DataType, Descriptor
from ipc.errors import QuotaExceededError
from ipc.graph import ConstantSource, Graph, Operation
from ipc.limits import SupportLimits, TensorLimits
from ipc.verdicts import BadMessage, BadMessageReason
from ipc.verdicts import BadMessageReason as Reason
from tests.counting import calls_of
from tests.ipc.operators._valid import VALID
from tests.service_rig import FLOAT, GraphMaker

REGION, CONSTANT = b"r" * 16, b"t" * 16
LIMITS = ops.declared_limits()


class Sources:
    """One region with room for two tensors, and one constant tensor."""

    def region_size(self, token: bytes) -> int | None:
        return 64 + FLOAT.byte_length if token == REGION else None

    def tensor_descriptor(self, token: bytes) -> Descriptor | None:
        return FLOAT if token == CONSTANT else None


def _validate(graph: Graph, limits: SupportLimits = LIMITS) -> None:
    validate_graph(graph, limits, Sources())


def _right() -> Graph:
    """y = relu(x + c + t), z = clamp(x)"""
    maker = GraphMaker()
    x = maker.input("x")
    total = maker.apply("add", maker.apply("add", x, maker.constant(REGION, 64)), maker.constant_tensor(CONSTANT))
    maker.output("y", maker.apply("relu", total))
    maker.output("z", maker.apply("clamp", x, min_value=0.0, max_value=1.0))
    return maker.graph


X, C, SUM, T, TOTAL, Y, Z = range(7)


def test_a_right_graph_passes() -> None:
    _validate(_right())


def _op(graph: Graph, index: int, **changes: Any) -> None:
    graph.operations[index] = replace(graph.operations[index], **changes)


BREAKS: dict[str, tuple[Callable[[Graph], object], BadMessageReason]] = {
    "no operands": (lambda g: g.operands.clear(), Reason.NO_OPERANDS),
    "no operations": (lambda g: g.operations.clear(), Reason.NO_OPERATIONS),
    "no outputs": (lambda g: g.outputs.clear(), Reason.NO_OUTPUTS),
    "input with an empty name": (lambda g: g.inputs.__setitem__(0, ("", X)), Reason.EMPTY_NAME),
    "output with an empty name": (lambda g: g.outputs.__setitem__(1, ("", Z)), Reason.EMPTY_NAME),
    "two outputs of one name": (lambda g: g.outputs.append(("y", Z)), Reason.DUPLICATE_NAME),
    "input of an extension type": (
        lambda g: g.operands.__setitem__(X, Descriptor(DataType.INT4, (2, 3))),
        Reason.UNSUPPORTED_INPUT,
    ),
    "constant of an extension type": (
        lambda g: g.operands.__setitem__(C, Descriptor(DataType.INT4, (2, 3))),
        Reason.UNSUPPORTED_CONSTANT,
    ),
    "output of an extension type": (
        lambda g: g.operands.__setitem__(Y, Descriptor(DataType.INT4, (2, 3))),
        Reason.UNSUPPORTED_OUTPUT,
    ),
    "unknown region": (lambda g: g.constants.__setitem__(C, ConstantSource(b"u" * 16)), Reason.UNKNOWN_REGION),
    "beyond the region": (lambda g: g.constants.__setitem__(C, ConstantSource(REGION, 128)), Reason.REGION_BOUNDS),
    "offset that would wrap": (
        lambda g: g.constants.__setitem__(C, ConstantSource(REGION, 2**64 - 64)),
        Reason.REGION_BOUNDS,
    ),
    "unaligned in the region": (
        lambda g: g.constants.__setitem__(C, ConstantSource(REGION, 4)),
        Reason.UNALIGNED_CONSTANT,
    ),
    "unknown constant tensor": (
        lambda g: g.constants.__setitem__(T, ConstantSource(b"u" * 16, is_tensor=True)),
        Reason.UNKNOWN_TENSOR,
    ),
    "constant tensor of another shape": (
        lambda g: g.operands.__setitem__(T, Descriptor(DataType.FLOAT32, (3,))),
        Reason.CONSTANT_DESCRIPTOR,
    ),
    "operand read before it is made": (lambda g: g.operations.reverse(), Reason.OPERAND_NOT_YET_PRODUCED),
    "operation that reads what it makes": (
        lambda g: _op(g, 2, operands={"input": Y}),
        Reason.OPERAND_NOT_YET_PRODUCED,
    ),
    "operand made twice": (lambda g: g.operations.append(g.operations[2]), Reason.OPERAND_PRODUCED_TWICE),
    "operation that makes an input": (lambda g: _op(g, 3, outputs=(X,)), Reason.OPERAND_PRODUCED_TWICE),
    "operation that makes a constant": (lambda g: _op(g, 3, outputs=(C,)), Reason.OPERAND_PRODUCED_TWICE),
    "output that nothing makes": (lambda g: g.operations.pop(), Reason.OUTPUT_IS_NOT_PRODUCED),
    "operand that nothing makes": (lambda g: g.operands.append(FLOAT), Reason.OUTPUT_IS_NOT_PRODUCED),
    "unused input": (
        lambda g: (g.operands.append(FLOAT), g.inputs.append(("unused", 7))),
        Reason.UNUSED_INPUT,
    ),
    "unused constant": (
        lambda g: (g.operands.append(FLOAT), g.constants.__setitem__(7, ConstantSource(REGION))),
        Reason.UNUSED_CONSTANT,
    ),
    "number that was not cast": (
        lambda g: _op(g, 3, attributes={"min_value": 0.1, "max_value": 1.0}),  # 0.1 is no float32
        Reason.ATTRIBUTE_NOT_CAST,
    ),
    "number of another type": (
        lambda g: _op(g, 3, attributes={"min_value": 0, "max_value": 1.0}),
        Reason.ATTRIBUTE_NOT_CAST,
    ),
    "rule of an operator": (
        lambda g: _op(g, 3, attributes={"min_value": 2.0, "max_value": 1.0}),
        Reason.OPERATOR_RULE,
    ),
    "one output too many": (
        lambda g: (g.operands.append(FLOAT), _op(g, 2, outputs=(Y, 7))),
        Reason.OUTPUT_COUNT,
    ),
    "no output": (lambda g: _op(g, 2, outputs=()), Reason.OUTPUT_COUNT),
    "output of another shape": (
        lambda g: g.operands.__setitem__(Y, Descriptor(DataType.FLOAT32, (3, 2))),
        Reason.OUTPUT_DESCRIPTOR,
    ),
    "output of another type": (
        lambda g: g.operands.__setitem__(Y, Descriptor(DataType.FLOAT16, (2, 3))),
        Reason.OUTPUT_DESCRIPTOR,
    ),
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_graph_with_one_thing_wrong_is_a_bad_message(name: str) -> None:
    change, reason = BREAKS[name]
    graph = _right()
    change(graph)
    with pytest.raises(BadMessage) as raised:
        _validate(graph)
    assert raised.value.reason is reason


def test_a_broken_rule_is_named_with_its_operation() -> None:
    graph = _right()
    _op(graph, 3, attributes={"min_value": 2.0, "max_value": 1.0})
    with pytest.raises(BadMessage) as raised:
        _validate(graph)
    assert raised.value.field.startswith("operations[3]: clamp.")


def test_two_inputs_of_one_name_are_refused() -> None:
    maker = GraphMaker()
    maker.output("y", maker.apply("add", maker.input("x"), maker.input("x")))
    with pytest.raises(BadMessage, match="duplicate_name"):
        _validate(maker.graph)


def test_input_and_output_may_share_a_name_and_an_operand_may_have_two() -> None:
    maker = GraphMaker()
    made = maker.apply("relu", maker.input("x"))
    maker.output("x", made)
    maker.output("again", made)
    _validate(maker.graph)


def test_what_the_backend_does_not_support_is_refused() -> None:
    narrow = TensorLimits(FLOATS - {DataType.FLOAT32}, 0, 8)
    without = {name: entries for name, entries in LIMITS.operators.items() if name != "relu"}
    limited = {**LIMITS.operators, "relu": {"input": narrow, "output": narrow}}
    for operators in (without, limited):
        with pytest.raises(BadMessage, match="operator_rule"):
            _validate(_right(), replace(LIMITS, operators=operators))


@pytest.mark.parametrize(
    ("tensors", "reason"),
    [
        ("input", Reason.UNSUPPORTED_INPUT),
        ("constant", Reason.UNSUPPORTED_CONSTANT),
        ("output", Reason.UNSUPPORTED_OUTPUT),
    ],
)
@pytest.mark.parametrize(("lowest", "highest"), [(0, 1), (3, 8)])
def test_a_tensor_of_a_rank_that_the_context_does_not_support_is_refused(
    tensors: str, reason: BadMessageReason, lowest: int, highest: int
) -> None:
    narrow = {tensors: TensorLimits(ANY, lowest, highest)}
    with pytest.raises(BadMessage, match=reason.value):
        _validate(_right(), replace(LIMITS, **narrow))
    _validate(_right(), replace(LIMITS, **{tensors: TensorLimits(ANY, 1, 2)}))


@pytest.mark.parametrize(
    ("call", "outputs"), VALID, ids=[f"{index}-{case[0].operator}" for index, case in enumerate(VALID)]
)
def test_every_operator_passes_as_the_renderer_sends_it(call: Any, outputs: list[Descriptor]) -> None:
    operands, attributes, label = call.bind()
    operator = ops.REGISTRY[call.operator]
    graph = Graph()

    def add(descriptor: Descriptor) -> int:
        graph.operands.append(descriptor)
        return len(graph.operands) - 1

    slots = {
        name: None if value is None else tuple(map(add, value)) if isinstance(value, tuple) else add(value)
        for name, value in operands.items()
    }
    graph.inputs = [(f"x{operand}", operand) for operand in range(len(graph.operands))]
    cast = ops.cast_attributes(operator, operands, attributes)
    graph.operations = [Operation(operator, slots, cast, tuple(map(add, outputs)), label)]
    graph.outputs = [(f"y{operand}", operand) for operand in graph.operations[0].outputs]
    limits = ops.with_int4(LIMITS)
    validate_graph(decode_graph(encode_graph(graph)), limits, Sources())
    assert graph_macs(graph) >= max(descriptor.element_count for descriptor in outputs)


# --- quotas -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limit", "name"),
    [({"operations": 3}, "operations"), ({"operands": 6}, "operands"), ({"name_bytes": 3}, "name_bytes")],
)
def test_a_graph_over_a_quota_is_refused_before_it_is_decoded(limit: dict[str, int], name: str) -> None:
    graph = _right()
    _op(graph, 0, label="äö")
    with pytest.raises(QuotaExceededError, match=f"quota {name}"):
        check_graph_quotas(encode_graph(graph), Quotas.of(limit))
    check_graph_quotas(encode_graph(graph), Quotas.of({key: value + 1 for key, value in limit.items()}))


def test_intermediate_memory_is_bounded() -> None:
    graph = _right()
    total = intermediate_bytes(graph)
    assert total == 4 * FLOAT.byte_length
    check_cost(graph, Quotas(intermediate_bytes=total))
    with pytest.raises(QuotaExceededError, match="quota intermediate_bytes"):
        check_cost(graph, Quotas(intermediate_bytes=total - 1))


@pytest.mark.parametrize(
    ("name", "shapes", "attributes", "macs"),
    [
        ("matmul", [(7, 2, 3), (3, 5)], {}, 7 * 2 * 3 * 5),
        ("gemm", [(3, 2), (3, 5)], {"a_transpose": True}, 2 * 3 * 5),
        ("conv2d", [(1, 4, 8, 8), (6, 4, 3, 3)], {}, 6 * 4 * 9 * 36),
        ("conv2d", [(1, 4, 8, 8), (4, 1, 3, 3)], {"groups": 4}, 4 * 9 * 36),
        ("conv_transpose2d", [(1, 4, 8, 8), (4, 6, 3, 3)], {}, 4 * 6 * 9 * 64),
        ("max_pool2d", [(1, 3, 8, 8)], {"window_dimensions": (2, 2)}, 3 * 7 * 7 * 4),
        ("average_pool2d", [(1, 3, 8, 8)], {}, 3 * 64),
        ("relu", [(2, 3)], {}, 6),
    ],
)
def test_multiplications_are_counted(
    name: str, shapes: list[tuple[int, ...]], attributes: dict[str, Any], macs: int
) -> None:
    maker = GraphMaker()
    inputs = [maker.input(f"x{at}", Descriptor(DataType.FLOAT32, shape)) for at, shape in enumerate(shapes)]
    maker.output("y", maker.apply(name, *inputs, **attributes))
    assert graph_macs(maker.graph) == macs
    with pytest.raises(QuotaExceededError, match="quota graph_macs"):
        check_cost(maker.graph, Quotas(graph_macs=macs - 1))


def test_a_chain_of_any_length_is_validated_in_linear_time_without_recursion() -> None:
    def cost(count: int) -> float:
        operations = [Operation(ops.relu, {"input": index}, {}, (index + 1,)) for index in range(count)]
        graph = Graph([FLOAT] * (count + 1), [("x", 0)], {}, operations, [("y", count)])
        return calls_of(lambda: _validate(graph)) / count

    assert cost(20_000) < 1.1 * cost(2_000)
