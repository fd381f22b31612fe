"""Ring: a thread that listens for all is not told that another one has fetched its result."""

from __future__ import annotations

from ipc.timeline.ring.bells import RendererBells

RendererBells.wake_driver = lambda self: None
