"""Large fields of bytes are not copied into messages, nor out of them; what travels is what Protocol Buffers write."""

from __future__ import annotations

import random

import pytest

from ipc.generated.webnn.v1 import timeline_pb2
from ipc.timeline.wire import LARGE, READ, WRITTEN, WireError, carved, wrapped

TOKEN = bytes(range(16))
SIZES = [1, 127, 128, LARGE - 1, LARGE, (1 << 21) + 3]


def _content(size: int) -> bytes:
    return random.Random(size).randbytes(size)


def _written(*contents: bytes) -> timeline_pb2.CommandBatch:
    batch = timeline_pb2.CommandBatch()
    for number, content in enumerate(contents, 1):
        command = batch.commands.add(sequence=number)
        command.write.tensor = TOKEN
        command.write.data = content
    return batch


@pytest.mark.parametrize("size", SIZES)
def test_what_is_wrapped_is_the_message_with_its_bytes(size: int) -> None:
    content = _content(size)
    write = timeline_pb2.WriteTensor(tensor=TOKEN, offset=8).SerializeToString()
    pieces = wrapped(WRITTEN, memoryview(content), timeline_pb2.Command(sequence=300).SerializeToString(), write)
    (command,) = timeline_pb2.CommandBatch.FromString(b"".join(pieces)).commands
    assert command == timeline_pb2.Command(
        sequence=300, write=timeline_pb2.WriteTensor(tensor=TOKEN, offset=8, data=content)
    )


def test_what_is_wrapped_is_not_copied() -> None:
    content = memoryview(bytearray(LARGE))
    assert content in [piece for piece in wrapped(READ, content, b"", b"") if isinstance(piece, memoryview)]


@pytest.mark.parametrize("size", SIZES)
def test_large_bytes_come_out_as_they_went_in_and_leave_an_empty_field(size: int) -> None:
    content = _content(size)
    rest, views = carved(_written(content).SerializeToString(), WRITTEN)
    (command,) = timeline_pb2.CommandBatch.FromString(rest).commands
    assert command.write.HasField("data")
    assert (command.sequence, command.write.tensor) == (1, TOKEN)
    assert [bytes(view) for view in views] == ([content] if size >= LARGE else [])
    assert command.write.data == (b"" if size >= LARGE else content)


def test_large_bytes_are_shown_where_they_are() -> None:
    message = _written(_content(LARGE)).SerializeToString()
    (view,) = carved(message, WRITTEN)[1]
    assert view.obj is message


def test_results_of_reads_come_out_too() -> None:
    content = _content(2 * LARGE)
    batch = timeline_pb2.CompletionBatch()
    batch.completions.add(sequence=7).read.data = content
    batch.completions.add(sequence=8)
    rest, views = carved(batch.SerializeToString(), READ)
    batch.completions[0].read.data = b""
    assert timeline_pb2.CompletionBatch.FromString(rest) == batch
    assert [bytes(view) for view in views] == [content]


def test_all_else_stays_in_its_order() -> None:
    contents = [_content(size) for size in (10, LARGE, 20, 3 * LARGE, 0)]
    batch = _written(*contents)
    batch.commands.add(sequence=6).read.tensor = TOKEN
    batch.commands.add(sequence=7).dispatch.graph = bytes(2 * LARGE)  # large, and none of what is carved
    rest, views = carved(batch.SerializeToString(), WRITTEN)
    assert [bytes(view) for view in views] == [contents[1], contents[3]]
    for index in (1, 3):
        batch.commands[index].write.data = b""
    assert timeline_pb2.CommandBatch.FromString(rest) == batch


def test_fields_of_every_kind_are_passed_over() -> None:
    others = b"\xf9\x07" + bytes(8) + b"\xfd\x07" + bytes(4) + b"\xf8\x07\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
    message = _written(_content(LARGE)).SerializeToString() + others
    rest, views = carved(message, WRITTEN)
    assert bytes(rest).endswith(others)
    assert len(views) == 1


@pytest.mark.parametrize(
    "end",
    {
        "a length beyond the end": b"\x0a\x05abcd",
        "a length that wraps around": b"\x0a" + b"\xff" * 9 + b"\x01",
        "a number without an end": b"\x08\xff",
        "a number of too many bytes": b"\x08" + b"\x80" * 10 + b"\x01",
        "a group": b"\x0b\x0c",
        "a kind that there is not": b"\x0f",
        "a half fixed number": b"\x09abc",
    }.items(),
    ids=lambda item: item[0],
)
def test_what_is_no_message_is_refused(end: tuple[str, bytes]) -> None:
    with pytest.raises(WireError):
        carved(_written(_content(LARGE)).SerializeToString() + end[1], WRITTEN)


def test_any_bytes_are_a_message_or_refused() -> None:
    chance = random.Random(1)
    message = bytearray(_written(_content(LARGE), b"x" * 50).SerializeToString())
    for _ in range(2000):
        garbled = bytearray(message)
        for _ in range(chance.randrange(1, 4)):
            garbled[chance.choice((chance.randrange(40), chance.randrange(len(garbled))))] = chance.randrange(256)
        try:
            rest, views = carved(bytes(garbled), WRITTEN)
        except WireError:
            continue
        assert len(rest) + sum(map(len, views)) <= len(garbled)
