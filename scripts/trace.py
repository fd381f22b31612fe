"""Traces: a place that processes append their records to, and what is made of the records afterwards.

A viewer's file is the Chrome trace event format (JSON), which https://ui.perfetto.dev loads. What the processes
wrote is taken as numbers and no more: a record that can't be is counted, and left out.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import json
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ipc import trace
from ipc.trace import RECORD, Role, Span, Stage

_LONGEST: Final = 3600 * 10**9  # ns; a span of more than an hour is none


@dataclass(frozen=True, slots=True)
class Trace:
    """What was recorded.

    Attributes:
        spans: by their beginning.
        refused: records that can't be.
    """

    spans: Sequence[Span]
    refused: int


class Collector:
    """Takes the records of any number of processes.

    Attributes:
        descriptor: for them: write-only, append-only, of a file that can't shrink.
    """

    def __init__(self) -> None:
        self._file = os.memfd_create("webnn-trace", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        fcntl.fcntl(self._file, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
        self.descriptor = os.open(f"/proc/self/fd/{self._file}", os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)

    def collect(self) -> Trace:
        """Everything that was written until now."""
        data = os.pread(self._file, os.fstat(self._file).st_size, 0)
        whole = len(data) - len(data) % RECORD.size
        spans = [Span(*fields) for fields in RECORD.iter_unpack(data[:whole])]
        good = sorted((span for span in spans if _can_be(span)), key=lambda span: span.began)
        return Trace(good, len(spans) - len(good) + (whole != len(data)))

    def close(self) -> None:
        os.close(self.descriptor)
        os.close(self._file)


@contextlib.contextmanager
def tracing(path: Path | None, *, here: bool = False) -> Iterator[int]:
    """The descriptor to give to processes; at the end the trace is written to `path`. 0 and nothing where that is None.

    Args:
        here: this process is a renderer and is traced as well.

    Raises:
        OSError: the file can't be written; known before anything runs.
    """
    if path is None:
        yield 0
        return
    with path.open("w", encoding="utf-8") as file, contextlib.closing(Collector()) as collector:
        if here:
            trace.start(collector.descriptor, Role.RENDERER)
        try:
            yield collector.descriptor
        finally:
            if here:
                trace.stop()
            json.dump(chrome_trace(collector.collect()), file)


def _can_be(span: Span) -> bool:
    known = span.role in Role.__members__.values() and span.stage in Stage.__members__.values()
    return known and 0 <= span.ended - span.began < _LONGEST and span.first <= span.last


# --- Chrome's trace event format --------------------------------------------------------------------------------------


def chrome_trace(recorded: Trace) -> dict[str, Any]:
    """The trace as a JSON object; times in microseconds from the first span on."""
    origin = min((span.began for span in recorded.spans), default=0)
    events = [*_names(recorded.spans), *(_slice(span, origin) for span in recorded.spans)]
    events += _arrows(recorded.spans, origin)
    return {
        "displayTimeUnit": "ns",
        "otherData": {"refused records": recorded.refused},
        "traceEvents": events,
    }


def _slice(span: Span, origin: int) -> dict[str, Any]:
    arguments = {"context": f"{span.key:016x}", "first command": span.first, "last command": span.last}
    return {
        "ph": "X",
        "name": _title(Stage(span.stage)),
        "cat": "webnn",
        "pid": span.process,
        "tid": span.thread,
        "ts": (span.began - origin) / 1e3,
        "dur": (span.ended - span.began) / 1e3,
        "args": arguments if span.first else {},
    }


def _names(spans: Sequence[Span]) -> Iterator[dict[str, Any]]:
    for process, role in sorted({(span.process, span.role) for span in spans}, key=lambda item: item[1]):
        common = {"ph": "M", "pid": process, "tid": 0, "ts": 0, "cat": "__metadata"}
        yield {**common, "name": "process_name", "args": {"name": _title(Role(role))}}
        yield {**common, "name": "process_sort_index", "args": {"sort_index": role}}


def _arrows(spans: Sequence[Span], origin: int) -> Iterator[dict[str, Any]]:
    """From each call to its execution and on to its completion; an arrow binds to the slice around its time."""
    ends = {Stage.ENCODE: "s", Stage.EXECUTE: "t", Stage.RECEIVE: "f"}
    by_command: defaultdict[tuple[int, int], dict[Stage, Span]] = defaultdict(dict)
    for span in spans:
        if span.stage in ends:
            for sequence in _commands(span):
                by_command[span.key, sequence].setdefault(Stage(span.stage), span)
    for (key, sequence), found in by_command.items():
        if found.keys() == ends.keys():
            for stage, phase in ends.items():
                span = found[stage]
                yield {
                    "ph": phase,
                    "bp": "e",
                    "name": "command",
                    "cat": "webnn",
                    "id": f"{key:016x}.{sequence}",
                    "pid": span.process,
                    "tid": span.thread,
                    "ts": (span.began - origin) / 1e3,
                }


def _commands(span: Span) -> range:
    return range(span.first, min(span.last, span.first + 4096) + 1)  # no carrier has more in one span


def _title(member: Stage | Role) -> str:
    return "GPU process" if member is Role.GPU_PROCESS else member.name.lower().replace("_", " ")


# --- Stages -----------------------------------------------------------------------------------------------------------

STAGES: Final = (
    "encode", "send", "queue", "decode", "validate", "copy in", "run", "copy out", "complete", "receive", "wake-up",
)  # fmt: skip
"""Where the time of a round trip goes, in the order in which a command meets them."""

# Where spans overlap, the command has come as far as the last of them says.
_LATER: Final = {stage: position for position, stage in enumerate(STAGES)}


def round_trips(spans: Sequence[Span]) -> list[Mapping[str, float]]:
    """The stages of every blocking read with all that was issued since the one before, in microseconds.

    Beside the stages: `total`, from the first call to the return of the read, and `none`, of which no span tells.
    Every moment is counted once, as the latest stage that any of the commands is in.
    """
    contexts: defaultdict[int, list[Span]] = defaultdict(list)
    for span in spans:
        if span.first:
            contexts[span.key].append(span)
    return [stages for of_context in contexts.values() for stages in _of_context(of_context)]


def _of_context(spans: Sequence[Span]) -> Iterator[Mapping[str, float]]:
    waits = [span for span in spans if span.stage == Stage.WAIT]
    others = [span for span in spans if span.stage != Stage.WAIT]
    position, before = 0, 0
    for wait in waits:
        own = []
        while position < len(others) and others[position].began <= wait.ended:
            if others[position].last > before:
                own.append(others[position])
            position += 1
        before = wait.last
        if own and any(span.stage == Stage.RECEIVE and span.last >= wait.last for span in own):
            yield _split(own, wait)


def _split(spans: Sequence[Span], wait: Span) -> Mapping[str, float]:
    began = min(wait.began, *(span.began for span in spans if span.stage == Stage.ENCODE), wait.began)
    pieces = [(span.began, span.ended, _name_of(span)) for span in spans]
    # What lies between two processes, or two threads, is the way from one to the other.
    pieces += _ways(spans, wait)
    edges = sorted({began, wait.ended, *(edge for piece in pieces for edge in piece[:2] if began < edge < wait.ended)})
    result = dict.fromkeys((*STAGES, "none"), 0.0)
    for left, right in itertools.pairwise(edges):
        covering = [name for start, end, name in pieces if start <= left and right <= end]
        result[max(covering, key=_LATER.__getitem__) if covering else "none"] += (right - left) / 1e3
    result["total"] = (wait.ended - began) / 1e3
    return result


def _name_of(span: Span) -> str:
    stage = Stage(span.stage)
    return "validate" if stage is Stage.EXECUTE else stage.name.lower().replace("_", " ")


def _ways(spans: Sequence[Span], wait: Span) -> Iterator[tuple[int, int, str]]:
    """From issue to arrival is sending, from the last result to its arrival completing, and the rest waking up."""
    last = wait.last

    def of(stage: Stage) -> Span | None:
        return next((span for span in spans if span.stage == stage and span.first <= last <= span.last), None)

    encode, decode, complete, receive = (of(s) for s in (Stage.ENCODE, Stage.DECODE, Stage.COMPLETE, Stage.RECEIVE))
    if encode and decode:
        yield encode.ended, decode.began, "send"
    if complete and receive:
        yield complete.ended, receive.began, "complete"
    if receive:
        yield receive.ended, wait.ended, "wake-up"
