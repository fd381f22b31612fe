"""Changes of messages, told by their descriptors alone, and of bytes."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from ipc.channel import TOKEN_BYTES
from ipc.verdicts import BadMessageReason

_INTEGERS = (0, 1, 2, 7, 8, 255, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1)
_REALS = (0.0, -0.0, 1.0, float("nan"), float("inf"), float("-inf"), 1e308, 5e-324, -1.0)
_TEXTS = ("", "x", "input", "\x00", "\u202e", "a" * 1025, "a" * 100_000, "../../x", "%n%s", "\U0001f600" * 300)
_BITS = {
    FieldDescriptor.TYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.TYPE_UINT64: (0, 2**64 - 1),
    FieldDescriptor.TYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_SINT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_SINT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_ENUM: (-(2**31), 2**31 - 1),
}
_LONG = 1000  # entries of a list that is made long
_UNKNOWN_GROUP = b"\x9b\x06\x9c\x06"
_UNKNOWN_FIELDS = (b"\xf8\xff\x03\x01", b"\xa2\x06\x03abc", b"\xbd\x3e\x00\x00\x00\x00", _UNKNOWN_GROUP)


def mutated(message: Message, random: Random) -> tuple[bytes, str]:
    """The bytes of a message with one thing in it changed, and the reason that must be named where that is known."""
    changed = type(message)()
    changed.CopyFrom(message)
    if random.random() < 0.08:
        part, unknown = random.choice(_parts(changed)), random.choice(_UNKNOWN_FIELDS)
        part.MergeFromString(unknown)
        # Whoever counts the parts of a graph before it is parsed stops at a group.
        return changed.SerializeToString(), "" if unknown == _UNKNOWN_GROUP else BadMessageReason.UNKNOWN_FIELD.value
    if random.random() < 0.1:
        return _twice(changed, random), ""
    places = _places(changed)
    if not places:
        return garbled(changed.SerializeToString(), random), ""
    part, field = random.choice(places)
    if field.is_repeated:
        _change_list(getattr(part, field.name), field, random)
    elif field.type == FieldDescriptor.TYPE_MESSAGE:
        _change_part(part, field, random)
    elif random.random() < 0.15:
        part.ClearField(field.name)
    else:
        value = getattr(part, field.name)
        other = _other(value, field, random)
        setattr(part, field.name, other)
        return changed.SerializeToString(), _reason(value, other)
    return changed.SerializeToString(), ""


def _reason(value: Any, other: Any) -> str:
    """What must be said of another value, where that follows from its form alone: a token has its length."""
    was_token = isinstance(value, bytes) and len(value) == TOKEN_BYTES
    return BadMessageReason.INVALID_TOKEN.value if was_token and len(other) != TOKEN_BYTES else ""


def garbled(data: bytes, random: Random) -> bytes:
    """Bytes with some of them changed."""
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 5))):
        at = random.randrange(len(changed) + 1)
        match random.randrange(7):
            case 0 if at < len(changed):
                changed[at] ^= 1 << random.randrange(8)
            case 1 if at < len(changed):
                changed[at] = random.choice((0, 0x7F, 0x80, 0xFF))
            case 2:
                changed[at:at] = random.randbytes(random.choice((1, 2, 8, 100)))
            case 3:
                del changed[at : at + random.choice((1, 2, 8, 100))]
            case 4:
                del changed[at:]
            case 5:
                changed[at:at] = changed[:at]
            case _:
                changed += random.choice(_UNKNOWN_FIELDS)
    return bytes(changed)


def _twice(message: Message, random: Random) -> bytes:
    """A message encoded as no encoder does: a field twice, an explicit default, a padded number."""
    data = message.SerializeToString()
    part = random.randrange(len(data) + 1)
    return random.choice((data + data, data + data[part:], data + b"\x08\x00", data + b"\x12\x00"))


def _parts(message: Message) -> list[Message]:
    """The message and all messages in it; a loop, since they may be many."""
    found, pending = [], [message]
    while pending:
        part = pending.pop()
        found.append(part)
        for field, value in part.ListFields():
            if field.type == FieldDescriptor.TYPE_MESSAGE:
                pending.extend(value if field.is_repeated else [value])
    return found


def _places(message: Message) -> list[tuple[Message, Any]]:
    return [(part, field) for part in _parts(message) for field in part.DESCRIPTOR.fields]


def _change_list(values: Any, field: FieldDescriptor, random: Random) -> None:
    at = random.randrange(len(values)) if len(values) else 0
    is_message = field.type == FieldDescriptor.TYPE_MESSAGE
    match random.randrange(6):
        case 0 if len(values):
            del values[at]
        case 1 if len(values):
            _append(values, values[at], is_message)
        case 2 if len(values) > 1:
            entries = [_copy(value) for value in values]
            random.shuffle(entries)
            del values[:]
            values.extend(entries)
        case 3 if len(values):
            for _ in range(_LONG):
                _append(values, values[at], is_message)
        case 4:
            del values[:]
        case _ if is_message:
            values.add()
        case _:
            values.append(_other(values[at] if len(values) else _default(field), field, random))


def _append(values: Any, value: Any, is_message: bool) -> None:
    if is_message:
        values.add().CopyFrom(value)
    else:
        values.append(value)


def _copy(value: Any) -> Any:
    if not isinstance(value, Message):
        return value
    copy = type(value)()
    copy.CopyFrom(value)
    return copy


def _change_part(message: Message, field: FieldDescriptor, random: Random) -> None:
    """Take a part away, or put an empty one where there was another or none."""
    had = message.HasField(field.name)
    message.ClearField(field.name)
    if not had or random.random() < 0.4:
        getattr(message, field.name).SetInParent()


def _default(field: FieldDescriptor) -> Any:
    return {FieldDescriptor.TYPE_STRING: "", FieldDescriptor.TYPE_BYTES: b"", FieldDescriptor.TYPE_DOUBLE: 0.0}.get(
        field.type, 0
    )


def _other(value: Any, field: FieldDescriptor, random: Random) -> Any:
    """Another value of a field; out of range only as far as the type can say it."""
    change: Callable[[Any, FieldDescriptor, Random], Any] = _CHANGES.get(field.type, _other_integer)
    return change(value, field, random)


def _other_integer(value: int, field: FieldDescriptor, random: Random) -> int:
    low, high = _BITS[field.type]
    candidate = random.choice((*_INTEGERS, value + 1, value - 1, -value, value * 2, 99))
    return min(max(candidate, low), high)


def _other_bytes(value: bytes, _: FieldDescriptor, random: Random) -> bytes:
    return random.choice((b"", value[:-1], value + b"\x00", random.randbytes(16), random.randbytes(32), bytes(16)))


def _other_text(value: str, _: FieldDescriptor, random: Random) -> str:
    return random.choice((*_TEXTS, value + "x", value[:-1], value.upper()))


def _other_real(_value: float, _: FieldDescriptor, random: Random) -> float:
    return random.choice(_REALS)


def _other_truth(value: bool, _: FieldDescriptor, _random: Random) -> bool:
    return not value


_CHANGES: dict[int, Callable[[Any, FieldDescriptor, Random], Any]] = {
    FieldDescriptor.TYPE_BYTES: _other_bytes,
    FieldDescriptor.TYPE_STRING: _other_text,
    FieldDescriptor.TYPE_DOUBLE: _other_real,
    FieldDescriptor.TYPE_BOOL: _other_truth,
}
