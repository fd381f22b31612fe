"""What both ends of a timeline must agree on beside its messages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

CARRIERS = ("inline", "stream", "ring")
"""By name: bytes inside the messages; bytes in shared memory; commands in shared memory too."""

SPARE_BYTES: Final = 1 << 20
"""Tensors up to this size get a second slot, so that a write need not wait for work in flight."""

MAX_COMMANDS = 4096
"""In one batch. What a renderer has issued and not yet sent waits on its side."""

MAX_BINDINGS = 1024
"""Numbers of bindings per context; a renderer that has more in use gives a number to another binding."""

MAX_DEFINITIONS = 256
"""Bindings that one call defines."""

CHUNK_BYTES = 4 << 20
"""Of a tensor inside one message; four of them fit into a message with room to spare."""

MAX_BATCH_BYTES = 3 * CHUNK_BYTES
"""Of tensors inside one batch."""


def chunks(length: int) -> Iterator[tuple[int, int]]:
    """(start, end) of the pieces in which `length` bytes travel."""
    for start in range(0, length, CHUNK_BYTES):
        yield start, min(start + CHUNK_BYTES, length)
