"""What a GPU process that is traced uses instead of the plain parts; one that is not pays nothing for it."""

from __future__ import annotations

from gpu_process.backends import Binding
from ipc import trace


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
