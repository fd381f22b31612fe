"""Graphs with one thing wrong, made from one that has nothing wrong: form, then what it means, then each operator."""

from __future__ import annotations

from collections.abc import Callable

from ipc.generated.webnn.v1 import common_pb2, graph_pb2
from ipc.verdicts import BadMessageReason as Reason
from tests.boundary.hostile_client import destroy
from tests.boundary.right_graph import (
    ADD_C,
    ADD_T,
    CAST,
    CLAMP,
    CONCAT,
    CONSTANT,
    INPUT,
    MADE,
    PAD,
    REDUCE,
    RELU,
    S0,
    SPLIT,
    SUM,
    TOTAL,
    TRIANGULAR,
    C,
    P,
    R,
    T,
    W,
    X,
    Y,
    Z,
    attribute,
    named,
    operand,
    operation,
    slot,
)
from tests.boundary.stage import REGION_BYTES, TENSOR_BYTES, UNKNOWN, Case, Stage

Graph = graph_pb2.Graph
_UNKNOWN_FIELD = b"\xf8\x07\x01"  # field 127, a number
_END = 14  # the first operand that is not


def _send(change: Callable[[Graph, Stage], object]) -> Callable[[Stage], object]:
    def send(stage: Stage) -> object:
        graph = stage.right_graph()
        changed = change(graph, stage)
        return stage.session.build(stage.context, changed if isinstance(changed, bytes) else graph)

    return send


def _case(name: str, change: Callable[[Graph], object], reason: Reason, field: str) -> Case:
    return Case(f"graph: {name}", _send(lambda graph, _: change(graph)), reason, field)  # type: ignore[arg-type]


def _staged(name: str, change: Callable[[Graph, Stage], object], reason: Reason, field: str) -> Case:
    return Case(f"graph: {name}", _send(change), reason, field)  # type: ignore[arg-type]


def _op(graph: Graph, index: int, replacement: graph_pb2.Operation) -> None:
    graph.operations[index].CopyFrom(replacement)


def _within(graph: Graph, message: object) -> bytes:
    """The graph with an unknown field in one of its messages."""
    message.MergeFromString(_UNKNOWN_FIELD)  # type: ignore[attr-defined]
    return graph.SerializeToString()


def _descriptor(graph: Graph, operand: int, *shape: int, data_type: int = common_pb2.DATA_TYPE_FLOAT32) -> None:
    described = graph.operands[operand].descriptor
    described.shape[:] = shape
    described.data_type = data_type  # type: ignore[assignment]


def _attribute(operation: int, index: int, replacement: graph_pb2.Attribute) -> Callable[[Graph], object]:
    return lambda graph: graph.operations[operation].attributes[index].CopyFrom(replacement)


_MALFORMED = [
    _case("no message at all", lambda g: b"\xff", Reason.MALFORMED, "Graph"),
    _case("cut short", lambda g: g.SerializeToString()[:-1], Reason.MALFORMED, "Graph"),
    _case(
        "a name that is no text", lambda g: b"\x12\x03\x0a\x01\xff" + g.SerializeToString(), Reason.MALFORMED, "Graph"
    ),
    _case("a group without an end", lambda g: g.SerializeToString() + b"\x0b", Reason.MALFORMED, "Graph"),
    _case("an unknown field", lambda g: g.SerializeToString() + _UNKNOWN_FIELD, Reason.UNKNOWN_FIELD, "Graph"),
    *(
        _case(f"an unknown field in {name}", lambda g, of=of: _within(g, of(g)), Reason.UNKNOWN_FIELD, "Graph")  # type: ignore[misc]
        for name, of in {
            "an operand": lambda g: g.operands[X],
            "a descriptor": lambda g: g.operands[X].descriptor,
            "a named operand": lambda g: g.inputs[0],
            "a constant": lambda g: g.constants[0],
            "a part of a region": lambda g: g.constants[0].region,
            "an operation": lambda g: g.operations[RELU],
            "a slot": lambda g: g.operations[RELU].slots[0],
            "a list of operands": lambda g: g.operations[CONCAT].slots[0].several,
            "an attribute": lambda g: g.operations[CLAMP].attributes[0],
            "a list of numbers": lambda g: g.operations[PAD].attributes[0].uints,
        }.items()
    ),
    _case(
        "a number that takes more bytes than it needs",
        lambda g: g.SerializeToString() + b"\x12\x85\x00\x0a\x01x\x10\x00",
        Reason.NOT_CANONICAL,
        "Graph",
    ),
    _case(
        "a default that is written out",
        lambda g: g.SerializeToString() + b"\x1a\x05\x0a\x01a\x10\x00",
        Reason.NOT_CANONICAL,
        "Graph",
    ),
    _case(
        "a list of numbers that is not packed",
        lambda g: g.SerializeToString() + b"\x2a\x04\x0a\x00\x20\x05",
        Reason.NOT_CANONICAL,
        "Graph",
    ),
    _case(
        "an operand with two kinds, of which the last would win",
        lambda g: g.SerializeToString() + b"\x0a\x04\x08\x01\x08\x02",
        Reason.NOT_CANONICAL,
        "Graph",
    ),
]


