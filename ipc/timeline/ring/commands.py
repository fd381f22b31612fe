"""The commands of a ring: 64 bytes each.

| offset | bytes | field |
| --- | --- | --- |
| 0 | 8 | sequence number |
| 8 | 4 | kind |
| 12 | 4 | number: the binding of a dispatch; the slot of a write or a move; else 0 |
| 16 | 16 | token of the tensor or graph; zero for a dispatch |
| 32 | 32 | zero |
"""

from __future__ import annotations

import enum
import struct
from typing import Final

from ipc.timeline.ring.layout import COMMAND_BYTES
from ipc.verdicts import BadMessage, BadMessageReason

_COMMAND: Final = struct.Struct("=QII16s32s")
_ZEROS: Final = bytes(32)
NO_TOKEN: Final = bytes(16)

assert _COMMAND.size == COMMAND_BYTES


class Kind(enum.IntEnum):
    """What a command does."""

    WRITE = 1
    """A tensor's content is in slot `number` from here on."""

    MOVE = 2
    """The same, with nothing in it: a dispatch that follows makes the content."""

    DISPATCH = 3
    READ = 4
    DESTROY_TENSOR = 5
    DESTROY_GRAPH = 6


WRITE, MOVE, DISPATCH, READ, DESTROY_TENSOR, DESTROY_GRAPH = (int(kind) for kind in Kind)

Command = tuple[int, int, bytes]
"""Kind, number, token."""

encode_into = _COMMAND.pack_into


def write(memory: memoryview, offset: int, sequence: int, kind: int, number: int, token: bytes) -> None:
    """Put a command into its place."""
    encode_into(memory, offset, sequence, kind, number, token, _ZEROS)


def take(memory: memoryview, offset: int, sequence: int) -> Command:
    """Copy a command out of memory that the other side may be changing, and check its form.

    Args:
        sequence: the number that it must have.

    Raises:
        BadMessage: no correct renderer writes it.
    """
    # Every byte is read once; what is checked and obeyed is the copy.
    found, kind, number, token, rest = _COMMAND.unpack_from(memory, offset)
    if found != sequence:
        raise BadMessage(BadMessageReason.SEQUENCE, "ring.command.sequence")
    if not WRITE <= kind <= DESTROY_GRAPH:
        raise BadMessage(BadMessageReason.RING_COMMAND, "ring.command.kind")
    if rest != _ZEROS or (token == NO_TOKEN) is not (kind == DISPATCH) or (number and kind > DISPATCH):
        raise BadMessage(BadMessageReason.RING_COMMAND, "ring.command")
    return kind, number, token
