"""Parsing that keeps nothing it does not understand."""

from __future__ import annotations

from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from ipc.verdicts import BadMessage, BadMessageReason

MAX_ENTRIES = 65_536
"""Of a list in an operation. Far more than any rule of an operator allows, far less than a message has room for."""


class CodecError(BadMessage):
    """A message has a form that encoding never gives it."""


MessageType = TypeVar("MessageType", bound=Message)


def parse(message_type: type[MessageType], data: bytes) -> MessageType:
    """The message that `data` encode, canonically and without unknown fields, at any depth.

    Raises:
        CodecError: they do not.
    """
    name = message_type.DESCRIPTOR.name
    try:
        message = message_type.FromString(data)
    except DecodeError as error:
        raise CodecError(BadMessageReason.MALFORMED, name) from error
    size = message.ByteSize()
    message.DiscardUnknownFields()
    kept = message.ByteSize()
    if kept != size:
        raise CodecError(BadMessageReason.UNKNOWN_FIELD, name)
    if kept != len(data):
        raise CodecError(BadMessageReason.NOT_CANONICAL, name)
    return message