def _raw(number: int, content: bytes) -> bytes:
    """A field of bytes."""
    length = len(content)
    prefix = bytearray([number << 3 | 2])
    while length > 0x7F:
        prefix.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes(prefix) + bytes([length]) + content


def _repeated(content: bytes) -> bytes:
    """An operation of a name and one field as often as a million times."""
    return Graph().SerializeToString() + _raw(5, _raw(1, b"relu") + content * (1 << 20))


_BOMBS = [
    _case("a million slots", lambda g: _repeated(b"\x12\x00"), Reason.OPERATION_PARTS, "operations[0]"),
    _case("a million attributes", lambda g: _repeated(b"\x1a\x00"), Reason.OPERATION_PARTS, "operations[0]"),
    _case("a million names", lambda g: _repeated(b"\x0a\x00"), Reason.OPERATION_PARTS, "operations[0]"),
    _case("a million outputs, one by one", lambda g: _repeated(b"\x20\x00"), Reason.OPERATION_PARTS, "operations[0]"),
    _case(
        "a million unknown numbers",
        lambda g: _repeated(b"\x3d\x00\x00\x00\x00"),
        Reason.OPERATION_PARTS,
        "operations[0]",
    ),
    _case(
        "a million outputs",
        lambda g: g.operations[RELU].outputs.extend([Y] * (1 << 20)),
        Reason.OPERAND_PRODUCED_TWICE,
        f"operations[{RELU}].outputs",
    ),
    _case(
        "a million operands in a list",
        lambda g: g.operations[CONCAT].slots[0].several.operands.extend([X] * (1 << 20)),
        Reason.SLOT_FORM,
        f"operations[{CONCAT}].slots[0].several",
    ),
    _case(
        "a million numbers in a list",
        lambda g: g.operations[REDUCE].attributes[0].uints.values.extend([0] * (1 << 20)),
        Reason.ATTRIBUTE_VALUE,
        f"operations[{REDUCE}].attributes[0].uints",
    ),
    _case(
        "a million dimensions",
        lambda g: _descriptor(g, Z, *[1] * (1 << 20)),
        Reason.INVALID_DESCRIPTOR,
        f"operands[{Z}].descriptor.shape",
    ),
    _case("a field of a number that is none", lambda g: b"\xff" * 11, Reason.MALFORMED, "Graph"),
    _case(
        "a number where a message belongs", lambda g: g.SerializeToString() + b"\x08\x01", Reason.UNKNOWN_FIELD, "Graph"
    ),
    _case("more than there is", lambda g: g.SerializeToString() + b"\x0a\x05ab", Reason.MALFORMED, "Graph"),
    _case("a length without an end", lambda g: g.SerializeToString() + b"\x0a\x80", Reason.MALFORMED, "Graph"),
    _case("an operation whose content ends in a number", lambda g: _raw(5, b"\x20\x80"), Reason.MALFORMED, "Graph"),
    _case("an operation with a group", lambda g: _raw(5, b"\x0b"), Reason.MALFORMED, "Graph"),
]

