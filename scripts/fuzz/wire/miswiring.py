"""Graphs whose parts are each right and do not belong together, with the reason that must be named."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from ipc.codec import encode_descriptor
from ipc.descriptors import DataType, Descriptor
from ipc.generated.webnn.v1 import common_pb2, graph_pb2
from ipc.operators import REGISTRY
from ipc.verdicts import BadMessageReason as Reason

_LEAF = Descriptor(DataType.FLOAT32, (2, 3))


def miswired(message: graph_pb2.Graph, random: Random, tokens: tuple[bytes, bytes, bytes]) -> tuple[bytes, str]:
    """The bytes of a valid graph with one thing wrong about its wiring, and the reason.

    Args:
        tokens: of a region, of a tensor that is not constant, and of a constant tensor like no other operand.
    """
    while True:
        changed = graph_pb2.Graph()
        changed.CopyFrom(message)
        reason = random.choice(_CHANGES)(changed, random, tokens)
        if reason is not None:
            return changed.SerializeToString(), reason.value


_Tokens = tuple[bytes, bytes, bytes]


def _same_names(message: graph_pb2.Graph, random: Random, _: _Tokens) -> Reason | None:
    lists = [named for named in (message.inputs, message.outputs) if len(named) > 1]
    if not lists:
        return None
    named = random.choice(lists)
    named[-1].name = named[0].name
    return Reason.DUPLICATE_NAME


def _unused_input(message: graph_pb2.Graph, _: Random, __: _Tokens) -> Reason:
    message.inputs.add(name="nobody reads it", operand=_leaf(message, graph_pb2.OPERAND_KIND_INPUT))
    return Reason.UNUSED_INPUT


def _unused_constant(message: graph_pb2.Graph, _: Random, tokens: _Tokens) -> Reason:
    source = message.constants.add(operand=_leaf(message, graph_pb2.OPERAND_KIND_CONSTANT))
    source.region.region = tokens[0]
    return Reason.UNUSED_CONSTANT


def _leaf(message: graph_pb2.Graph, kind: graph_pb2.OperandKind) -> int:
    message.operands.add(kind=kind, descriptor=encode_descriptor(_LEAF))
    return len(message.operands) - 1


def _tensor_as_constant(message: graph_pb2.Graph, _: Random, tokens: _Tokens) -> Reason:
    source = message.constants.add(operand=_leaf(message, graph_pb2.OPERAND_KIND_CONSTANT))
    source.tensor = tokens[1]
    return Reason.NOT_A_CONSTANT_TENSOR


def _other_constant(message: graph_pb2.Graph, _: Random, tokens: _Tokens) -> Reason:
    operand = _leaf(message, graph_pb2.OPERAND_KIND_CONSTANT)
    message.operands[operand].descriptor.shape.append(1)
    message.constants.add(operand=operand).tensor = tokens[2]
    return Reason.CONSTANT_DESCRIPTOR


def _slot_twice(message: graph_pb2.Graph, random: Random, _: _Tokens) -> Reason | None:
    operation = random.choice(message.operations)
    if len(operation.slots) == len(REGISTRY[operation.name].slots):
        return None  # one more than any operator has is counted before it is decoded
    operation.slots.append(random.choice(operation.slots))
    return Reason.DUPLICATE_SLOT


def _attribute_twice(message: graph_pb2.Graph, random: Random, _: _Tokens) -> Reason | None:
    operation = random.choice(message.operations)
    if not operation.attributes:
        return None
    operation.attributes.append(random.choice(operation.attributes))
    return Reason.DUPLICATE_ATTRIBUTE


def _no_such_choice(message: graph_pb2.Graph, random: Random, _: _Tokens) -> Reason | None:
    texts = [each for operation in message.operations for each in operation.attributes if each.HasField("text")]
    if not texts:
        return None
    random.choice(texts).text = "none of them"
    return Reason.ATTRIBUTE_VALUE


def _no_outputs(message: graph_pb2.Graph, _: Random, __: _Tokens) -> Reason:
    del message.outputs[:]
    return Reason.NO_OUTPUTS


def _no_operands(message: graph_pb2.Graph, _: Random, __: _Tokens) -> Reason:
    """An operation needs none where all that it reads is an empty list."""
    operator = next(
        each for each in REGISTRY.values() if all(slot.presence == "variadic" for slot in each.slots.values())
    )
    message.Clear()
    operation = message.operations.add(name=operator.name)
    for name in operator.slots:
        operation.slots.add(name=name).several.SetInParent()
    for name in operator.attributes:
        operation.attributes.add(name=name, uint=0)
    return Reason.NO_OPERANDS


def _own_output(message: graph_pb2.Graph, random: Random, _: _Tokens) -> Reason | None:
    operation = random.choice(message.operations)
    slots = [slot for slot in operation.slots if slot.HasField("one")]
    if not slots or not operation.outputs:
        return None
    random.choice(slots).one = operation.outputs[0]
    return Reason.OPERAND_NOT_YET_PRODUCED


def _operation_twice(message: graph_pb2.Graph, random: Random, _: _Tokens) -> Reason:
    message.operations.append(random.choice(message.operations))
    return Reason.OPERAND_PRODUCED_TWICE


def _attribute_less(message: graph_pb2.Graph, random: Random, _: _Tokens) -> Reason | None:
    operation = random.choice(message.operations)
    if not operation.attributes:
        return None
    del operation.attributes[random.randrange(len(operation.attributes))]
    return Reason.MISSING_ATTRIBUTE


def _operation_less(message: graph_pb2.Graph, _: Random, __: _Tokens) -> Reason | None:
    if len(message.operations) == 1:
        return None
    del message.operations[-1]
    return Reason.OUTPUT_IS_NOT_PRODUCED


_CHANGES: tuple[Callable[[graph_pb2.Graph, Random, _Tokens], Reason | None], ...] = (
    *(_same_names, _unused_input, _unused_constant, _tensor_as_constant, _other_constant, _slot_twice),
    *(_attribute_twice, _no_such_choice, _no_outputs, _no_operands, _own_output, _operation_twice),
    *(_attribute_less, _operation_less),
)


def unsupported(message: graph_pb2.Graph, random: Random) -> tuple[bytes, str]:
    """The bytes of a graph with an input, a constant or an output of a type that a context must be asked to allow."""
    changed = graph_pb2.Graph()
    changed.CopyFrom(message)
    leaves = [
        *((item.operand, Reason.UNSUPPORTED_INPUT) for item in changed.inputs),
        *((item.operand, Reason.UNSUPPORTED_OUTPUT) for item in changed.outputs),
        *((item.operand, Reason.UNSUPPORTED_CONSTANT) for item in changed.constants),
    ]
    operand, reason = random.choice(leaves)
    changed.operands[operand].descriptor.data_type = common_pb2.DATA_TYPE_INT4
    return changed.SerializeToString(), reason.value
