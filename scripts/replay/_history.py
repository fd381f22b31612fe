"""A recording as history: whose backends, which names, in which order."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from google.protobuf.message import DecodeError

from ipc.generated.webnn.v1 import recording_pb2, session_pb2

PSEUDONYM: Final = re.compile(rb"token#\d{10}|secret#\d{25}")
"""What stands for a token or a secret in a recording."""

SeenKey = tuple[int, bytes, int]
"""Of memory that a command has used: process, context, sequence number."""


class ReplayError(Exception):
    """The replay can't go on; the message says at which event."""


def in_order_of_sending(events: Sequence[recording_pb2.Recorded]) -> Sequence[recording_pb2.Recorded]:
    """With every packet before the call that names its region.

    A packet is recorded when it is taken from the socket, and that is often because a call has named what it brings.
    """
    first_use: dict[tuple[int, int, bytes], int] = {}
    for at, event in enumerate(events):
        for token in PSEUDONYM.findall(event.call_received.data):
            first_use.setdefault((event.process, event.session, token), at)
    places: dict[int, int] = {}
    limits: dict[tuple[int, int], int] = {}
    for at in range(len(events) - 1, -1, -1):  # backwards: what was sent before a packet that moves moves too
        event = events[at]
        if event.HasField("packet_received"):
            session = (event.process, event.session)
            used = first_use.get((*session, _offered(event.packet_received.data)), at)
            places[at] = limits[session] = min(at, used, limits.get(session, at))
    order = sorted(range(len(events)), key=lambda at: (places.get(at, at), at not in places, at))
    return [events[at] for at in order]


def _offered(packet: bytes) -> bytes:
    """The token of the region that a packet hands over; empty if it does something else."""
    try:
        return session_pb2.SessionMessage.FromString(packet).region_offered.token
    except DecodeError:
        return b""


def backends(events: Sequence[recording_pb2.Recorded], process: int = 0) -> Sequence[str]:
    """Of a GPU process of the recording, or of the first one."""
    for event in events:
        if event.HasField("process_started") and process in (0, event.process):
            return event.process_started.backends
    raise ReplayError("the recording has no GPU process")
