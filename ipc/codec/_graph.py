"""Graphs on the wire, generic over the operators: their declarations say what a message must look like.

Linear in the size of the message, and without recursion.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ipc.codec._attributes import attribute_plans, decode_attribute, encode_attribute
from ipc.codec._common import decode_descriptor, decode_token, fill_descriptor
from ipc.codec._strict import MAX_ENTRIES, CodecError
from ipc.descriptors import MAX_TENSOR_BYTES, Descriptor
from ipc.generated.webnn.v1 import graph_pb2
from ipc.graph import ConstantSource, Graph, OperandId, Operation, SlotOperands
from ipc.operators import REGISTRY, Operator
from ipc.verdicts import BadMessageReason as Reason


def encode_graph(graph: Graph) -> graph_pb2.Graph:
    """The message of a graph; its attributes must be canonical and its ids valid."""
    message = graph_pb2.Graph()
    inputs = {operand for _, operand in graph.inputs}
    for operand, descriptor in enumerate(graph.operands):
        kind = graph_pb2.OPERAND_KIND_INTERMEDIATE
        if operand in inputs:
            kind = graph_pb2.OPERAND_KIND_INPUT
        elif operand in graph.constants:
            kind = graph_pb2.OPERAND_KIND_CONSTANT
        added = message.operands.add()
        added.kind = kind
        fill_descriptor(added.descriptor, descriptor)
    for name, operand in graph.inputs:
        message.inputs.add(name=name, operand=operand)
    for name, operand in graph.outputs:
        message.outputs.add(name=name, operand=operand)
    for operand, source in graph.constants.items():
        if source.is_tensor:
            message.constants.add(operand=operand, tensor=source.token)
        else:
            part = graph_pb2.RegionPart(region=source.token, offset=source.offset)
            message.constants.add(operand=operand, region=part)
    for operation in graph.operations:
        _encode_operation(message.operations.add(), operation)
    return message


def _encode_operation(target: graph_pb2.Operation, operation: Operation) -> None:
    target.name = operation.operator.name
    target.label = operation.label
    target.outputs.extend(operation.outputs)
    for name, value in operation.operands.items():
        if value is None:
            continue
        slot = target.slots.add(name=name)
        if isinstance(value, tuple):
            slot.several.SetInParent()
            slot.several.operands.extend(value)
        else:
            slot.one = value
    for attribute in operation.operator.attributes.values():
        encode_attribute(target.attributes.add(), attribute, operation.attributes[attribute.name])


def decode_graph(message: graph_pb2.Graph, max_byte_length: int = MAX_TENSOR_BYTES) -> Graph:
    """The graph of a message that `parse` has read: every id within range, every slot and attribute as declared.

    What it means (order, use, rules of the operators) is not looked at here.

    Raises:
        CodecError: with the reason and the path of the first offending field.
    """
    kinds, operands = _decode_operands(message, max_byte_length)
    inputs = [
        (item.name, _of_kind(item.operand, kinds, graph_pb2.OPERAND_KIND_INPUT, f"inputs[{index}]"))
        for index, item in enumerate(message.inputs)
    ]
    outputs = [
        (item.name, _of_kind(item.operand, kinds, graph_pb2.OPERAND_KIND_INTERMEDIATE, f"outputs[{index}]"))
        for index, item in enumerate(message.outputs)
    ]
    constants = _decode_constants(message, kinds)
    _every_one_is_named({operand for _, operand in inputs}, len(inputs), kinds, graph_pb2.OPERAND_KIND_INPUT, "inputs")
    _every_one_is_named(constants.keys(), len(message.constants), kinds, graph_pb2.OPERAND_KIND_CONSTANT, "constants")
    count = len(operands)
    operations = [_decode_operation(item, index, count) for index, item in enumerate(message.operations)]
    return Graph(operands, inputs, constants, operations, outputs)


def _decode_operands(message: graph_pb2.Graph, max_byte_length: int) -> tuple[list[int], list[Descriptor]]:
    kinds: list[int] = []
    operands: list[Descriptor] = []
    for index, item in enumerate(message.operands):
        kind = item.kind
        if kind not in _KINDS:
            raise CodecError(Reason.UNKNOWN_ENUM_VALUE, f"operands[{index}].kind")
        if not item.HasField("descriptor"):
            raise CodecError(Reason.MISSING_FIELD, f"operands[{index}].descriptor")
        kinds.append(kind)
        try:
            operands.append(decode_descriptor(item.descriptor, "descriptor", max_byte_length))
        except CodecError as error:
            raise CodecError(error.reason, f"operands[{index}].{error.field}") from error
    return kinds, operands


_KINDS = frozenset(graph_pb2.OperandKind.values()) - {graph_pb2.OPERAND_KIND_UNSPECIFIED}


def _of_kind(operand: int, kinds: list[int], kind: int, field: str) -> OperandId:
    if operand >= len(kinds):
        raise CodecError(Reason.OPERAND_OUT_OF_RANGE, f"{field}.operand")
    if kinds[operand] != kind:
        raise CodecError(Reason.OPERAND_KIND, f"{field}.operand")
    return operand


def _every_one_is_named(named: Any, entries: int, kinds: list[int], kind: int, field: str) -> None:
    """That each operand of `kind` has exactly one entry."""
    if len(named) != entries:
        raise CodecError(Reason.DUPLICATE_OPERAND, field)
    if entries != kinds.count(kind):
        raise CodecError(Reason.OPERAND_KIND, field)


def _decode_constants(message: graph_pb2.Graph, kinds: list[int]) -> dict[OperandId, ConstantSource]:
    constants: dict[OperandId, ConstantSource] = {}
    for index, item in enumerate(message.constants):
        field = f"constants[{index}]"
        operand = _of_kind(item.operand, kinds, graph_pb2.OPERAND_KIND_CONSTANT, field)
        source = item.WhichOneof("source")
        if source == "region":
            token = decode_token(item.region.region, f"{field}.region.region")
            constants[operand] = ConstantSource(token, item.region.offset)
        elif source == "tensor":
            constants[operand] = ConstantSource(decode_token(item.tensor, f"{field}.tensor"), is_tensor=True)
        else:
            raise CodecError(Reason.MISSING_FIELD, f"{field}.source")
    return constants


def _decode_operation(message: graph_pb2.Operation, index: int, count: int) -> Operation:
    operator = REGISTRY.get(message.name)
    if operator is None:
        raise CodecError(Reason.UNKNOWN_OPERATOR, f"operations[{index}].name")
    if len(message.outputs) > count:
        raise CodecError(Reason.OPERAND_PRODUCED_TWICE, f"operations[{index}].outputs")
    outputs = tuple(message.outputs)
    if outputs and max(outputs) >= count:
        raise CodecError(Reason.OPERAND_OUT_OF_RANGE, f"operations[{index}].outputs")
    return Operation(
        operator,
        _decode_slots(message, operator, index, count),
        _decode_attributes(message, operator, index),
        outputs,
        message.label,
    )


def _decode_slots(
    message: graph_pb2.Operation, operator: Operator, index: int, count: int
) -> Mapping[str, SlotOperands]:
    declared = operator.slots
    given: dict[str, SlotOperands] = dict.fromkeys(declared)
    for position, item in enumerate(message.slots):
        name = item.name
        slot = declared.get(name)
        if slot is None:
            raise CodecError(Reason.UNKNOWN_SLOT, f"operations[{index}].slots[{position}].name")
        if given[name] is not None:
            raise CodecError(Reason.DUPLICATE_SLOT, f"operations[{index}].slots[{position}].name")
        form = item.WhichOneof("value")
        if form is None:
            raise CodecError(Reason.MISSING_FIELD, f"operations[{index}].slots[{position}].value")
        if (form == "several") != (slot.presence == "variadic"):
            raise CodecError(Reason.SLOT_FORM, f"operations[{index}].slots[{position}].{form}")
        if form == "several":
            if len(item.several.operands) > MAX_ENTRIES:
                raise CodecError(Reason.SLOT_FORM, f"operations[{index}].slots[{position}].{form}")
            several = tuple(item.several.operands)
            highest = max(several, default=-1)
            given[name] = several
        else:
            given[name] = highest = item.one
        if highest >= count:
            raise CodecError(Reason.OPERAND_OUT_OF_RANGE, f"operations[{index}].slots[{position}].{form}")
    for name, slot in declared.items():
        if given[name] is None and slot.presence != "optional":
            raise CodecError(Reason.MISSING_SLOT, f"operations[{index}].slots.{name}")
    return given


def _decode_attributes(message: graph_pb2.Operation, operator: Operator, index: int) -> Mapping[str, Any]:
    plans = attribute_plans(operator)
    given: dict[str, Any] = {}
    for position, item in enumerate(message.attributes):
        name = item.name
        plan = plans.get(name)
        if plan is None:
            raise CodecError(Reason.UNKNOWN_ATTRIBUTE, f"operations[{index}].attributes[{position}].name")
        if name in given:
            raise CodecError(Reason.DUPLICATE_ATTRIBUTE, f"operations[{index}].attributes[{position}].name")
        try:
            given[name] = decode_attribute(item, plan)
        except CodecError as error:
            path = f"operations[{index}].attributes[{position}].{error.field}"
            raise CodecError(error.reason, path) from error
    if len(given) != len(plans):
        missing = next(name for name in plans if name not in given)
        raise CodecError(Reason.MISSING_ATTRIBUTE, f"operations[{index}].attributes.{missing}")
    return given
