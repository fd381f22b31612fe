"""Limits of a session: what they are, and the account that is charged before anything is allocated.

Whoever exceeds a limit gets `QuotaExceededError`; nothing else happens to it.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, fields

from ipc.errors import QuotaExceededError

_MIB, _GIB = 1 << 20, 1 << 30
_MOST_CALLS = 768  # 6 GiB of stacks, of the 8 GiB that the sandbox allows


@dataclass(frozen=True, slots=True, kw_only=True)
class Quotas:
    """Every limit, with its default. Chromium has none of these but the size of a single tensor.

    Attributes:
        sessions: per GPU process.
        renderer_sessions: of one renderer, at all GPU processes, so that none can take those of the others.
        contexts: per session.
        tensors: per context, constant ones included.
        tensor_bytes: of all tensors of a session, each counted once, though a shared one may have a private twin.
        graphs: per context.
        constant_bytes: memory of all regions that a session has handed over and that are still in use.
        regions: handed over and not withdrawn, per session.
        operations: per graph.
        operands: per graph.
        graph_message_bytes: of a serialised graph, which is kept whole until it is decoded.
        intermediate_bytes: of all intermediate operands of a graph together.
        name_bytes: of one name or label, in UTF-8.
        graph_macs: multiply-accumulate operations that one dispatch is estimated to take.
        builds: graphs that a session is building at the same time.
        calls: contexts and tensors that a session is creating at the same time.
        ends: contexts that a session is destroying at the same time; a correct renderer has no more than exist.
        wait_seconds: that a call may wait for its place in the timeline.
        command_seconds: that one command of a timeline may run; 0 is for ever. What is native cannot be interrupted:
            the process ends, and whose command it was is charged with the crash.
        build_seconds: the same for the compilation of a graph.
    """

    sessions: int = 32
    renderer_sessions: int = 8
    contexts: int = 16
    tensors: int = 4096
    tensor_bytes: int = 1 * _GIB
    graphs: int = 4096
    constant_bytes: int = 1 * _GIB
    regions: int = 1024
    operations: int = 16_384
    operands: int = 65_536
    graph_message_bytes: int = 32 * _MIB
    intermediate_bytes: int = 2 * _GIB
    name_bytes: int = 1024
    graph_macs: int = 10**12
    builds: int = 8
    calls: int = 16
    ends: int = 16
    wait_seconds: int = 60
    command_seconds: int = 60
    build_seconds: int = 120

    def __post_init__(self) -> None:
        for entry in fields(self):
            if getattr(self, entry.name) < 0:
                raise ValueError(f"quota {entry.name}: {getattr(self, entry.name)} is negative")

    @property
    def calls_at_once(self) -> int:
        """Of all sessions together; each of them holds a thread, a timeline's for as long as its context lives.

        A thread's stack counts as memory whether it is used or not: there are never more than fit, and what one
        renderer may have leaves room for others.
        """
        return min(self.sessions * (self.contexts + self.calls + self.builds + self.ends), _MOST_CALLS)

    @classmethod
    def of(cls, overrides: Mapping[str, int]) -> Quotas:
        """The defaults but for `overrides`, by name.

        Raises:
            ValueError: a name is unknown or a limit is negative.
        """
        unknown = sorted(overrides.keys() - {entry.name for entry in fields(cls)})
        if unknown:
            raise ValueError(f"no such quota: {', '.join(unknown)}")
        return cls(**overrides)


def exceeded(name: str, wanted: int, limit: int) -> QuotaExceededError:
    """The error to raise; it names the quota, so that whoever runs the host knows which to raise."""
    return QuotaExceededError(f"quota {name}: {wanted} exceed the limit of {limit}", rule=f"quota.{name}")


def check(name: str, wanted: int, limit: int) -> None:
    """Refuse what is over a limit that nothing is charged to.

    Raises:
        QuotaExceededError: it is.
    """
    if wanted > limit:
        raise exceeded(name, wanted, limit)


class Account:
    """What is used of one limit. Thread-safe."""

    __slots__ = ("_limit", "_lock", "_name", "_used")

    def __init__(self, name: str, limit: int) -> None:
        self._name = name
        self._limit = limit
        self._used = 0
        self._lock = threading.RLock()  # re-entrant: a finaliser may credit in the middle of a charge

    @property
    def used(self) -> int:
        return self._used

    def charge(self, amount: int) -> None:
        """Reserve `amount`, before it is allocated.

        Raises:
            QuotaExceededError: it does not fit; nothing is charged.
        """
        with self._lock:
            if self._used + amount > self._limit:
                raise exceeded(self._name, self._used + amount, self._limit)
            self._used += amount

    def credit(self, amount: int) -> None:
        """Give back what was charged."""
        with self._lock:
            self._used -= amount
            assert self._used >= 0, f"quota {self._name}: more was given back than was charged"
