"""Life cycle: a dispatch overwrites a result that was not fetched."""

from __future__ import annotations

from ipc.timeline import _grpc

_grpc._Dispatch.ready = lambda self, completed: True
