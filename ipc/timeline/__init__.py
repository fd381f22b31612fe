"""The ordered command path of a context, and what carries it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ipc.options import DEFAULT_SPIN_US
from ipc.timeline._client import Binding, Broken, ClientTensor, ReadHandle, TimelineClient
from ipc.timeline._grpc import InlineTimeline, StreamTimeline
from ipc.timeline.limits import CARRIERS
from ipc.timeline.ring import RingParts, RingTimeline, connect_ring

if TYPE_CHECKING:
    from ipc.timeline.stub import ServiceStub

__all__ = [
    "CARRIERS",
    "Binding",
    "ClientTensor",
    "ReadHandle",
    "RingParts",
    "RingTimeline",
    "TimelineClient",
    "connect",
]

_ON_A_STREAM: dict[str, Callable[[ServiceStub, tuple[tuple[str, Any], ...], Broken], TimelineClient]] = {
    "inline": InlineTimeline,
    "stream": StreamTimeline,
}


def connect(
    carrier: str,
    stub: ServiceStub,
    metadata: tuple[tuple[str, Any], ...],
    broken: Broken,
    *,
    ring: RingParts | None = None,
    spin_us: int = DEFAULT_SPIN_US,
) -> TimelineClient:
    """Open the timeline of the context that `metadata` name.

    Args:
        carrier: the one that the context was created with.
        broken: called once, in another thread, with what is known, if the stream ends before `fail` was called. Reads
            stay pending until it is: whoever finds out why the session ended can say so first.
        ring: what the GPU process has handed over for it, for the carrier `ring`.
        spin_us: microseconds for which the carrier `ring` polls before it sleeps; 0 sleeps at once.

    Raises:
        ValueError: no such carrier.
    """
    if carrier in _ON_A_STREAM:
        return _ON_A_STREAM[carrier](stub, metadata, broken)
    if carrier == "ring" and ring is not None:
        return connect_ring(ring, stub, metadata, broken, spin_us / 1e6)
    raise ValueError(f"carrier {carrier!r} is none of {', '.join(CARRIERS)}, or comes without its parts")
