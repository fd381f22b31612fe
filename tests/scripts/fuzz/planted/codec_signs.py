"""Codec: integers lose their sign."""

from __future__ import annotations

from ipc.codec import _graph
from tests.scripts.fuzz.planted import after

after(_graph, "decode_attribute", lambda value: abs(value) if type(value) is int else value)