_OPERANDS = [
    _case(
        "an operand of no kind",
        lambda g: g.operands[Z].ClearField("kind"),
        Reason.UNKNOWN_ENUM_VALUE,
        f"operands[{Z}].kind",
    ),
    _case(
        "an operand of a kind that there is not",
        lambda g: setattr(g.operands[Z], "kind", 4),
        Reason.UNKNOWN_ENUM_VALUE,
        f"operands[{Z}].kind",
    ),
    _case(
        "an operand without a descriptor",
        lambda g: g.operands[Z].ClearField("descriptor"),
        Reason.MISSING_FIELD,
        f"operands[{Z}].descriptor",
    ),
    _case(
        "no data type",
        lambda g: g.operands[Z].descriptor.ClearField("data_type"),
        Reason.UNKNOWN_ENUM_VALUE,
        f"operands[{Z}].descriptor.data_type",
    ),
    _case(
        "a data type that there is not",
        lambda g: setattr(g.operands[Z].descriptor, "data_type", 11),
        Reason.UNKNOWN_ENUM_VALUE,
        f"operands[{Z}].descriptor.data_type",
    ),
    *(
        _case(
            f"{name}",
            lambda g, s=shape: _descriptor(g, Z, *s),
            Reason.INVALID_DESCRIPTOR,
            f"operands[{Z}].descriptor.shape",
        )  # type: ignore[misc]
        for name, shape in {
            "a dimension of zero": (2, 0),
            "a dimension beyond int32": (2**31,),
            "the largest dimension there is": (2**32 - 1,),
            "nine dimensions": (1,) * 9,
            "elements beyond int32": (2**16, 2**15),
            "elements that are 0 in 32 bits": (2**16, 2**16),
            "elements that are 0 in 64 bits": (2**16,) * 4,
            "elements that are 6 in 64 bits": (2**31 - 1,) * 7 + (2,),
            "bytes beyond int32": (2**29,),
        }.items()
    ),
    _case(
        "4-bit elements, one byte too many of them",
        lambda g: _descriptor(g, Z, 2**31 - 1, 2, data_type=common_pb2.DATA_TYPE_UINT4),
        Reason.INVALID_DESCRIPTOR,
        f"operands[{Z}].descriptor.shape",
    ),
    _case("no operands", lambda g: _nothing_of_nothing(), Reason.NO_OPERANDS, "graph"),
    _case("no operations", lambda g: g.ClearField("operations"), Reason.NO_OPERATIONS, "graph"),
    _case("no outputs", lambda g: g.ClearField("outputs"), Reason.NO_OUTPUTS, "graph"),
]


def _nothing_of_nothing() -> bytes:
    """An operation that neither reads nor makes anything."""
    joined = operation("concat", {"inputs": []}, [], attribute("axis", uint=0))
    return Graph(operations=[joined]).SerializeToString()


