"""Ring: who sleeps is not told of what is done."""

from __future__ import annotations

from typing import Any

from ipc.timeline.ring.ends import GpuEnd

_original = GpuEnd.complete


def _complete(self: Any, error: bytes = b"") -> None:
    bell, self._bell = self._bell, lambda: None
    _original(self, error)
    self._bell = bell


GpuEnd.complete = _complete
