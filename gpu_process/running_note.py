"""What a GPU process leaves for the host in case it does not survive it: for whom each thread works, and since when.

Besides the notes there is room for the report of a crash, which `faulthandler` writes in the handler of the signal: it
names the thread that crashed, and the notes say for whom that one worked.
"""

from __future__ import annotations

import enum
import faulthandler
import fcntl
import itertools
import mmap
import os
import re
import struct
import threading
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

# Session and kind of work, beginning (nanoseconds of the monotonic clock), and the thread as the kernel and as Python
# number it. The session comes first: a reader that sees a new one beside an old beginning finds another pair when it
# looks again.
_NOTE: Final = struct.Struct("QQQQQ")
_SESSION: Final = struct.Struct("Q")
_BEGINNING: Final = struct.Struct("QQ")
_NOTE_BYTES: Final = 64  # a cache line each, so that threads don't contend
_SLOTS: Final = 2048
_NOTES_BYTES: Final = _SLOTS * _NOTE_BYTES

# A hundred threads with some frames each; more than that faulthandler does not write.
_REPORT_BYTES: Final = 64 * mmap.PAGESIZE

_CRASHED_THREAD: Final = re.compile(rb"^Current thread 0x([0-9a-f]{1,16})\b", re.MULTILINE)


class Work(enum.IntEnum):
    """What a thread does for a session."""

    COMMANDS = 1
    """Of a timeline: one dispatch, or what is between two."""

    BUILD = 2
    """Compiles a graph."""


class Running(Protocol):
    """Told the session that the calling thread works for from here on; 0 for nobody."""

    def __call__(self, session: int, work: Work = Work.COMMANDS, /) -> None: ...


@dataclass(frozen=True, slots=True)
class Note:
    """A thread at work. A claim of the GPU process, to be believed of its own sessions only.

    Attributes:
        started: seconds of the monotonic clock.
        thread: as the process's own PID namespace numbers it.
        identity: the same thread, as Python names it.
    """

    session: int
    work: int
    started: float
    thread: int
    identity: int


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
        os.ftruncate(descriptor, _NOTES_BYTES + _REPORT_BYTES)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
        return cls(descriptor)

    # --- In the GPU process -------------------------------------------------------------------------------------------

    def map(self) -> None:
        """Before the sandbox closes: from here on a note is a plain store into memory, and a crash is reported."""
        self._pages = mmap.mmap(self.descriptor, _NOTES_BYTES)
        os.lseek(self.descriptor, _NOTES_BYTES, os.SEEK_SET)
        faulthandler.enable(file=self.descriptor, all_threads=True)  # only with all of them does it say which it was

    def write(self, session: int, work: Work = Work.COMMANDS, /) -> None:
        """Note that the calling thread works for `session` from here on; 0 where it works for nobody.

        Past 2048 threads, two of them may share a place, and the later note stands.
        """
        pages = self._pages
        assert pages is not None
        try:
            offset = self._own.offset
        except AttributeError:
            offset = self._own.offset = next(self._threads) % _SLOTS * _NOTE_BYTES
            _NOTE.pack_into(pages, offset, 0, 0, 0, threading.get_native_id(), threading.get_ident())
        if session:
            _BEGINNING.pack_into(pages, offset + _SESSION.size, work, time.monotonic_ns())
        _SESSION.pack_into(pages, offset, session)

    # --- In the host --------------------------------------------------------------------------------------------------

    def read(self) -> list[Note]:
        """All threads at work."""
        # Read and not mapped, so that nothing that the writer does with its memory can hurt the reader.
        pages = os.pread(self.descriptor, _NOTES_BYTES, 0)
        found = []
        for offset in range(0, _NOTES_BYTES, _NOTE_BYTES):
            session, work, started, thread, identity = _NOTE.unpack_from(pages, offset)
            if session:
                found.append(Note(session, work, started / 1e9, thread, identity))
        return found

    def overdue(self, limits: Mapping[Work, float], now: float) -> Note | None:
        """The note of a thread that has been at one piece of work for longer than the limit; 0 is none.

        Args:
            limits: seconds.
            now: by the monotonic clock.
        """
        late = _late(self.read(), limits, now)
        if not late:
            return None
        confirmed = late & _late(self.read(), limits, now)  # not what was just being written
        return min(confirmed, key=lambda note: note.started, default=None)

    def crash_report(self) -> str:
        """What faulthandler wrote; empty where the process did not crash, or not with a signal that Python handles."""
        report = os.pread(self.descriptor, _REPORT_BYTES, _NOTES_BYTES)
        return report.rstrip(b"\0").decode(errors="replace")

    def crashed_thread(self) -> int | None:
        """The thread that crashed, as Python names it; None where that is not known."""
        match = _CRASHED_THREAD.search(os.pread(self.descriptor, _REPORT_BYTES, _NOTES_BYTES))
        return int(match[1], 16) if match else None

    def close(self) -> None:
        """Close the descriptor; what is mapped stays."""
        os.close(self.descriptor)


def _late(notes: Collection[Note], limits: Mapping[Work, float], now: float) -> frozenset[Note]:
    seconds = {int(work): limit for work, limit in limits.items() if limit}
    return frozenset(note for note in notes if note.work in seconds and now - note.started > seconds[note.work])
