"""Which lines of some modules run, in this process and in those that it starts: one byte per line, in a shared file."""

from __future__ import annotations

import mmap
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

_Tracer = Callable[[FrameType, str, Any], Any]


class Footprints:
    """The lines that have run.

    Args:
        file: where the bytes are; made if it is not there.
        folder: of the modules, which are named from there.
        modules: in an order that all who share the file agree on.
    """

    def __init__(self, file: Path, folder: Path, modules: list[str]) -> None:
        self._starts: dict[str, int] = {}
        size = 1
        for module in modules:
            self._starts[str(folder / module)] = size
            size += (folder / module).read_bytes().count(b"\n") + 2
        self._lines = [(module, at) for module in modules for at in self._range(folder / module)]
        with file.open("a+b") as opened:
            opened.truncate(size)
            self._bytes = mmap.mmap(opened.fileno(), size)
        self._tracers = {name: self._tracer(start) for name, start in self._starts.items()}

    def follow(self) -> None:
        """From now on, in every thread to come and in every process that is forked."""
        threading.settrace(self._enter)
        sys.settrace(self._enter)

    def take(self) -> frozenset[tuple[str, int]]:
        """The lines that have run since it was last asked, as (module, line)."""
        taken = bytes(self._bytes)
        self._bytes[:] = bytes(len(taken))
        return frozenset(line for line, ran in zip(self._lines, taken[1:], strict=True) if ran)

    def _range(self, path: Path) -> range:
        return range(path.read_bytes().count(b"\n") + 2)

    def _enter(self, frame: FrameType, event: str, argument: Any) -> _Tracer | None:
        tracer = self._tracers.get(frame.f_code.co_filename)
        return tracer(frame, event, argument) if tracer else None

    def _tracer(self, start: int) -> _Tracer:
        trodden = self._bytes

        def tracer(frame: FrameType, _event: str, _argument: Any) -> _Tracer:
            trodden[start + frame.f_lineno] = 1
            return tracer

        return tracer
