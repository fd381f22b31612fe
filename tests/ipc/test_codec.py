"""Messages: what goes in comes out, and whatever was not encoded so is refused with the reason and the field."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ipc.operators as ops
from ipc.codec import (
    CodecError,
    decode_descriptor,
    decode_error,
    decode_graph,
    decode_limits,
    encode_descriptor,
    encode_error,
    encode_graph,
    encode_limits,
    parse,
)
from ipc.descriptors import MAX_RANK, DataType, Descriptor
from ipc.errors import (
    DataError,
    InvalidStateError,
    MLError,
    NotSupportedError,
    OperationError,
    QuotaExceededError,
    UnknownError,
)
from ipc.generated.webnn.v1 import common_pb2, graph_pb2
from ipc.graph import ConstantSource, Graph, Operation
from ipc.verdicts import BadMessageReason as Reason
from tests.counting import calls_of
from tests.ipc.operators._strategies import values
from tests.ipc.operators._valid import VALID

FLOAT = Descriptor(DataType.FLOAT32, (2, 3))
TOKEN = bytes(range(16))


def _graph(operation: Operation, descriptors: list[Descriptor]) -> Graph:
    """A graph of one operation; the operands before its outputs are inputs."""
    first_output = min(operation.outputs)
    return Graph(
        operands=descriptors,
        inputs=[(f"in{operand}", operand) for operand in range(first_output)],
        operations=[operation],
        outputs=[(f"out{operand}", operand) for operand in operation.outputs],
    )


def _travelled(graph: Graph) -> Graph:
    return decode_graph(parse(graph_pb2.Graph, encode_graph(graph).SerializeToString()))


@pytest.mark.parametrize(
    ("call", "outputs"), VALID, ids=[f"{index}-{case[0].operator}" for index, case in enumerate(VALID)]
)
def test_every_operator_travels(call: Any, outputs: list[Descriptor]) -> None:
    operands, attributes, _ = call.bind()
    operator = ops.REGISTRY[call.operator]
    descriptors: list[Descriptor] = []

    def add(descriptor: Descriptor) -> int:
        descriptors.append(descriptor)
        return len(descriptors) - 1

    slots = {
        name: None if value is None else tuple(map(add, value)) if isinstance(value, tuple) else add(value)
        for name, value in operands.items()
    }
    cast = ops.cast_attributes(operator, operands, attributes)
    graph = _graph(Operation(operator, slots, cast, tuple(map(add, outputs)), "läbel\n"), descriptors)
    assert repr(_travelled(graph)) == repr(graph)  # repr: NaN is itself there


@pytest.mark.parametrize("operator", ops.REGISTRY.values(), ids=str)
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_every_canonical_attribute_travels(operator: ops.Operator, data: st.DataObject) -> None:
    attributes = {name: data.draw(values(attribute), name) for name, attribute in operator.attributes.items()}
    slots = {
        name: None if slot.presence == "optional" else (0,) if slot.presence == "variadic" else 0
        for name, slot in operator.slots.items()
    }
    graph = _graph(Operation(operator, slots, attributes, (1,)), [FLOAT, FLOAT])
    assert repr(_travelled(graph).operations) == repr(graph.operations)


def test_constants_inputs_and_outputs_travel_in_order() -> None:
    graph = Graph(
        operands=[FLOAT] * 5,
        inputs=[("b", 3), ("a", 0)],
        constants={1: ConstantSource(TOKEN, 64), 2: ConstantSource(TOKEN, is_tensor=True)},
        operations=[Operation(ops.concat, {"inputs": (0, 1, 2, 3)}, {"axis": 0}, (4,))],
        outputs=[("y", 4), ("again", 4)],
    )
    assert _travelled(graph) == graph


@given(st.binary(max_size=200))
def test_bytes_are_a_graph_or_a_codec_error(data: bytes) -> None:
    try:
        decode_graph(parse(graph_pb2.Graph, data))
    except CodecError as error:
        assert error.field  # noqa: PT017 - any outcome but another exception is right


# --- one break each -----------------------------------------------------------------------------------------------

Break = Callable[[graph_pb2.Graph], object]


def _message() -> graph_pb2.Graph:
    """y = clamp(concat([x, c])), z = gemm(...) with all of its options: every form that a message can have."""
    matrix = Descriptor(DataType.FLOAT32, (2, 2))
    gemm = {"alpha": 2.0, "beta": 1.0, "a_transpose": False, "b_transpose": True}
    graph = Graph(
        operands=[matrix, matrix, Descriptor(DataType.FLOAT32, (4, 2)), matrix, Descriptor(DataType.INT32, (2, 2))],
        inputs=[("x", 0)],
        constants={1: ConstantSource(TOKEN, 0)},
        operations=[
            Operation(ops.concat, {"inputs": (0, 1)}, {"axis": 0}, (2,)),
            Operation(ops.gemm, {"a": 0, "b": 1, "c": None}, gemm, (3,)),
            Operation(ops.cast, {"input": 3}, {"data_type": DataType.INT32}, (4,)),
        ],
        outputs=[("y", 2), ("z", 4)],
    )
    return encode_graph(graph)


def _attribute(message: graph_pb2.Graph, operation: int, name: str) -> graph_pb2.Attribute:
    return next(item for item in message.operations[operation].attributes if item.name == name)


def _set(target: Callable[[graph_pb2.Graph], Any], **fields: Any) -> Break:
    def change(message: graph_pb2.Graph) -> None:
        for name, value in fields.items():
            setattr(target(message), name, value)

    return change


BREAKS: dict[str, tuple[Break, Reason, str]] = {
    "kind unspecified": (_set(lambda m: m.operands[0], kind=0), Reason.UNKNOWN_ENUM_VALUE, "operands[0].kind"),
    "kind unknown": (_set(lambda m: m.operands[0], kind=9), Reason.UNKNOWN_ENUM_VALUE, "operands[0].kind"),
    "no descriptor": (lambda m: m.operands[1].ClearField("descriptor"), Reason.MISSING_FIELD, "operands[1].descriptor"),
    "type unspecified": (
        _set(lambda m: m.operands[0].descriptor, data_type=0),
        Reason.UNKNOWN_ENUM_VALUE,
        "operands[0].descriptor.data_type",
    ),
    "type unknown": (
        _set(lambda m: m.operands[0].descriptor, data_type=77),
        Reason.UNKNOWN_ENUM_VALUE,
        "operands[0].descriptor.data_type",
    ),
    "dimension zero": (
        lambda m: m.operands[0].descriptor.shape.append(0),
        Reason.INVALID_DESCRIPTOR,
        "operands[0].descriptor.shape",
    ),
    "dimension too large": (
        lambda m: m.operands[0].descriptor.shape.append(2**31),
        Reason.INVALID_DESCRIPTOR,
        "operands[0].descriptor.shape",
    ),
    "rank too large": (
        lambda m: m.operands[0].descriptor.shape.extend([1] * MAX_RANK),
        Reason.INVALID_DESCRIPTOR,
        "operands[0].descriptor.shape",
    ),
    "too many bytes": (
        lambda m: m.operands[0].descriptor.shape.append(2**28),
        Reason.INVALID_DESCRIPTOR,
        "operands[0].descriptor.shape",
    ),
    "input out of range": (_set(lambda m: m.inputs[0], operand=5), Reason.OPERAND_OUT_OF_RANGE, "inputs[0].operand"),
    "input is a constant": (_set(lambda m: m.inputs[0], operand=1), Reason.OPERAND_KIND, "inputs[0].operand"),
    "input twice": (lambda m: m.inputs.add(name="again", operand=0), Reason.DUPLICATE_OPERAND, "inputs"),
    "input without a name": (lambda m: m.inputs.pop(), Reason.OPERAND_KIND, "inputs"),
    "output out of range": (_set(lambda m: m.outputs[1], operand=9), Reason.OPERAND_OUT_OF_RANGE, "outputs[1].operand"),
    "output is an input": (_set(lambda m: m.outputs[1], operand=0), Reason.OPERAND_KIND, "outputs[1].operand"),
    "output is a constant": (_set(lambda m: m.outputs[1], operand=1), Reason.OPERAND_KIND, "outputs[1].operand"),
    "constant out of range": (
        _set(lambda m: m.constants[0], operand=50),
        Reason.OPERAND_OUT_OF_RANGE,
        "constants[0].operand",
    ),
    "constant is an input": (_set(lambda m: m.constants[0], operand=0), Reason.OPERAND_KIND, "constants[0].operand"),
    "constant without a source": (
        lambda m: m.constants[0].ClearField("region"),
        Reason.MISSING_FIELD,
        "constants[0].source",
    ),
    "constant missing": (lambda m: m.constants.pop(), Reason.OPERAND_KIND, "constants"),
    "constant twice": (lambda m: m.constants.add().CopyFrom(m.constants[0]), Reason.DUPLICATE_OPERAND, "constants"),
    "short region": (
        _set(lambda m: m.constants[0].region, region=b"short"),
        Reason.INVALID_TOKEN,
        "constants[0].region.region",
    ),
    "short tensor": (_set(lambda m: m.constants[0], tensor=b"short"), Reason.INVALID_TOKEN, "constants[0].tensor"),
    "operator unknown": (_set(lambda m: m.operations[1], name="eval"), Reason.UNKNOWN_OPERATOR, "operations[1].name"),
    "made operand out of range": (
        lambda m: m.operations[1].outputs.append(5),
        Reason.OPERAND_OUT_OF_RANGE,
        "operations[1].outputs",
    ),
    "slot unknown": (
        _set(lambda m: m.operations[1].slots[0], name="z"),
        Reason.UNKNOWN_SLOT,
        "operations[1].slots[0].name",
    ),
    "slot twice": (
        _set(lambda m: m.operations[1].slots[1], name="a"),
        Reason.DUPLICATE_SLOT,
        "operations[1].slots[1].name",
    ),
    "slot missing": (lambda m: m.operations[1].slots.pop(), Reason.MISSING_SLOT, "operations[1].slots.b"),
    "variadic slot missing": (lambda m: m.operations[0].slots.pop(), Reason.MISSING_SLOT, "operations[0].slots.inputs"),
    "slot empty": (
        lambda m: m.operations[1].slots[0].ClearField("one"),
        Reason.MISSING_FIELD,
        "operations[1].slots[0].value",
    ),
    "one where several belong": (
        _set(lambda m: m.operations[0].slots[0], one=0),
        Reason.SLOT_FORM,
        "operations[0].slots[0].one",
    ),
    "several where one belongs": (
        lambda m: m.operations[1].slots[0].several.operands.append(0),
        Reason.SLOT_FORM,
        "operations[1].slots[0].several",
    ),
    "operand out of range": (
        _set(lambda m: m.operations[1].slots[0], one=5),
        Reason.OPERAND_OUT_OF_RANGE,
        "operations[1].slots[0].one",
    ),
    "operand in a list out of range": (
        lambda m: m.operations[0].slots[0].several.operands.append(2**32 - 1),
        Reason.OPERAND_OUT_OF_RANGE,
        "operations[0].slots[0].several",
    ),
    "attribute unknown": (
        _set(lambda m: m.operations[1].attributes[0], name="gamma"),
        Reason.UNKNOWN_ATTRIBUTE,
        "operations[1].attributes[0].name",
    ),
    "attribute twice": (
        _set(lambda m: m.operations[1].attributes[1], name="alpha"),
        Reason.DUPLICATE_ATTRIBUTE,
        "operations[1].attributes[1].name",
    ),
    "attribute missing": (
        lambda m: m.operations[1].attributes.pop(0),
        Reason.MISSING_ATTRIBUTE,
        "operations[1].attributes.alpha",
    ),
    "attribute empty": (
        lambda m: _attribute(m, 1, "alpha").ClearField("real"),
        Reason.MISSING_FIELD,
        "operations[1].attributes[0].value",
    ),
    "attribute of another form": (
        _set(lambda m: _attribute(m, 1, "alpha"), text="2"),
        Reason.ATTRIBUTE_FORM,
        "operations[1].attributes[0].text",
    ),
    "required attribute absent": (
        lambda m: _attribute(m, 0, "axis").absent.SetInParent(),
        Reason.ATTRIBUTE_FORM,
        "operations[0].attributes[0].absent",
    ),
    "attribute with a default absent": (
        lambda m: _attribute(m, 1, "alpha").absent.SetInParent(),
        Reason.ATTRIBUTE_FORM,
        "operations[1].attributes[0].absent",
    ),
    "attribute no conversion returns": (
        _set(lambda m: _attribute(m, 1, "alpha"), real=float("nan")),
        Reason.ATTRIBUTE_VALUE,
        "operations[1].attributes[0].real",
    ),
    "type attribute unknown": (
        _set(lambda m: _attribute(m, 2, "data_type"), data_type=99),
        Reason.UNKNOWN_ENUM_VALUE,
        "operations[2].attributes[0].data_type.data_type",
    ),
    "type attribute beyond the specification": (
        _set(lambda m: _attribute(m, 2, "data_type"), data_type=common_pb2.DATA_TYPE_INT4),
        Reason.ATTRIBUTE_VALUE,
        "operations[2].attributes[0].data_type",
    ),
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_message_with_one_thing_wrong_is_refused(name: str) -> None:
    change, reason, field = BREAKS[name]
    message = _message()
    decode_graph(parse(graph_pb2.Graph, message.SerializeToString()))
    change(message)
    with pytest.raises(CodecError) as raised:
        decode_graph(parse(graph_pb2.Graph, message.SerializeToString()))
    assert (raised.value.reason, raised.value.field) == (reason, field)


def test_a_number_has_one_form() -> None:
    operation = Operation(ops.clamp, {"input": 0}, {"min_value": 5, "max_value": None}, (1,))
    integers = Descriptor(DataType.UINT64, (1,))
    message = encode_graph(_graph(operation, [integers, integers]))
    minimum = message.operations[0].attributes[0]
    assert minimum.signed_number == 5
    minimum.unsigned_number = 5
    with pytest.raises(CodecError, match="attribute_form"):
        decode_graph(message)
    minimum.unsigned_number = 2**63 - 1
    with pytest.raises(CodecError, match="attribute_form"):
        decode_graph(message)
    minimum.unsigned_number = 2**63
    assert decode_graph(message).operations[0].attributes["min_value"] == 2**63


def test_the_largest_signed_number_travels_as_one() -> None:
    operation = Operation(ops.clamp, {"input": 0}, {"min_value": 2**63 - 1, "max_value": 2**63}, (1,))
    integers = Descriptor(DataType.UINT64, (1,))
    message = encode_graph(_graph(operation, [integers, integers]))
    assert [item.WhichOneof("value") for item in message.operations[0].attributes] == [
        "signed_number",
        "unsigned_number",
    ]


def test_an_operation_may_make_all_operands_that_there_are_as_far_as_decoding_sees() -> None:
    message = graph_pb2.Graph()
    message.operands.add(kind=graph_pb2.OPERAND_KIND_INTERMEDIATE, descriptor=encode_descriptor(FLOAT))
    operation = message.operations.add(name="relu", outputs=[0])
    operation.slots.add(name="input", one=0)
    assert decode_graph(message).operations[0].outputs == (0,)
    operation.ClearField("outputs")
    assert decode_graph(message).operations[0].outputs == ()
    operation.outputs.extend((0, 0))
    with pytest.raises(CodecError, match="operand_produced_twice"):
        decode_graph(message)


def test_a_list_has_so_many_entries_and_no_more() -> None:
    operation = Operation(ops.transpose, {"input": 0}, {"permutation": (0,) * 65_536}, (1,))
    message = encode_graph(_graph(operation, [FLOAT, FLOAT]))
    assert len(decode_graph(message).operations[0].attributes["permutation"]) == 65_536
    message.operations[0].attributes[0].uints.values.append(0)
    with pytest.raises(CodecError, match="attribute_value"):
        decode_graph(message)


def test_a_slot_has_so_many_operands_and_no_more() -> None:
    operation = Operation(ops.concat, {"inputs": (0,) * 65_536}, {"axis": 0}, (1,))
    message = encode_graph(_graph(operation, [FLOAT, FLOAT]))
    assert decode_graph(message).operations[0].operands == {"inputs": (0,) * 65_536}
    message.operations[0].slots[0].several.operands.append(0)
    with pytest.raises(CodecError, match="slot_form"):
        decode_graph(message)


def test_a_shape_of_a_million_sizes_is_refused_before_it_is_read() -> None:
    message = common_pb2.Descriptor(data_type=common_pb2.DATA_TYPE_INT8, shape=[2**30] * 1_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(CodecError, match="invalid_descriptor"):
            decode_descriptor(message, "descriptor")
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def _varint_field(number: int, value: int) -> bytes:
    return bytes([number << 3, value])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\xff", Reason.MALFORMED),
        (b"\x12\x03\x0a\x01\xff", Reason.MALFORMED),  # a name that is not UTF-8
        (_varint_field(15, 1), Reason.UNKNOWN_FIELD),
        (b"\x12\x02" + _varint_field(15, 1), Reason.UNKNOWN_FIELD),  # inside a NamedOperand
        (b"\x12\x04" + _varint_field(2, 1) + _varint_field(2, 1), Reason.NOT_CANONICAL),  # a singular field twice
        (b"\x12\x03\x10\x81\x00", Reason.NOT_CANONICAL),  # a number padded with zeros
        (b"\x12\x02" + _varint_field(2, 0), Reason.NOT_CANONICAL),  # a default written out
    ],
)
def test_only_the_canonical_encoding_is_parsed(data: bytes, reason: Reason) -> None:
    with pytest.raises(CodecError) as raised:
        parse(graph_pb2.Graph, data)
    assert raised.value.reason is reason


def test_decoding_is_linear() -> None:
    def cost(count: int) -> float:
        operations = [
            Operation(ops.gemm, {"a": index, "b": index, "c": None}, _GEMM, (index + 1,)) for index in range(count)
        ]
        data = encode_graph(
            Graph([FLOAT] * (count + 1), [("x", 0)], {}, operations, [("y", count)])
        ).SerializeToString()
        return calls_of(lambda: decode_graph(parse(graph_pb2.Graph, data))) / count

    assert cost(5_000) < 1.1 * cost(500)


_GEMM = {"alpha": 2.0, "beta": 1.0, "a_transpose": False, "b_transpose": True}


# --- the rest -----------------------------------------------------------------------------------------------------


@given(st.sampled_from(list(DataType)), st.lists(st.integers(1, 9), max_size=MAX_RANK))
def test_descriptors_travel(data_type: DataType, shape: list[int]) -> None:
    descriptor = Descriptor(data_type, tuple(shape))
    assert decode_descriptor(encode_descriptor(descriptor), "d") == descriptor


def test_limits_travel() -> None:
    limits = ops.with_int4(ops.declared_limits())
    assert decode_limits(encode_limits(limits)) == limits


@pytest.mark.parametrize(
    "change",
    [
        lambda m: setattr(m, "preferred_input_layout", "chwn"),
        lambda m: setattr(m.input, "max_rank", 9),
        lambda m: setattr(m.input, "min_rank", 9),
        lambda m: m.input.data_types.append(99),
        lambda m: m.operators.append(m.operators[0]),
        lambda m: m.operators[0].members.append(m.operators[0].members[0]),
    ],
)
def test_limits_that_cannot_be_are_refused(change: Callable[[Any], object]) -> None:
    message = encode_limits(ops.declared_limits())
    change(message)
    with pytest.raises(CodecError):
        decode_limits(message)


@pytest.mark.parametrize(
    "error_type", [UnknownError, NotSupportedError, OperationError, QuotaExceededError, InvalidStateError]
)
def test_errors_travel(error_type: type[MLError]) -> None:
    decoded = decode_error(encode_error(error_type("why", rule="gemm.inner")))
    assert (type(decoded), str(decoded), decoded.rule) == (error_type, "why", "gemm.inner")
    assert decode_error(encode_error(error_type("why"))).rule is None


def test_an_error_without_a_code_travels_as_unknown() -> None:
    assert type(decode_error(encode_error(DataError("why")))) is UnknownError


def test_an_unknown_error_code_is_refused() -> None:
    with pytest.raises(CodecError):
        decode_error(common_pb2.Error(message="no code"))
