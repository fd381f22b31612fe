"""Life cycle: a dispatch overwrites a result that was not fetched."""

from __future__ import annotations

from ipc.timeline._grpc_commands import Dispatch

Dispatch.ready = lambda self, completed: True
