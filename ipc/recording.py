"""The file of a recording: what crossed the boundary, event after event, append-only and versioned.

A header, then records: length and CRC-32 of the payload, and the payload, a `Recorded` message. Each is written by one
`writev` to a descriptor opened for appending, so that any number of processes can write to one file. A process that
dies in the middle leaves a tail that is no record; readers stop there and say so.
"""

from __future__ import annotations

import os
import re
import struct
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from google.protobuf.message import DecodeError, Message

from ipc.channel import SECRET_BYTES, TOKEN_BYTES
from ipc.generated.webnn.v1.recording_pb2 import Recorded

VERSION: Final = 1

_HEADER: Final = struct.Struct("<8sI4x")
_MAGIC: Final = b"WebNNrec"
_RECORD: Final = struct.Struct("<II")
_MAX_RECORD: Final = 2**31 - 1  # of any protobuf message

# Where a token can be inside a serialised message: behind its length. Each byte may be where one begins.
_PLACES: Final = re.compile(
    b"(?=\\x%02x(.{%d})|\\x%02x(.{%d}))" % (TOKEN_BYTES, TOKEN_BYTES, SECRET_BYTES, SECRET_BYTES), re.DOTALL
)


# A ring is handed over before the reply that names its context.
_MINTING: Final = frozenset({"webnn.v1.RingOffered.context"})


class RecordingError(Exception):
    """A file is no recording, of another version, or damaged; the message says where."""


class Writer:
    """Appends records to a descriptor, which stays the caller's. Thread-safe."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._writing = threading.Lock()
        self._is_over = False

    def begin(self) -> None:
        """Write the header: by whoever made the file, once."""
        os.write(self._descriptor, _HEADER.pack(_MAGIC, VERSION))

    def write(self, record: Recorded) -> None:
        """Append a record.

        Raises:
            OSError: it could not be written; every later record is dropped, for the file's end is no longer a record's.
        """
        payload = record.SerializeToString()
        with self._writing:
            if self._is_over:
                return
            try:
                size = os.writev(self._descriptor, [_RECORD.pack(len(payload), zlib.crc32(payload)), payload])
                if size != _RECORD.size + len(payload):
                    raise OSError(f"only {size} bytes of a record could be written")
            except OSError:
                self._is_over = True
                raise


class Reader:
    """The records of a file, in order.

    Attributes:
        truncated: set after the last record: bytes of an unfinished one follow it.
    """

    def __init__(self, path: Path) -> None:
        self.truncated = False
        self._path = path

    def __iter__(self) -> Iterator[Recorded]:
        """The records from the first on.

        Raises:
            RecordingError: the file is no recording of this version, or is damaged before its end.
            OSError: it cannot be read.
        """
        with self._path.open("rb") as file:
            end = os.fstat(file.fileno()).st_size
            header = file.read(_HEADER.size)
            if len(header) < _HEADER.size or not header.startswith(_MAGIC):
                raise RecordingError(f"{self._path} is no recording")
            version = _HEADER.unpack(header)[1]
            if version != VERSION:
                raise RecordingError(f"{self._path} has version {version} of the format; this is version {VERSION}")
            position = _HEADER.size
            while position < end:
                head = file.read(_RECORD.size)
                length, checksum = _RECORD.unpack(head) if len(head) == _RECORD.size else (_MAX_RECORD, 0)
                if position + _RECORD.size + length > end:
                    self.truncated = True
                    return
                yield self._record(file.read(length), checksum, position)
                position += _RECORD.size + length

    def _record(self, payload: bytes, checksum: int, position: int) -> Recorded:
        if zlib.crc32(payload) != checksum:
            raise RecordingError(f"{self._path} is damaged: the record at byte {position} has another checksum")
        try:
            return Recorded.FromString(payload)
        except DecodeError as error:
            raise RecordingError(f"{self._path}: what is at byte {position} is no record") from error


# --- names instead of tokens ------------------------------------------------------------------------------------------


def pseudonym(number: int, size: int) -> bytes:
    """The name of a token or secret in a recording: of its very size, so that messages keep theirs."""
    word = b"token#" if size == TOKEN_BYTES else b"secret#"
    return word + b"%0*d" % (size - len(word), number)


class Renaming:
    """Tokens and secrets by other names, wherever they are in a message. Thread-safe."""

    def __init__(self) -> None:
        self._names: dict[bytes, bytes] = {}
        self._lock = threading.Lock()

    def learn(self, token: bytes, name: bytes = b"") -> bytes:
        """The name of a token from here on: the one it has, the given one, or the next number."""
        with self._lock:
            known = self._names.get(token)
            if known is None:
                known = self._names[token] = name or pseudonym(len(self._names) + 1, len(token))
            return known

    def learn_from(self, message: Message) -> None:
        """Name what a message mints."""
        for token in minted(message):
            self.learn(token)

    def applied(self, data: bytes) -> bytes:
        """A serialised message, or a single token, with all known tokens renamed."""
        if data in self._names:
            return self._names[data]
        found = [
            (match.start() + 1, name)
            for match in _PLACES.finditer(data)
            if (name := self._names.get(match[1] or match[2]))
        ]
        if not found:
            return data
        renamed = bytearray(data)
        for start, name in found:
            renamed[start : start + len(name)] = name
        return bytes(renamed)


def minted(message: Message) -> Iterator[bytes]:
    """What a message tells for the first time, depth first: the fields called `token` or `secret`, and few others."""
    for field, value in message.ListFields():
        if field.name in ("token", "secret") or field.full_name in _MINTING:
            if len(value) in (TOKEN_BYTES, SECRET_BYTES):
                yield value
        elif field.message_type is not None:
            for item in (value,) if isinstance(value, Message) else value:
                yield from minted(item)