_NAMED = [
    _case("an input without a name", lambda g: g.inputs[0].ClearField("name"), Reason.EMPTY_NAME, "inputs[0].name"),
    _case("an output without a name", lambda g: g.outputs[1].ClearField("name"), Reason.EMPTY_NAME, "outputs[1].name"),
    _case(
        "two inputs of one name",
        lambda g: (g.operands.append(operand(INPUT, 2, 3)), g.inputs.append(named("x", _END))),
        Reason.DUPLICATE_NAME,
        "inputs[1].name",
    ),
    _case(
        "two outputs of one name", lambda g: g.outputs.append(named("y", P)), Reason.DUPLICATE_NAME, "outputs[2].name"
    ),
    _case(
        "an input beyond the operands",
        lambda g: setattr(g.inputs[0], "operand", _END),
        Reason.OPERAND_OUT_OF_RANGE,
        "inputs[0].operand",
    ),
    _case(
        "an output beyond the operands",
        lambda g: setattr(g.outputs[0], "operand", 2**32 - 1),
        Reason.OPERAND_OUT_OF_RANGE,
        "outputs[0].operand",
    ),
    _case(
        "a constant beyond the operands",
        lambda g: setattr(g.constants[0], "operand", _END),
        Reason.OPERAND_OUT_OF_RANGE,
        "constants[0].operand",
    ),
    _case(
        "an input that is a constant",
        lambda g: setattr(g.inputs[0], "operand", C),
        Reason.OPERAND_KIND,
        "inputs[0].operand",
    ),
    _case(
        "an input that is made", lambda g: setattr(g.inputs[0], "operand", Y), Reason.OPERAND_KIND, "inputs[0].operand"
    ),
    _case(
        "an output that is an input",
        lambda g: g.outputs.append(named("again", X)),
        Reason.OPERAND_KIND,
        "outputs[2].operand",
    ),
    _case(
        "an output that is a constant",
        lambda g: g.outputs.append(named("c", C)),
        Reason.OPERAND_KIND,
        "outputs[2].operand",
    ),
    _case(
        "a constant that is an input",
        lambda g: setattr(g.constants[0], "operand", X),
        Reason.OPERAND_KIND,
        "constants[0].operand",
    ),
    _case("an input with two names", lambda g: g.inputs.append(named("again", X)), Reason.DUPLICATE_OPERAND, "inputs"),
    _case(
        "an input without an entry", lambda g: g.operands.append(operand(INPUT, 2, 3)), Reason.OPERAND_KIND, "inputs"
    ),
    _case(
        "an input of a type that only constants may have",
        lambda g: _descriptor(g, X, 2, 3, data_type=common_pb2.DATA_TYPE_INT4),
        Reason.UNSUPPORTED_INPUT,
        "inputs[0]",
    ),
    _case(
        "an output of such a type",
        lambda g: _descriptor(g, Y, 2, 3, data_type=common_pb2.DATA_TYPE_INT4),
        Reason.UNSUPPORTED_OUTPUT,
        "outputs[0]",
    ),
]

_CONSTANTS = [
    _case(
        "a constant without a source",
        lambda g: g.constants[0].ClearField("region"),
        Reason.MISSING_FIELD,
        "constants[0].source",
    ),
    _case(
        "a constant with two sources",
        lambda g: g.constants.append(g.constants[0]),
        Reason.DUPLICATE_OPERAND,
        "constants",
    ),
    _case(
        "a constant without an entry",
        lambda g: g.operands.append(operand(CONSTANT, 2, 3)),
        Reason.OPERAND_KIND,
        "constants",
    ),
    _case(
        "a region's token that is too short",
        lambda g: setattr(g.constants[0].region, "region", b"r" * 15),
        Reason.INVALID_TOKEN,
        "constants[0].region.region",
    ),
    _case(
        "a region without a token",
        lambda g: g.constants[0].region.ClearField("region"),
        Reason.INVALID_TOKEN,
        "constants[0].region.region",
    ),
    _case(
        "a constant tensor's token that is too long",
        lambda g: setattr(g.constants[1], "tensor", b"t" * 17),
        Reason.INVALID_TOKEN,
        "constants[1].tensor",
    ),
    _case(
        "a region that was never offered",
        lambda g: setattr(g.constants[0].region, "region", UNKNOWN),
        Reason.UNKNOWN_REGION,
        f"operands[{C}]",
    ),
    _staged(
        "a region that was withdrawn",
        lambda g, s: s.session.say(region_withdrawn={"token": s.region}),
        Reason.UNKNOWN_REGION,
        f"operands[{C}]",
    ),
    _staged(
        "the token of a constant tensor in the place of a region's",
        lambda g, s: setattr(g.constants[0].region, "region", s.constant_tensor),
        Reason.UNKNOWN_REGION,
        f"operands[{C}]",
    ),
    _case(
        "one step beyond the region",
        lambda g: setattr(g.constants[0].region, "offset", 128),
        Reason.REGION_BOUNDS,
        f"operands[{C}]",
    ),
    _case(
        "a constant that ends one element beyond its region",
        lambda g: (_descriptor(g, C, 7), setattr(g.constants[0].region, "offset", 64)),
        Reason.REGION_BOUNDS,
        f"operands[{C}]",
    ),
    _case(
        "an offset that wraps around in 64 bits",
        lambda g: setattr(g.constants[0].region, "offset", 2**64 - 64),
        Reason.REGION_BOUNDS,
        f"operands[{C}]",
    ),
    _case(
        "an offset that is not aligned",
        lambda g: setattr(g.constants[0].region, "offset", REGION_BYTES - TENSOR_BYTES - 32),
        Reason.UNALIGNED_CONSTANT,
        f"operands[{C}]",
    ),
    _case(
        "a constant tensor that there is not",
        lambda g: setattr(g.constants[1], "tensor", UNKNOWN),
        Reason.UNKNOWN_TENSOR,
        f"operands[{T}]",
    ),
    _staged(
        "a region's token in the place of a constant tensor's",
        lambda g, s: setattr(g.constants[1], "tensor", s.region),
        Reason.UNKNOWN_TENSOR,
        f"operands[{T}]",
    ),
    _staged(
        "a constant tensor of another context",
        lambda g, s: setattr(
            g.constants[1], "tensor", s.session.create_constant_tensor(s.inline_context, s.region).tensor.token
        ),
        Reason.UNKNOWN_TENSOR,
        f"operands[{T}]",
    ),
    _staged(
        "a constant tensor that was destroyed",
        lambda g, s: s.timeline.results(s.timeline.commands(destroy(tensor=s.constant_tensor))) and None,
        Reason.UNKNOWN_TENSOR,
        f"operands[{T}]",
    ),
    _staged(
        "a tensor that can change as a constant",
        lambda g, s: setattr(g.constants[1], "tensor", s.tensor),
        Reason.NOT_A_CONSTANT_TENSOR,
        "constants.tensor",
    ),
    _case(
        "a constant tensor of another shape with as many bytes",
        lambda g: _descriptor(g, T, 3, 2),
        Reason.CONSTANT_DESCRIPTOR,
        f"operands[{T}]",
    ),
    _case(
        "a constant tensor of another type with as many bytes",
        lambda g: _descriptor(g, T, 2, 3, data_type=common_pb2.DATA_TYPE_INT32),
        Reason.CONSTANT_DESCRIPTOR,
        f"operands[{T}]",
    ),
    _case(
        "a constant of a type that this context has not",
        lambda g: _descriptor(g, C, 2, 3, data_type=common_pb2.DATA_TYPE_UINT4),
        Reason.UNSUPPORTED_CONSTANT,
        f"operands[{C}]",
    ),
]


