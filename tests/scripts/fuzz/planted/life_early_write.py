"""Life cycle: a write is seen by a dispatch that was issued before."""

from __future__ import annotations

from ipc.timeline import _grpc

_grpc._SlotWrite.ready = lambda self, completed: True
