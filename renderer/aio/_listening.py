"""An event loop hears for itself what comes over a ring: no thread does it for it."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator

from ipc.timeline import RingTimeline, TimelineClient


@contextlib.contextmanager
def listening(timeline: TimelineClient) -> Iterator[None]:
    """While the running loop awaits a read: watch the bell of a ring. Other carriers have a thread of gRPC's."""
    if not isinstance(timeline, RingTimeline):
        yield
        return
    try:
        # A number of our own: the timeline may close its descriptor before the loop has forgotten it.
        descriptor = os.dup(timeline.descriptor)
    except OSError:  # it is over, and the read has failed
        yield
        return
    loop = asyncio.get_running_loop()

    def hear() -> None:
        if not timeline.hear():
            loop.remove_reader(descriptor)

    loop.add_reader(descriptor, hear)
    timeline.join()
    try:
        yield
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
        timeline.leave()