def _swap(graph: Graph, a: int, b: int) -> None:
    first = graph_pb2.Operation()
    first.CopyFrom(graph.operations[a])
    graph.operations[a].CopyFrom(graph.operations[b])
    graph.operations[b].CopyFrom(first)


_ORDER = [
    _case(
        "an operation before the one that makes what it reads",
        lambda g: _swap(g, ADD_C, ADD_T),
        Reason.OPERAND_NOT_YET_PRODUCED,
        f"operations[{ADD_C}].slots",
    ),
    _case(
        "an operation that reads what it makes",
        lambda g: _op(g, RELU, operation("relu", {"input": Y}, Y)),
        Reason.OPERAND_NOT_YET_PRODUCED,
        f"operations[{RELU}].slots",
    ),
    _case(
        "an operation that reads what it makes as its second operand",
        lambda g: _op(g, ADD_T, operation("add", {"a": SUM, "b": 4}, 4)),
        Reason.OPERAND_NOT_YET_PRODUCED,
        f"operations[{ADD_T}].slots",
    ),
    _case(
        "an operation that reads what it makes in a list",
        lambda g: _op(g, CONCAT, operation("concat", {"inputs": [X, W]}, W, attribute("axis", uint=0))),
        Reason.OPERAND_NOT_YET_PRODUCED,
        f"operations[{CONCAT}].slots",
    ),
    _case(
        "an operation that reads what it makes as an optional operand",
        lambda g: (
            g.operands.append(operand(MADE, 2, 2)),
            g.operations.append(
                operation(
                    "gemm",
                    {"a": X, "b": SUM, "c": _END},
                    _END,
                    attribute("alpha", real=1.0),
                    attribute("beta", real=1.0),
                    attribute("a_transpose", boolean=False),
                    attribute("b_transpose", boolean=True),
                )
            ),
        ),
        Reason.OPERAND_NOT_YET_PRODUCED,
        f"operations[{SPLIT + 1}].slots",
    ),
    _case(
        "two operations that read each other",
        lambda g: _op(g, ADD_C, operation("add", {"a": X, "b": 4}, SUM)),
        Reason.OPERAND_NOT_YET_PRODUCED,
        f"operations[{ADD_C}].slots",
    ),
    _case(
        "an operand made twice",
        lambda g: g.operations.append(g.operations[RELU]),
        Reason.OPERAND_PRODUCED_TWICE,
        f"operations[{SPLIT + 1}].outputs",
    ),
    _case(
        "an operand made twice by one operation",
        lambda g: g.operations[SPLIT].outputs.__setitem__(1, S0),
        Reason.OPERAND_PRODUCED_TWICE,
        f"operations[{SPLIT}].outputs",
    ),
    _case(
        "an operation that makes an input",
        lambda g: g.operations[RELU].outputs.__setitem__(0, X),
        Reason.OPERAND_PRODUCED_TWICE,
        f"operations[{RELU}].outputs",
    ),
    _case(
        "an operation that makes a constant",
        lambda g: g.operations[RELU].outputs.__setitem__(0, T),
        Reason.OPERAND_PRODUCED_TWICE,
        f"operations[{RELU}].outputs",
    ),
    _case(
        "an output that nothing makes",
        lambda g: g.operations.pop(CLAMP),
        Reason.OUTPUT_IS_NOT_PRODUCED,
        f"operands[{Z}]",
    ),
    _case(
        "an operand that nothing makes nor reads",
        lambda g: g.operands.append(operand(MADE, 2, 3)),
        Reason.OUTPUT_IS_NOT_PRODUCED,
        f"operands[{_END}]",
    ),
    _case(
        "an input that nothing reads",
        lambda g: (g.operands.append(operand(INPUT, 2, 3)), g.inputs.append(named("unused", _END))),
        Reason.UNUSED_INPUT,
        "inputs[1]",
    ),
    _case(
        "a constant that nothing reads",
        lambda g: (
            g.operands.append(operand(CONSTANT, 2, 3)),
            g.constants.append(graph_pb2.ConstantSource(operand=_END, region=g.constants[0].region)),
        ),
        Reason.UNUSED_CONSTANT,
        f"operands[{_END}]",
    ),
    _case(
        "an operand beyond the graph",
        lambda g: setattr(g.operations[RELU].slots[0], "one", _END),
        Reason.OPERAND_OUT_OF_RANGE,
        f"operations[{RELU}].slots[0].one",
    ),
    _case(
        "an operand beyond the graph in a list",
        lambda g: g.operations[CONCAT].slots[0].several.operands.append(2**32 - 1),
        Reason.OPERAND_OUT_OF_RANGE,
        f"operations[{CONCAT}].slots[0].several",
    ),
    _case(
        "an output beyond the graph",
        lambda g: g.operations[SPLIT].outputs.__setitem__(1, _END),
        Reason.OPERAND_OUT_OF_RANGE,
        f"operations[{SPLIT}].outputs",
    ),
]

