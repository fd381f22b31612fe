"""Ring: a read is settled before its bytes are there."""

from __future__ import annotations

from typing import Any

from ipc.timeline.ring.core import PendingRead

_original = PendingRead.fetch


def _fetch(self: Any) -> None:
    self.settled = True
    _original(self)


PendingRead.fetch = _fetch
