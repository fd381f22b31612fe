"""Where a recording goes: a file that is opened here, outside every sandbox, and written to by GPU processes."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from ipc.recording import Writer


@contextlib.contextmanager
def recording(path: Path | None) -> Iterator[int]:
    """The descriptor to give to a host: write-only and append-only. 0 and nothing where `path` is None.

    Raises:
        OSError: the file can't be written; known before anything runs.
    """
    if path is None:
        yield 0
        return
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        Writer(descriptor).begin()
        yield descriptor
    finally:
        os.close(descriptor)
