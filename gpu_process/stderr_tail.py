"""What a child says on its standard error: logged line by line, and its last words kept in case it dies of them."""

from __future__ import annotations

import logging
import os
import re
from typing import Final

from gpu_process.event_loop import EventLoop
from ipc.errors import escape_label

_KEPT_BYTES: Final = 4 << 10
_LONGEST_LINE: Final = 2 << 10
_MOST_LINES: Final = 1000  # a child that was taken over can write as fast as a pipe takes it
_READ_BYTES: Final = 64 << 10

# Our own log lines keep their weight; what native libraries print is for the curious.
_WEIGHTY: Final = re.compile(rb"\S+ \S+ \d+ (WARNING|ERROR|CRITICAL) ")

_logger = logging.getLogger(__name__)


class StderrTail:
    """Reads one pipe. Whoever writes into it is not believed: what it says is escaped and cut."""

    def __init__(self, loop: EventLoop, name: str, reader: int) -> None:
        """Takes over the pipe's reading end; `name` says in the log whose it is."""
        self._reader = reader
        os.set_blocking(self._reader, False)
        self._loop = loop
        self._name = name
        self._kept = b""
        self._line = b""
        self._lines = 0
        loop.watch(self._reader, self._read)

    def last_words(self) -> str:
        """What it said last, escaped, lines separated by " | "; empty if nothing."""
        self._read()
        return " | ".join(escape_label(line) for line in self._kept.decode(errors="replace").splitlines() if line)

    def close(self) -> None:
        """Stop reading; idempotent."""
        if self._reader >= 0:
            self._loop.forget(self._reader)
            os.close(self._reader)
            self._reader = -1

    def _read(self) -> None:
        if self._reader < 0:
            return
        try:
            data = os.read(self._reader, _READ_BYTES)
        except BlockingIOError:
            return
        if not data:
            self.close()
            return
        self._kept = (self._kept + data)[-_KEPT_BYTES:]
        *lines, self._line = (self._line + data).split(b"\n")
        self._line = self._line[-_LONGEST_LINE:]
        for line in lines:
            self._log(line)

    def _log(self, line: bytes) -> None:
        self._lines += 1
        if self._lines <= _MOST_LINES:
            level = logging.WARNING if _WEIGHTY.match(line) else logging.INFO
            text = escape_label(line[:_LONGEST_LINE].decode(errors="replace"))
            _logger.log(level, "%s: %s", self._name, text)
        elif self._lines == _MOST_LINES + 1:
            _logger.warning("%s: says too much; the rest is not logged", self._name)
