"""Codec: lists of operands come out backwards."""

from __future__ import annotations

from ipc.codec import _graph
from tests.scripts.fuzz.planted import after

after(
    _graph,
    "_decode_slots",
    lambda slots: {name: value[::-1] if isinstance(value, tuple) else value for name, value in slots.items()},
)