_SLOTS = [
    _case(
        "an operator that there is not",
        lambda g: setattr(g.operations[RELU], "name", "exec"),
        Reason.UNKNOWN_OPERATOR,
        f"operations[{RELU}].name",
    ),
    _case(
        "an operator without a name",
        lambda g: g.operations[RELU].ClearField("name"),
        Reason.UNKNOWN_OPERATOR,
        f"operations[{RELU}].name",
    ),
    _case(
        "a slot that there is not",
        lambda g: g.operations[RELU].slots.append(slot("self", X)),
        Reason.UNKNOWN_SLOT,
        f"operations[{RELU}].slots[1].name",
    ),
    _case(
        "a slot twice",
        lambda g: g.operations[ADD_C].slots.append(slot("a", X)),
        Reason.DUPLICATE_SLOT,
        f"operations[{ADD_C}].slots[2].name",
    ),
    _case(
        "an operand missing",
        lambda g: g.operations[ADD_C].slots.pop(),
        Reason.MISSING_SLOT,
        f"operations[{ADD_C}].slots.b",
    ),
    _case(
        "a list missing",
        lambda g: g.operations[CONCAT].slots.pop(),
        Reason.MISSING_SLOT,
        f"operations[{CONCAT}].slots.inputs",
    ),
    _case(
        "a list where one operand belongs",
        lambda g: _op(g, RELU, operation("relu", {"input": [TOTAL]}, Y)),
        Reason.SLOT_FORM,
        f"operations[{RELU}].slots[0].several",
    ),
    _case(
        "one operand where a list belongs",
        lambda g: _op(g, CONCAT, operation("concat", {"inputs": X}, W, attribute("axis", uint=0))),
        Reason.SLOT_FORM,
        f"operations[{CONCAT}].slots[0].one",
    ),
    _case(
        "a slot without a value",
        lambda g: g.operations[RELU].slots[0].ClearField("one"),
        Reason.MISSING_FIELD,
        f"operations[{RELU}].slots[0].value",
    ),
]


