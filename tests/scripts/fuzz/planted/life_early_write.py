"""Life cycle: a write is seen by a dispatch that was issued before."""

from __future__ import annotations

from ipc.timeline._grpc_commands import SlotWrite

SlotWrite.ready = lambda self, completed: True
