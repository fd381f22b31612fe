"""The host's watch over one confined process: takes over the listener of its filter, and judges what it stops."""

from __future__ import annotations

import contextlib
import logging
import select
import socket
from collections import Counter, deque
from collections.abc import Callable
from typing import Any, Final

from gpu_process.event_loop import EventLoop
from gpu_process.sandbox import Outcome, SandboxSpec, Supervisor, Violation, held_layers, receive_listener

_MOST_RECENT: Final = 16

_logger = logging.getLogger(__name__)


class Supervision:
    """From the process's start to its end.

    Attributes:
        counts: how often each system call was stopped.
        recent: the last of them with their arguments, ready for JSON.
        killer: the one that the process was killed for.
    """

    def __init__(
        self,
        loop: EventLoop,
        handover: socket.socket,
        spec: SandboxSpec,
        name: str,
        on_kill: Callable[[], object],
    ) -> None:
        """Takes over `handover`, at whose other end the process locks itself in.

        Args:
            name: of the process, for the log.
            on_kill: called once the process is killed for a call.
        """
        self.counts: Counter[str] = Counter()
        self.recent: deque[dict[str, Any]] = deque(maxlen=_MOST_RECENT)
        self.killer: Violation | None = None
        self._loop = loop
        self._handover = handover
        self._spec = spec
        self._name = name
        self._on_kill = on_kill
        self._supervisor: Supervisor | None = None
        loop.watch(handover, self._receive_listener)

    def close(self) -> None:
        """The process has ended; idempotent."""
        if self._handover.fileno() >= 0:
            self._loop.forget(self._handover)
            self._handover.close()
        if self._supervisor is not None:
            self._loop.forget(self._supervisor)
            self._supervisor.close()
            self._supervisor = None

    def _receive_listener(self) -> None:
        self._loop.forget(self._handover)
        with self._handover:
            try:
                listener, inner_pid = receive_listener(self._handover)
            except EOFError:  # it has no filter, or ended before
                return
        self._supervisor = Supervisor(listener, self._spec, inner_pid)
        self._loop.watch(self._supervisor, self._supervise)

    def _supervise(self) -> None:
        assert self._supervisor is not None
        if not _has_input(self._supervisor.fileno()):  # hung up: the last process under the filter has ended
            self.close()
        elif violation := self._supervisor.handle():
            self._take(violation)

    def _take(self, violation: Violation) -> None:
        self.counts[violation.call] += 1
        self.recent.append(
            {
                "call": violation.call,
                "arguments": [f"{argument:#x}" for argument in violation.arguments],
                "thread": violation.pid,
                "decision": violation.decision.value,
                "outcome": violation.outcome.value,
            }
        )
        if violation.outcome is Outcome.KILLED:
            self.killer = violation
            self._on_kill()
        level = logging.WARNING if self.counts[violation.call] == 1 else logging.DEBUG
        _logger.log(level, "%s: %s", self._name, violation)


def look_from_outside(report: dict[str, Any], pid: int) -> None:
    """Fill in the layers that process `pid` could not see itself, in what it reported as JSON."""
    with contextlib.suppress(OSError):  # it has ended, or this user may not look
        for layer, (held, detail) in held_layers(pid).items():
            entry = report.get("layers", {}).get(layer.value)
            if entry is not None and entry["held"] is None:
                entry.update(held=held, detail=detail)


def _has_input(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return any(events & select.POLLIN for _, events in poll.poll(0))
