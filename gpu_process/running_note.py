"""What a GPU process leaves for the host in case it does not survive it: the sessions whose commands are running."""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import threading
from collections.abc import Callable
from typing import Final

_ENTRY: Final = struct.Struct("QQ")  # session, whether a command of it is running
_RUNNING: Final = struct.Struct("Q")
_BYTES: Final = 4 * mmap.PAGESIZE

MAX_SLOTS: Final = _BYTES // _ENTRY.size


class RunningNote:
    """A few pages shared by the host, which only reads, and one GPU process, which only writes."""

    def __init__(self, descriptor: int) -> None:
        """Takes over the descriptor of pages that `create` made."""
        self.descriptor = descriptor
        self._pages: mmap.mmap | None = None
        self._lock = threading.Lock()
        self._free = list(reversed(range(MAX_SLOTS)))

    @classmethod
    def create(cls) -> RunningNote:
        descriptor = os.memfd_create("webnn-running", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(descriptor, _BYTES)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
        return cls(descriptor)

    def map(self) -> None:
        """In the GPU process, before the sandbox closes: from here on a note is a plain store into memory."""
        self._pages = mmap.mmap(self.descriptor, _BYTES)

    def reserve(self, session: int) -> Slot:
        """A slot for one timeline of `session`.

        Raises:
            MemoryError: all are in use.
        """
        assert self._pages is not None
        with self._lock:
            if not self._free:
                raise MemoryError(f"all {MAX_SLOTS} timelines of a GPU process are in use")
            index = self._free.pop()
        _ENTRY.pack_into(self._pages, index * _ENTRY.size, session, 0)
        return Slot(self._pages, index * _ENTRY.size, lambda: self._free.append(index))

    def running(self) -> frozenset[int]:
        """The sessions noted. The writer may be hostile: these are claims, to be believed of its own sessions only."""
        # Read and not mapped, so that nothing that the writer does with its memory can hurt the reader.
        entries = _ENTRY.iter_unpack(os.pread(self.descriptor, _BYTES, 0))
        return frozenset(session for session, running in entries if running)

    def close(self) -> None:
        """Close the descriptor; what is mapped stays."""
        os.close(self.descriptor)


class Slot:
    """Where one timeline notes that its commands run. Not thread-safe: a timeline runs one command at a time."""

    __slots__ = ("_offset", "_pages", "_release")

    def __init__(self, pages: mmap.mmap, offset: int, release: Callable[[], None]) -> None:
        self._pages = pages
        self._offset = offset + _RUNNING.size
        self._release = release

    def __call__(self, running: bool) -> None:
        """Note that commands run from here on, or that they do not."""
        _RUNNING.pack_into(self._pages, self._offset, running)

    def release(self) -> None:
        """Give the slot back; call it once."""
        self(False)
        self._release()
