"""What a host tells about itself: who is there, and what has happened."""

from __future__ import annotations

import json
import os
from collections import Counter, deque
from collections.abc import Callable, Collection
from functools import partial
from typing import Any, Final

from gpu_process.exit_status import Death
from gpu_process.process_handle import ProcessHandle
from ipc.channel import MAX_PACKET_BYTES

_MOST_RECENT: Final = 32


class Chronicle:
    """What has happened since the host's start.

    Attributes:
        bad_messages: how many sessions ended with one, by its reason.
    """

    def __init__(self) -> None:
        self.bad_messages: Counter[str] = Counter()
        self._deaths: deque[dict[str, Any]] = deque(maxlen=_MOST_RECENT)

    def died(self, process: ProcessHandle, death: Death, culprit_pid: int | None) -> None:
        """A GPU process has."""
        self._deaths.append(
            {
                "process": process.number,
                "pid": process.pid,
                "backends": list(process.launcher.backends),
                "cause": death.cause.value,
                "detail": death.detail,
                "charged_to": culprit_pid,
                "violations": dict(process.supervision.counts),
                "recent_violations": list(process.supervision.recent),
            }
        )

    def to_json(self) -> dict[str, Any]:
        """The most recent events in full, all others as numbers."""
        return {"bad_messages": self.bad_messages.total(), "recent_deaths": list(self._deaths)}


def ask_all(processes: Collection[ProcessHandle], answer: Callable[[dict[int, dict[str, Any] | None]], None]) -> None:
    """Have every GPU process tell its status; `answer` gets them by number, None of whoever ended first."""
    wanted = len(processes)
    statuses: dict[int, dict[str, Any] | None] = {}

    def answered(number: int, status: dict[str, Any] | None) -> None:
        statuses[number] = status
        if len(statuses) == wanted:
            answer(statuses)

    for process in list(processes):
        process.ask(partial(answered, process.number))
    if not wanted:
        answer(statuses)


def as_packet(status: dict[str, Any], services: dict[int, dict[str, Any] | None], *, confidential: bool) -> str:
    """The status as JSON that fits into a packet.

    Args:
        services: what the GPU processes tell of their sessions, by number; left out where it is too long.
        confidential: whether the reader may know the arguments of system calls, which tell where memory is.
    """
    if not confidential:
        for entry in (*status["gpu_processes"], *status["recent_deaths"]):
            del entry["recent_violations"]
    full = {
        **status,
        "gpu_processes": [{**it, "service": services.get(it["number"])} for it in status["gpu_processes"]],
    }
    for candidate in (full, status, {**status, "recent_deaths": []}):
        if len(text := json.dumps(candidate)) <= MAX_PACKET_BYTES // 2:
            return text
    return json.dumps({"host": {"pid": os.getpid()}})
