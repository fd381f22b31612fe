"""A timeline of a recording, played again over the carriers `inline` and `stream`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError

from ipc.generated.webnn.v1 import recording_pb2, timeline_pb2
from scripts.replay._history import ReplayError, SeenKey
from scripts.replay._live import LiveCall

if TYPE_CHECKING:
    from scripts.replay._session import PlayedSession

_Results = dict[int, tuple[str, bytes]]
"""By sequence number: how a read was answered (`data`, `in_slot`, `error`), and with which bytes."""


class PlayedTimeline:
    """A timeline of the recording. How completions are batched depends on time; what they say does not."""

    def __init__(self, session: PlayedSession, call: LiveCall, context: bytes) -> None:
        self._session = session
        self._call = call
        self._context = context
        self._recorded: _Results = {}
        self._replayed: _Results = {}
        self._reads: dict[int, bytes] = {}  # tensors by the sequence number of the read
        self._done = 0
        self._end: tuple[str, str] | None = None

    def send(self, data: bytes) -> None:
        """Send a recorded batch; in parts, where its commands would see what is meant for later ones."""
        try:
            batch = timeline_pb2.CommandBatch.FromString(data)
        except DecodeError:
            self._call.send(self._session.alive(data))
            return
        self._session.count_commands(len(batch.commands))
        for command in batch.commands:
            if command.HasField("read"):
                self._reads[command.sequence] = command.read.tensor
        parts = list(self._parts(batch))
        for at, part in enumerate(parts):
            for command in part.commands:
                self._session.put(self._key(command.sequence))
            self._call.send(self._session.alive(data if len(parts) == 1 else part.SerializeToString()))
            if at + 1 < len(parts):
                self._wait_for(part.commands[-1].sequence)

    def hear(self, data: bytes) -> None:
        """Wait until what a recorded batch says is done, and compare what was read when that is complete."""
        batch = timeline_pb2.CompletionBatch.FromString(data)
        _gather(batch, self._recorded)
        last = batch.completions[-1] if batch.completions else None
        if last is None or last.HasField("read"):
            return  # more of this batch will come
        self._wait_for(last.sequence)
        for sequence in sorted(self._recorded):
            self._compare(sequence)
        self._recorded.clear()
        self._replayed.clear()

    def hear_end(self) -> tuple[str, str]:
        while self._end is None:
            self._hear_one()
        return self._end

    def _parts(self, batch: timeline_pb2.CommandBatch) -> Iterator[timeline_pb2.CommandBatch]:
        part = timeline_pb2.CommandBatch()
        others = False  # commands before that may use memory
        for command in batch.commands:
            if others and self._inputs(command.sequence):
                yield part
                part, others = timeline_pb2.CommandBatch(), False
            part.commands.append(command)
            others = others or command.HasField("dispatch") or command.HasField("read")
        yield part

    def _inputs(self, sequence: int) -> Sequence[recording_pb2.Seen]:
        return self._session.inputs.get(self._key(sequence), ())

    def _key(self, sequence: int) -> SeenKey:
        return (self._session.process, self._context, sequence)

    def _wait_for(self, sequence: int) -> None:
        while self._done < sequence:
            if self._end is not None:
                raise ReplayError(f"the timeline ended at command {self._done}: {self._end}")
            self._hear_one()

    def _hear_one(self) -> None:
        reply = self._call.next_reply()
        if isinstance(reply, tuple):
            self._end = reply
            return
        batch = timeline_pb2.CompletionBatch.FromString(reply)
        for completion in batch.completions:
            if completion.HasField("read") and completion.read.HasField("in_slot"):
                slot = self._session.slot(self._reads.get(completion.sequence, b""))
                self._replayed[completion.sequence] = ("in_slot", b"" if slot is None else bytes(slot))
            elif not completion.HasField("read"):
                self._done = completion.sequence
        _gather(batch, self._replayed)

    def _compare(self, sequence: int) -> None:
        kind, data = self._recorded[sequence]
        if kind == "in_slot":
            seen = self._session.results.get(self._key(sequence))
            data = b"" if seen is None else seen.data
        replayed_kind, replayed = self._replayed.get(sequence, ("nothing", b""))
        if kind != replayed_kind or (kind == "error" and data != replayed):
            self._session.differs(f"answer to read {sequence}", (kind, data), (replayed_kind, replayed))
        elif kind != "error":
            self._session.compare_result(self._reads.get(sequence, b""), data, replayed)


def _gather(batch: timeline_pb2.CompletionBatch, results: _Results) -> None:
    """Add the answers of a batch; pieces of one read are put together."""
    for completion in batch.completions:
        kind = completion.read.WhichOneof("result") if completion.HasField("read") else None
        if kind == "data":
            results[completion.sequence] = (
                "data",
                results.get(completion.sequence, ("", b""))[1] + completion.read.data,
            )
        elif kind == "error":
            results[completion.sequence] = ("error", completion.read.error.SerializeToString())
        elif kind == "in_slot":
            results.setdefault(completion.sequence, ("in_slot", b""))
