"""What a process that is traced uses instead of the plain ends of a ring; one that is not pays nothing for it."""

from __future__ import annotations

from ipc import trace
from ipc.timeline.ring.client import RingTimeline
from ipc.timeline.ring.commands import Command
from ipc.timeline.ring.ends import GpuEnd


class TracedRingTimeline(RingTimeline):
    """Records when completions are fetched; what is before lies in the call that issued."""

    key = 0

    def _advance(self) -> None:
        began, before = trace.now(), self._end.completed
        super()._advance()
        after = self._end.completed
        if after > before and trace.recorder is not None:
            trace.recorder.span(trace.Stage.RECEIVE, began, self.key, before + 1, after)


class TracedGpuEnd(GpuEnd):
    """Records when a command is copied out and checked, and when its completion is published."""

    __slots__ = ("key",)

    key: int

    @classmethod
    def of(cls, end: GpuEnd, key: int) -> TracedGpuEnd:
        """The same end, timed; the plain one must not be used any more."""
        traced = cls.__new__(cls)
        for name in GpuEnd.__slots__:
            setattr(traced, name, getattr(end, name))
        traced.key = key
        return traced

    def take(self) -> Command:
        began = trace.now()
        command = super().take()
        if trace.recorder is not None:
            trace.recorder.span(trace.Stage.DECODE, began, self.key, self.taken)
        return command

    def complete(self, error: bytes = b"") -> None:
        began = trace.now()
        super().complete(error)
        if trace.recorder is not None:
            trace.recorder.span(trace.Stage.COMPLETE, began, self.key, self.taken)
