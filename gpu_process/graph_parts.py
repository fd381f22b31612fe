"""Counts the parts of a serialised graph before it is parsed.

A part of two bytes becomes an object of fifty, and parsing holds up everybody else: the largest message that may come
would take gigabytes and seconds, to be refused in the end.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from gpu_process import quotas
from gpu_process.quotas import Quotas
from ipc.codec import CodecError
from ipc.generated.webnn.v1 import graph_pb2
from ipc.operators import REGISTRY
from ipc.verdicts import BadMessageReason as Reason

_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5  # wire types of protobuf; groups are not used
_SKIP: Final = {_EIGHT_BYTES: 8, _FOUR_BYTES: 4}
_OPERATIONS: Final = graph_pb2.Graph.OPERATIONS_FIELD_NUMBER
_FIELDS: Final = frozenset(graph_pb2.Graph.DESCRIPTOR.fields_by_number)
_OTHER_PARTS: Final = 3  # of an operation: its name, its outputs, its label


def check_parts(data: bytes, limits: Quotas) -> None:
    """Refuse a serialised graph that has more parts than it may have.

    Raises:
        QuotaExceededError: more operations or operands than the quota, or more of what there is one per operand.
        CodecError: no operator has so many slots and attributes, or it is no graph, as far as that is seen here.
    """
    most_parts = _OTHER_PARTS + max(len(operator.slots) + len(operator.attributes) for operator in REGISTRY.values())
    counts = dict.fromkeys(_FIELDS, 0)
    for number, wire_type, start, end in _parts(data, 0, len(data)):
        if number not in _FIELDS or wire_type != _BYTES:
            raise CodecError(Reason.UNKNOWN_FIELD, "Graph")
        counts[number] += 1
        if number != _OPERATIONS:
            if counts[number] > limits.operands:
                raise quotas.exceeded("operands", counts[number], limits.operands)
            continue
        if counts[number] > limits.operations:
            raise quotas.exceeded("operations", counts[number], limits.operations)
        for count, _ in enumerate(_parts(data, start, end), 1):
            if count > most_parts:
                raise CodecError(Reason.OPERATION_PARTS, f"operations[{counts[number] - 1}]")


def _parts(data: bytes, position: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Number, wire type, start and end of each field of a message."""
    while position < end:
        tag, position = _varint(data, position, end)
        wire_type = tag & 7
        if wire_type == _BYTES:
            length, position = _varint(data, position, end)
        elif wire_type == _VARINT:
            length = _varint(data, position, end)[1] - position
        elif wire_type in _SKIP:
            length = _SKIP[wire_type]
        else:
            raise CodecError(Reason.MALFORMED, "Graph")
        if position + length > end:
            raise CodecError(Reason.MALFORMED, "Graph")
        yield tag >> 3, wire_type, position, position + length
        position += length


def _varint(data: bytes, position: int, end: int) -> tuple[int, int]:
    """A number and where it ends."""
    if position < end and data[position] < 0x80:  # nearly always
        return data[position], position + 1
    value = shift = 0
    for at in range(position, min(end, position + 10)):
        value |= (data[at] & 0x7F) << shift
        shift += 7
        if data[at] < 0x80:
            if not data[at]:
                raise CodecError(Reason.NOT_CANONICAL, "Graph")
            return value, at + 1
    raise CodecError(Reason.MALFORMED, "Graph")
