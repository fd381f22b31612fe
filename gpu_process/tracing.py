"""What a GPU process that is traced uses instead of the plain parts; one that is not pays nothing for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from gpu_process.backends import Binding
from gpu_process.bound_graph import BoundGraph, GraphObject
from gpu_process.tensors import Tensor
from ipc import trace

if TYPE_CHECKING:
    from gpu_process.scheduler import Scheduler


class TimedBinding:
    """A backend's binding that knows when it ran.

    Attributes:
        began, ended: of the last run, on the trace's clock; `ended` also of one that failed.
    """

    def __init__(self, binding: Binding) -> None:
        self.began = self.ended = 0
        self._binding = binding

    def run(self) -> None:
        """See `Binding.run`."""
        self.began = trace.now()
        try:
            self._binding.run()
        finally:
            self.ended = trace.now()


class TracedGraph(BoundGraph):
    """A graph with its tensors that tells the trace when it ran."""

    __slots__ = ("_key", "_scheduler")

    def __init__(
        self,
        graph: GraphObject,
        inputs: Mapping[str, Tensor],
        outputs: Mapping[str, Tensor],
        scheduler: Scheduler,
        key: int,
    ) -> None:
        super().__init__(graph, inputs, outputs)
        self._scheduler = scheduler
        self._key = key

    def run(self) -> None:
        began = trace.now()
        super().run()
        bound, recorder = self._bound, trace.recorder
        if isinstance(bound, TimedBinding) and recorder is not None and bound.began >= began:
            sequence = self._scheduler.done + 1
            recorder.span(trace.Stage.COPY_IN, began, self._key, sequence, ended=bound.began)
            recorder.span(trace.Stage.RUN, bound.began, self._key, sequence, ended=bound.ended)
            recorder.span(trace.Stage.COPY_OUT, bound.ended, self._key, sequence)

    def _bind(self) -> Binding:
        return TimedBinding(super()._bind())
