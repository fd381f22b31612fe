"""Codec: labels are lost."""

from __future__ import annotations

from dataclasses import replace

from ipc.codec import _graph
from tests.scripts.fuzz.planted import after

after(_graph, "_decode_operation", lambda operation: replace(operation, label=""))
