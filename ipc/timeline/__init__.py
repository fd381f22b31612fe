"""The ordered command path of a context, and what carries it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ipc.timeline._client import Broken, ClientTensor, ReadHandle, TimelineClient
from ipc.timeline._grpc import InlineTimeline, StreamTimeline
from ipc.timeline.limits import CARRIERS

if TYPE_CHECKING:
    from ipc.generated.webnn.v1.context_pb2_grpc import WebNNStub

__all__ = ["CARRIERS", "ClientTensor", "ReadHandle", "TimelineClient", "connect"]

_CLIENTS: dict[str, Callable[[WebNNStub, tuple[tuple[str, Any], ...], Broken], TimelineClient]] = {
    "inline": InlineTimeline,
    "stream": StreamTimeline,
}


def connect(carrier: str, stub: WebNNStub, metadata: tuple[tuple[str, Any], ...], broken: Broken) -> TimelineClient:
    """Open the timeline of the context that `metadata` name.

    Args:
        carrier: the one that the context was created with.
        broken: called once, in another thread, with what is known, if the stream ends before `fail` was called. Reads
            stay pending until it is: whoever finds out why the session ended can say so first.

    Raises:
        ValueError: no such carrier.
    """
    if carrier not in _CLIENTS:
        raise ValueError(f"carrier {carrier!r} is none of {', '.join(_CLIENTS)}")
    return _CLIENTS[carrier](stub, metadata, broken)
