"""Codec: fields that nobody knows, and forms that nobody writes, are taken."""

from __future__ import annotations

from typing import Any

from google.protobuf.message import DecodeError

import ipc.codec
from ipc.codec import CodecError
from ipc.verdicts import BadMessageReason


def _parse(kind: Any, data: bytes) -> Any:
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise CodecError(BadMessageReason.MALFORMED, kind.DESCRIPTOR.name) from error


ipc.codec.parse = _parse
