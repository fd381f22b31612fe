"""Stages of every command, from all processes, on one clock: off unless a recorder was started.

A process appends fixed-size records to a descriptor that it was given: opened outside the sandbox, write-only, and
append-only, so that no process can read or change what another one has written. Records hold numbers only, and no text
of anybody's. `scripts.trace` collects them and makes a file that trace viewers load.

Hot paths choose what they call once, when they are made: `if trace.recorder is None` there, and nothing afterwards.
"""

from __future__ import annotations

import atexit
import enum
import hashlib
import logging
import os
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

_logger = logging.getLogger(__name__)

now = time.monotonic_ns
"""The clock: nanoseconds, the same in every process of a machine."""


class Stage(enum.IntEnum):
    """What a span is about, in the order in which a command meets them."""

    ENCODE = enum.auto()
    """The caller's thread, from the call to the issued command: arguments are checked, data copied into the slot."""
    SEND = enum.auto()
    """The carrier, from taking the command to handing it over."""
    DECODE = enum.auto()
    QUEUE = enum.auto()
    """The GPU process waits for its turn at the sequence."""
    EXECUTE = enum.auto()
    """The GPU process checks the commands and obeys them; what is in none of the next three is validation."""
    COPY_IN = enum.auto()
    RUN = enum.auto()
    COPY_OUT = enum.auto()
    COMPLETE = enum.auto()
    RECEIVE = enum.auto()
    """The renderer, from a completion's arrival until whoever waits is told."""
    WAIT = enum.auto()
    """The caller's thread, from the call of a read until it returns; what is left after `RECEIVE` is the wake-up."""
    BUILD = enum.auto()
    """The caller's thread, from the call of a build until it returns."""
    DECODE_GRAPH = enum.auto()
    VALIDATE_GRAPH = enum.auto()
    COMPILE = enum.auto()
    START = enum.auto()
    """A process makes itself ready."""


class Role(enum.IntEnum):
    """What a process is."""

    RENDERER = enum.auto()
    HOST = enum.auto()
    LAUNCHER = enum.auto()
    GPU_PROCESS = enum.auto()


class Span(NamedTuple):
    """One record.

    Attributes:
        process, thread: numbers that are unique on the machine, or in the process.
        key: of the context, see `key_of`; 0 where there is none.
        first, last: sequence numbers of the commands it is about; 0 where it is about none.
        began, ended: on the clock `now`.
    """

    role: int
    stage: int
    process: int
    thread: int
    first: int
    last: int
    key: int
    began: int
    ended: int


RECORD: Final = struct.Struct("<HHIIIIQQQ")
"""A `Span` in the file."""

_BUFFERED: Final = 1024  # records that are written together


class Recorder:
    """Gathers the spans of one process. Thread-safe."""

    def __init__(self, descriptor: int, role: Role) -> None:
        """The descriptor stays the caller's."""
        self._descriptor = descriptor
        self._role = role
        self._process = os.getpid()  # before a sandbox gives it another number
        self._spans: list[Span] = []
        self._writing = threading.Lock()
        self._is_full = False

    def span(self, stage: Stage, began: int, key: int = 0, first: int = 0, last: int = 0, ended: int = 0) -> int:
        """Record what began at `began` and ends now, or did at `ended`; the time of its end."""
        ended = ended or now()
        thread = threading.get_native_id()
        self._spans.append(
            Span(self._role, stage, self._process, thread, first, last or first, key, began, ended),
        )
        if len(self._spans) >= _BUFFERED:
            self.flush()
        return ended

    def flush(self) -> None:
        """Write what was gathered; after the first failure there are no more records of this process."""
        with self._writing:
            spans, self._spans = self._spans, []
            if self._is_full or not spans:
                return
            try:
                os.write(self._descriptor, b"".join(RECORD.pack(*span) for span in spans))
            except OSError as error:
                self._is_full = True
                _logger.warning("the trace of this process ends here: %s", error)


recorder: Recorder | None = None
"""That of this process, if it is traced."""


def start(descriptor: int, role: Role) -> None:
    """Trace this process from now on, if there is a `descriptor`; 0 says that there is none."""
    global recorder
    if descriptor:
        recorder = Recorder(descriptor, role)
        atexit.register(stop)


def stop() -> None:
    """Write what is left, and trace no more what is made from now on."""
    global recorder
    if recorder is not None:
        recorder.flush()
    recorder = None


@contextmanager
def stage(stage: Stage, key: int = 0) -> Iterator[None]:
    """A span around something that is rare."""
    began = now()
    try:
        yield
    finally:
        if recorder is not None:
            recorder.span(stage, began, key)
            recorder.flush()


def key_of(token: bytes) -> int:
    """The number under which both sides record a context; its token is not told."""
    return int.from_bytes(hashlib.blake2b(token, digest_size=8).digest(), "little")