_ATTRIBUTES = [
    _case(
        "an attribute that there is not",
        lambda g: g.operations[RELU].attributes.append(attribute("alpha", real=1.0)),
        Reason.UNKNOWN_ATTRIBUTE,
        f"operations[{RELU}].attributes[0].name",
    ),
    _case(
        "an attribute twice",
        lambda g: g.operations[CONCAT].attributes.append(attribute("axis", uint=0)),
        Reason.DUPLICATE_ATTRIBUTE,
        f"operations[{CONCAT}].attributes[1].name",
    ),
    _case(
        "an attribute missing",
        lambda g: g.operations[PAD].attributes.pop(),
        Reason.MISSING_ATTRIBUTE,
        f"operations[{PAD}].attributes.value",
    ),
    _case(
        "an attribute without a value",
        _attribute(CONCAT, 0, graph_pb2.Attribute(name="axis")),
        Reason.MISSING_FIELD,
        f"operations[{CONCAT}].attributes[0].value",
    ),
    _case(
        "an absent attribute that may not be",
        _attribute(CONCAT, 0, attribute("axis", absent=True)),
        Reason.ATTRIBUTE_FORM,
        f"operations[{CONCAT}].attributes[0].absent",
    ),
    *(
        _case(
            f"a value of another form: {name}",
            _attribute(operation, index, wrong),
            Reason.ATTRIBUTE_FORM,
            f"operations[{operation}].attributes[{index}].{wrong.WhichOneof('value')}",
        )
        for name, operation, index, wrong in [
            ("signed axis", CONCAT, 0, attribute("axis", int=0)),
            ("fractional axis", CONCAT, 0, attribute("axis", real=0.0)),
            ("one axis for many", REDUCE, 0, attribute("axes", uint=1)),
            ("truth as a number", REDUCE, 1, attribute("keep_dimensions", uint=0)),
            ("unsigned diagonal", TRIANGULAR, 1, attribute("diagonal", uint=1)),
            ("text as a data type", CAST, 0, attribute("data_type", text="int32")),
            ("number as a mode", PAD, 2, attribute("mode", uint=0)),
            ("lists of another kind", PAD, 0, attribute("beginning_padding", reals=[0, 0])),
            ("texts as a list", SPLIT, 0, attribute("splits", texts=["1"])),
            ("a signed number written as an unsigned one", PAD, 3, attribute("value", unsigned_number=2**63 - 1)),
        ]
    ),
    *(
        _case(
            f"a value that no conversion returns: {name}",
            _attribute(operation, index, wrong),
            Reason.ATTRIBUTE_VALUE,
            f"operations[{operation}].attributes[{index}].{wrong.WhichOneof('value')}",
        )
        for name, operation, index, wrong in [
            ("a mode that there is not", PAD, 2, attribute("mode", text="Constant")),
            ("an empty mode", PAD, 2, attribute("mode", text="")),
            ("a mode with a NUL", PAD, 2, attribute("mode", text="constant\0")),
            ("a cast to an extension", CAST, 0, attribute("data_type", data_type=common_pb2.DATA_TYPE_INT4)),
        ]
    ),
    _case(
        "a data type as an attribute that there is not",
        _attribute(CAST, 0, attribute("data_type", data_type=99)),
        Reason.UNKNOWN_ENUM_VALUE,
        f"operations[{CAST}].attributes[0].data_type.data_type",
    ),
    _case(
        "a bound that is no float32",
        _attribute(CLAMP, 0, attribute("min_value", real=0.1)),
        Reason.ATTRIBUTE_NOT_CAST,
        f"operations[{CLAMP}].attributes",
    ),
    _case(
        "a bound of another type",
        _attribute(CLAMP, 0, attribute("min_value", signed_number=0)),
        Reason.ATTRIBUTE_NOT_CAST,
        f"operations[{CLAMP}].attributes",
    ),
    _case(
        "a padding value beyond float32",
        _attribute(PAD, 3, attribute("value", real=1e300)),
        Reason.ATTRIBUTE_NOT_CAST,
        f"operations[{PAD}].attributes",
    ),
    _case(
        "an epsilon that is NaN",
        lambda g: g.MergeFrom(normalized(float("nan"))),
        Reason.ATTRIBUTE_VALUE,
        f"operations[{SPLIT + 1}].attributes[1].real",
    ),
    _case(
        "bounds of which one is NaN",
        _attribute(CLAMP, 0, attribute("min_value", real=float("nan"))),
        Reason.OPERATOR_RULE,
        f"operations[{CLAMP}]: clamp.bounds",
    ),
    _case(
        "bounds in the wrong order",
        _attribute(CLAMP, 0, attribute("min_value", real=1.5)),
        Reason.OPERATOR_RULE,
        f"operations[{CLAMP}]: clamp.bounds",
    ),
]


