"""Carrier `ring`: a ring of commands in shared memory. docs/ipc.md tells how it works."""

from __future__ import annotations

from ipc.timeline.ring._connect import connect_ring
from ipc.timeline.ring.bells import RendererBells
from ipc.timeline.ring.client import RingParts, RingTimeline
from ipc.timeline.ring.ends import GpuEnd, RendererEnd
from ipc.timeline.ring.layout import CAPACITY, ERROR_BYTES, HOT_BYTES, RING_BYTES

__all__ = [
    "CAPACITY",
    "ERROR_BYTES",
    "HOT_BYTES",
    "RING_BYTES",
    "GpuEnd",
    "RendererBells",
    "RendererEnd",
    "RingParts",
    "RingTimeline",
    "connect_ring",
]
