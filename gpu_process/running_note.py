"""What a GPU process leaves for the host in case it does not survive it: the sessions that it was working for."""

from __future__ import annotations

import fcntl
import itertools
import mmap
import os
import struct
import threading
from typing import Final

_SESSION: Final = struct.Struct("Q")
_BYTES: Final = 4 * mmap.PAGESIZE
_SLOTS: Final = _BYTES // _SESSION.size


class RunningNote:
    """A few pages shared by the host, which only reads, and one GPU process, which only writes."""

    def __init__(self, descriptor: int) -> None:
        """Takes over the descriptor of pages that `create` made."""
        self.descriptor = descriptor
        self._pages: mmap.mmap | None = None
        self._threads = itertools.count()
        self._own = threading.local()

    @classmethod
    def create(cls) -> RunningNote:
        descriptor = os.memfd_create("webnn-running", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(descriptor, _BYTES)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
        return cls(descriptor)

    def map(self) -> None:
        """In the GPU process, before the sandbox closes: from here on a note is a plain store into memory."""
        self._pages = mmap.mmap(self.descriptor, _BYTES)

    def write(self, session: int) -> None:
        """Note that the calling thread works for `session` from here on; 0 where it works for nobody.

        Past 2048 threads, two of them may share a place, and the later note stands.
        """
        assert self._pages is not None
        try:
            offset = self._own.offset
        except AttributeError:
            offset = self._own.offset = next(self._threads) % _SLOTS * _SESSION.size
        _SESSION.pack_into(self._pages, offset, session)

    def read(self) -> frozenset[int]:
        """The sessions noted. The writer may be hostile: these are claims, to be believed of its own sessions only."""
        # Read and not mapped, so that nothing that the writer does with its memory can hurt the reader.
        return frozenset(
            session for (session,) in _SESSION.iter_unpack(os.pread(self.descriptor, _BYTES, 0)) if session
        )

    def close(self) -> None:
        """Close the descriptor; what is mapped stays."""
        os.close(self.descriptor)
