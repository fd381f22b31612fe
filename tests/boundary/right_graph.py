"""Graphs as messages, written by hand, right in everything until a case breaks them."""

from __future__ import annotations

from typing import Any

from ipc.generated.webnn.v1 import common_pb2, graph_pb2
from tests.boundary.hostile_client import FLOAT32, descriptor

INPUT, CONSTANT, MADE = (
    graph_pb2.OPERAND_KIND_INPUT,
    graph_pb2.OPERAND_KIND_CONSTANT,
    graph_pb2.OPERAND_KIND_INTERMEDIATE,
)


def operand(kind: int, *shape: int, data_type: int = FLOAT32) -> graph_pb2.Operand:
    return graph_pb2.Operand(kind=kind, descriptor=descriptor(*shape, data_type=data_type))  # type: ignore[arg-type]


def named(name: str, operand: int) -> graph_pb2.NamedOperand:
    return graph_pb2.NamedOperand(name=name, operand=operand)


def slot(name: str, value: int | list[int]) -> graph_pb2.Slot:
    if isinstance(value, int):
        return graph_pb2.Slot(name=name, one=value)
    return graph_pb2.Slot(name=name, several=graph_pb2.OperandList(operands=value))


def attribute(name: str, **value: Any) -> graph_pb2.Attribute:
    """`attribute("axis", uint=1)`; lists as lists, absence as `absent=True`."""
    ((form, given),) = value.items()
    made = {
        "absent": lambda: common_pb2.Empty(),
        "uints": lambda: graph_pb2.Uints(values=given),
        "reals": lambda: graph_pb2.Doubles(values=given),
        "texts": lambda: graph_pb2.Strings(values=given),
    }.get(form, lambda: given)()
    return graph_pb2.Attribute(name=name, **{form: made})


def operation(
    name: str,
    slots: dict[str, int | list[int]],
    output: int | list[int],
    *attributes: graph_pb2.Attribute,
    label: str = "",
) -> graph_pb2.Operation:
    return graph_pb2.Operation(
        name=name,
        slots=[slot(key, value) for key, value in slots.items()],
        attributes=attributes,
        outputs=[output] if isinstance(output, int) else output,
        label=label,
    )


def relu(*shape: int, data_type: int = FLOAT32) -> graph_pb2.Graph:
    """y = relu(x), 2x3 unless said otherwise"""
    shape = shape or (2, 3)
    return graph_pb2.Graph(
        operands=[operand(INPUT, *shape, data_type=data_type), operand(MADE, *shape, data_type=data_type)],
        inputs=[named("x", 0)],
        outputs=[named("y", 1)],
        operations=[operation("relu", {"input": 0}, 1)],
    )


def incremented(region: bytes) -> graph_pb2.Graph:
    """y = x + (what is in the region)"""
    return graph_pb2.Graph(
        operands=[operand(INPUT, 2, 3), operand(CONSTANT, 2, 3), operand(MADE, 2, 3)],
        inputs=[named("x", 0)],
        outputs=[named("y", 2)],
        constants=[graph_pb2.ConstantSource(operand=1, region=graph_pb2.RegionPart(region=region))],
        operations=[operation("add", {"a": 0, "b": 1}, 2)],
    )


# Operands of `every_form`.
X, C, SUM, T, TOTAL, Y, Z, W, I, U, P, R, S0, S1 = range(14)  # noqa: E741
# Its operations.
ADD_C, ADD_T, RELU, CLAMP, CONCAT, CAST, TRIANGULAR, PAD, REDUCE, SPLIT = range(10)


def every_form(region: bytes, constant_tensor: bytes) -> graph_pb2.Graph:
    """A graph with constants of both kinds, slots of every form, attributes of every form."""
    part = graph_pb2.RegionPart(region=region, offset=64)
    whole = [operand(MADE, 2, 3) for _ in range(3)]
    return graph_pb2.Graph(
        operands=[
            operand(INPUT, 2, 3),  # X
            operand(CONSTANT, 2, 3),  # C
            whole[0],  # SUM
            operand(CONSTANT, 2, 3),  # T
            *whole[1:],  # TOTAL, Y
            operand(MADE, 2, 3),  # Z
            operand(MADE, 4, 3),  # W
            operand(MADE, 2, 3, data_type=common_pb2.DATA_TYPE_INT32),  # I
            operand(MADE, 2, 3),  # U
            operand(MADE, 2, 4),  # P
            operand(MADE, 2),  # R
            operand(MADE, 1, 3),  # S0
            operand(MADE, 1, 3),  # S1
        ],
        inputs=[named("x", X)],
        outputs=[named("y", Y), named("z", Z)],
        constants=[
            graph_pb2.ConstantSource(operand=C, region=part),
            graph_pb2.ConstantSource(operand=T, tensor=constant_tensor),
        ],
        operations=[
            operation("add", {"a": X, "b": C}, SUM),
            operation("add", {"a": SUM, "b": T}, TOTAL),
            operation("relu", {"input": TOTAL}, Y, label="last"),
            operation("clamp", {"input": X}, Z, attribute("min_value", real=0.0), attribute("max_value", real=1.0)),
            operation("concat", {"inputs": [X, SUM]}, W, attribute("axis", uint=0)),
            operation("cast", {"input": X}, I, attribute("data_type", data_type=common_pb2.DATA_TYPE_INT32)),
            operation("triangular", {"input": X}, U, attribute("upper", boolean=True), attribute("diagonal", int=-1)),
            operation(
                "pad",
                {"input": X},
                P,
                attribute("beginning_padding", uints=[0, 0]),
                attribute("ending_padding", uints=[0, 1]),
                attribute("mode", text="constant"),
                attribute("value", real=0.0),
            ),
            operation(
                "reduce_sum", {"input": X}, R, attribute("axes", uints=[1]), attribute("keep_dimensions", boolean=False)
            ),
            operation("split", {"input": X}, [S0, S1], attribute("splits", uints=[1, 1]), attribute("axis", uint=0)),
        ],
    )
