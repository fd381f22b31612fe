"""The 64 bytes of a command: what goes in comes out, and nothing else is taken."""

from __future__ import annotations

import struct

import pytest

from ipc.timeline.ring import commands
from ipc.timeline.ring.commands import NO_TOKEN, Kind
from ipc.timeline.ring.layout import COMMAND_BYTES
from ipc.verdicts import BadMessage, BadMessageReason

TOKEN = bytes(range(16))
GOOD = [
    (Kind.WRITE, 1, TOKEN),
    (Kind.MOVE, 1, TOKEN),
    (Kind.DISPATCH, 1024, NO_TOKEN),
    (Kind.READ, 0, TOKEN),
    (Kind.DESTROY_TENSOR, 0, TOKEN),
    (Kind.DESTROY_GRAPH, 0, TOKEN),
]


@pytest.mark.parametrize("command", GOOD, ids=lambda command: command[0].name)
def test_a_command_comes_out_as_it_went_in(command: tuple[Kind, int, bytes]) -> None:
    memory = memoryview(bytearray(3 * COMMAND_BYTES))
    commands.write(memory, COMMAND_BYTES, 7, *command)
    assert commands.take(memory, COMMAND_BYTES, 7) == command
    assert not any(memory[:COMMAND_BYTES])
    assert not any(memory[2 * COMMAND_BYTES :])


@pytest.mark.parametrize("sequence", [0, 6, 8, 2**64 - 1])
def test_a_command_with_another_number_is_refused(sequence: int) -> None:
    memory = memoryview(bytearray(COMMAND_BYTES))
    commands.write(memory, 0, sequence, *GOOD[0])
    with pytest.raises(BadMessage) as raised:
        commands.take(memory, 0, 7)
    assert raised.value.reason is BadMessageReason.SEQUENCE


@pytest.mark.parametrize(
    ("kind", "number", "token", "rest"),
    [
        (0, 0, TOKEN, b""),
        (7, 0, TOKEN, b""),
        (2**32 - 1, 0, TOKEN, b""),
        (Kind.READ, 0, TOKEN, b"x"),
        (Kind.READ, 1, TOKEN, b""),
        (Kind.READ, 0, NO_TOKEN, b""),
        (Kind.DISPATCH, 1, TOKEN, b""),
        (Kind.WRITE, 0, NO_TOKEN, b""),
        (Kind.DESTROY_GRAPH, 1, TOKEN, b""),
    ],
)
def test_a_command_of_another_form_is_refused(kind: int, number: int, token: bytes, rest: bytes) -> None:
    memory = struct.pack("=QII16s32s", 7, kind, number, token, rest)
    with pytest.raises(BadMessage) as raised:
        commands.take(memoryview(memory), 0, 7)
    assert raised.value.reason is BadMessageReason.RING_COMMAND