def normalized(epsilon: float) -> Graph:
    """What to merge into the graph for a batch normalization with this epsilon."""
    attributes = (attribute("axis", uint=0), attribute("epsilon", real=epsilon))
    return Graph(
        operands=[operand(MADE, 2, 3)],
        operations=[operation("batch_normalization", {"input": X, "mean": R, "variance": R}, _END, *attributes)],
    )


_INFERENCE = [
    _case(
        "one output too many",
        lambda g: (g.operands.append(operand(MADE, 2, 3)), g.operations[RELU].outputs.append(_END)),
        Reason.OUTPUT_COUNT,
        f"operations[{RELU}].outputs",
    ),
    _case(
        "no output",
        lambda g: g.operations[RELU].ClearField("outputs"),
        Reason.OUTPUT_COUNT,
        f"operations[{RELU}].outputs",
    ),
    _case(
        "one piece missing",
        lambda g: g.operations[SPLIT].outputs.pop(),
        Reason.OUTPUT_COUNT,
        f"operations[{SPLIT}].outputs",
    ),
    _case(
        "an output of another shape with as many elements",
        lambda g: _descriptor(g, W, 3, 4),
        Reason.OUTPUT_DESCRIPTOR,
        f"operations[{CONCAT}].outputs[0]",
    ),
    _case(
        "an output that is smaller than what is written to it",
        lambda g: _descriptor(g, W, 1),
        Reason.OUTPUT_DESCRIPTOR,
        f"operations[{CONCAT}].outputs[0]",
    ),
    _case(
        "an output of another type",
        lambda g: _descriptor(g, Y, 2, 3, data_type=common_pb2.DATA_TYPE_INT32),
        Reason.OUTPUT_DESCRIPTOR,
        f"operations[{RELU}].outputs[0]",
    ),
    _case(
        "a second output of another shape",
        lambda g: _descriptor(g, S0 + 1, 3),
        Reason.OUTPUT_DESCRIPTOR,
        f"operations[{SPLIT}].outputs[1]",
    ),
    _case(
        "an operand of a type that the operator does not take",
        lambda g: _descriptor(g, X, 2, 3, data_type=common_pb2.DATA_TYPE_UINT8),
        Reason.OPERATOR_RULE,
        f"operations[{ADD_C}]: add.b.data_type",
    ),
]

CASES = [*_MALFORMED, *_BOMBS, *_OPERANDS, *_NAMED, *_CONSTANTS, *_ORDER, *_SLOTS, *_ATTRIBUTES, *_INFERENCE]
