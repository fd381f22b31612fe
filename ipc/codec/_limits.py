"""Support limits on the wire; decoded by the renderer, which has its own reasons to trust nothing blindly."""

from __future__ import annotations

from ipc.codec._common import decode_data_type, encode_data_type
from ipc.codec._strict import CodecError
from ipc.descriptors import MAX_RANK, in_order
from ipc.generated.webnn.v1 import limits_pb2
from ipc.limits import SupportLimits, TensorLimits
from ipc.verdicts import BadMessageReason

_LAYOUTS = ("nchw", "nhwc")


def encode_limits(limits: SupportLimits) -> limits_pb2.SupportLimits:
    message = limits_pb2.SupportLimits(
        preferred_input_layout=limits.preferred_input_layout,
        max_tensor_byte_length=limits.max_tensor_byte_length,
        input=_encode(limits.input),
        constant=_encode(limits.constant),
        output=_encode(limits.output),
    )
    for operator, members in limits.operators.items():
        entry = message.operators.add(operator=operator)
        for name, tensor in members.items():
            entry.members.add(name=name, limits=_encode(tensor))
    return message


def decode_limits(message: limits_pb2.SupportLimits) -> SupportLimits:
    """The limits of a message.

    Raises:
        CodecError: an unknown layout, type or rank range, or a name twice.
    """
    if message.preferred_input_layout not in _LAYOUTS:
        raise CodecError(BadMessageReason.UNKNOWN_ENUM_VALUE, "preferred_input_layout")
    operators = {entry.operator: _decode_members(entry) for entry in message.operators}
    if len(operators) != len(message.operators):
        raise CodecError(BadMessageReason.DUPLICATE_NAME, "operators")
    return SupportLimits(
        operators,
        message.preferred_input_layout,
        message.max_tensor_byte_length,
        input=_decode(message.input, "input"),
        constant=_decode(message.constant, "constant"),
        output=_decode(message.output, "output"),
    )


def _decode_members(entry: limits_pb2.OperatorLimits) -> dict[str, TensorLimits]:
    members = {member.name: _decode(member.limits, f"{entry.operator}.{member.name}") for member in entry.members}
    if len(members) != len(entry.members):
        raise CodecError(BadMessageReason.DUPLICATE_NAME, f"{entry.operator}.members")
    return members


def _encode(limits: TensorLimits) -> limits_pb2.TensorLimits:
    return limits_pb2.TensorLimits(
        data_types=[encode_data_type(data_type) for data_type in in_order(limits.data_types)],
        min_rank=limits.min_rank,
        max_rank=limits.max_rank,
    )


def _decode(message: limits_pb2.TensorLimits, field: str) -> TensorLimits:
    if not message.min_rank <= message.max_rank <= MAX_RANK:
        raise CodecError(BadMessageReason.INVALID_DESCRIPTOR, f"{field}.max_rank")
    data_types = frozenset(decode_data_type(number, field) for number in message.data_types)
    return TensorLimits(data_types, message.min_rank, message.max_rank)
