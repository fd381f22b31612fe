"""The file of a recording, and the names in it."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from ipc.channel import new_secret, new_token
from ipc.generated.webnn.v1 import context_pb2, recording_pb2, session_pb2
from ipc.recording import Reader, RecordingError, Renaming, Writer


def _write(path: Path, records: Sequence[recording_pb2.Recorded]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        writer = Writer(descriptor)
        writer.begin()
        for record in records:
            writer.write(record)
    finally:
        os.close(descriptor)


def _records(count: int) -> list[recording_pb2.Recorded]:
    return [
        recording_pb2.Recorded(process=1, session=number, packet_sent=recording_pb2.Packet(data=bytes(number)))
        for number in range(1, count + 1)
    ]


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "r"
    _write(path, _records(5))
    reader = Reader(path)
    assert list(reader) == _records(5)
    assert not reader.truncated


def test_a_tail_that_is_cut_anywhere_ends_the_recording_and_no_more(tmp_path: Path) -> None:
    path = tmp_path / "r"
    _write(path, _records(3))
    whole = path.read_bytes()
    _write(two := tmp_path / "two", _records(2))
    for size in range(two.stat().st_size + 1, len(whole)):
        path.write_bytes(whole[:size])
        reader = Reader(path)
        assert list(reader) == _records(2)
        assert reader.truncated


def test_a_changed_byte_is_damage_and_says_where(tmp_path: Path) -> None:
    path = tmp_path / "r"
    _write(path, _records(3))
    data = bytearray(path.read_bytes())
    data[30] ^= 1
    path.write_bytes(data)
    with pytest.raises(RecordingError, match="the record at byte 16"):
        list(Reader(path))


def test_another_version_and_another_kind_of_file_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "r"
    _write(path, [])
    data = bytearray(path.read_bytes())
    data[8] = 99
    path.write_bytes(data)
    with pytest.raises(RecordingError, match="version 99"):
        list(Reader(path))
    path.write_bytes(b"something else altogether")
    with pytest.raises(RecordingError, match="no recording"):
        list(Reader(path))


def test_many_writers_share_a_file_record_by_record(tmp_path: Path) -> None:
    path = tmp_path / "r"
    _write(path, [])

    def write(process: int) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
        writer = Writer(descriptor)
        for _ in range(200):
            packet = recording_pb2.Packet(data=bytes([process]) * 5000)
            writer.write(recording_pb2.Recorded(process=process, packet_sent=packet))
        os.close(descriptor)

    threads = [threading.Thread(target=write, args=(process,)) for process in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    records = list(Reader(path))
    assert len(records) == 800
    assert all(set(record.packet_sent.data) == {record.process} for record in records)


def test_a_writer_that_failed_writes_no_more(tmp_path: Path) -> None:
    read_only = os.open(tmp_path / "r", os.O_RDONLY | os.O_CREAT, 0o600)
    writer = Writer(read_only)
    with pytest.raises(OSError, match="Bad file descriptor"):
        writer.write(_records(1)[0])
    writer.write(_records(1)[0])
    os.close(read_only)
    assert not (tmp_path / "r").read_bytes()


def test_tokens_and_secrets_are_renamed_wherever_they_are_and_nothing_moves() -> None:
    names, token, secret = Renaming(), new_token(), new_secret()
    names.learn_from(session_pb2.SessionMessage(granted=session_pb2.SessionGranted(secret=secret)))
    names.learn_from(context_pb2.CreateTensorReply(tensor=context_pb2.TensorInfo(token=token)))
    granted = session_pb2.SessionMessage(granted=session_pb2.SessionGranted(secret=secret, address="unix:x"))
    told = session_pb2.SessionMessage.FromString(names.applied(granted.SerializeToString()))
    assert told.granted.secret == b"secret#" + b"0" * 24 + b"1"
    assert told.granted.address == "unix:x"
    broken = b"\xff\x10" + token + b"\x10" + token[:8]
    assert names.applied(broken) == b"\xff\x10token#0000000002\x10" + token[:8]
    assert names.applied(token) == b"token#0000000002"


def test_a_token_is_found_behind_bytes_that_look_like_one() -> None:
    names, token = Renaming(), b"\x10" * 15 + b"x"
    names.learn(token)
    assert names.applied(b"\x10\x10\x10" + token).endswith(b"token#0000000001")
