"""Faults on request: messages that get lost, processes that die at a named point, memory that runs out.

A plan is text, so that it can be typed, written into a bug report and run again:

    SPEC   = ITEM (";" ITEM)*
    ITEM   = "seed=" N  |  WHERE ":" WHAT ["@" WHEN]  |  "gpu.deny:" SYSTEM-CALL
    WHERE  = "renderer.host" | "renderer.session" | "renderer.call"       what the renderer sends to the host, over the
                                                                          session's socket, and as calls that are
                                                                          answered once
           | "renderer.timeline"                                          batches of commands (not by `ring`)
           | "gpu.host" | "gpu.session"                                   what the GPU process sends
           | "gpu.compile" | "gpu.run" | "gpu.allocate"                   what it does: builds, dispatches, regions
    WHAT   = "drop" | "duplicate" | "swap" | "close-before" | "close-after"             of messages
           | "fail"                                                                      of what it does
           | "delay=" SECONDS | "kill-before" | "kill-after" | "crash-before"            of both
    WHEN   = N | N "-" M | "*" | P "%"        the Nth there, from 1 (the default); each with a probability, by the seed

`swap` sends a message after the next one. `kill` is SIGKILL and `crash` SIGSEGV, to the process whose place it is. Of
what has several items, the first that applies is done. What is the GPU process's is for the host's first one; whatever
replaces it is sound. The same plan and the same order of events give the same faults.

Where there is no plan nothing of this runs: `install` puts its own in the place of what it disturbs.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

from ipc import channel
from ipc.channel import ChannelClosed, MessageSocket

_BOTH: Final = frozenset({"delay", "kill-before", "kill-after", "crash-before"})
_OF_MESSAGES: Final = _BOTH | {"drop", "duplicate", "swap", "close-before", "close-after"}
_OF_DEEDS: Final = _BOTH | {"fail"}

PLACES: Final = {
    **dict.fromkeys(
        ("renderer.host", "renderer.session", "renderer.call", "renderer.timeline", "gpu.host", "gpu.session"),
        _OF_MESSAGES,
    ),
    **dict.fromkeys(("gpu.compile", "gpu.run", "gpu.allocate"), _OF_DEEDS),
}
"""What can be asked for at each place."""

# By the kind of message that is sent; all others are nobody's business here.
_STREAMS: Final = {"HostRequest": "host", "GpuReply": "host", "SessionMessage": "session"}

_ITEM: Final = re.compile(r"(?P<where>[a-z.]+):(?P<what>[a-z0-9_-]+)(?:=(?P<value>[0-9.]+))?(?:@(?P<when>[0-9*%.-]+))?")
_WHEN: Final = re.compile(r"(?P<all>\*)|(?P<percent>[0-9.]+)%|(?P<first>[0-9]+)(?:-(?P<last>[0-9]+))?")

T = TypeVar("T")


class FaultError(ValueError):
    """A plan is not of the form that the grammar has; the message quotes the item."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One item of a plan.

    Attributes:
        where: the place.
        what: is done there.
        seconds: of a delay.
        first, last: number of the events that it applies to.
        probability: with which it does.
    """

    where: str
    what: str
    seconds: float = 0.0
    first: int = 1
    last: int = 1
    probability: float = 1.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to go wrong.

    Attributes:
        denied: system calls that the sandbox of the GPU process refuses on request.
    """

    faults: tuple[Fault, ...] = ()
    denied: tuple[str, ...] = ()
    seed: int = 0

    @classmethod
    def parse(cls, text: str) -> Plan:
        """The plan in `text`; an empty one has no faults.

        Raises:
            FaultError: an item is not of the grammar.
        """
        faults, denied, seed = [], [], 0
        for item in filter(None, (part.strip() for part in text.split(";"))):
            if item.startswith("seed=") and item[5:].isdigit():
                seed = int(item[5:])
            elif item.startswith("gpu.deny:"):
                denied.append(item.partition(":")[2])
            else:
                faults.append(_parse(item))
        return cls(tuple(faults), tuple(denied), seed)

    def place(self, where: str) -> Place | None:
        """The events at one place; None where nothing is to happen there."""
        wanted = [fault for fault in self.faults if fault.where == where]
        return Place(wanted, random.Random(f"{self.seed} {where}")) if wanted else None


class Place:
    """Counts what happens at one place, and says which of it goes wrong. Thread-safe."""

    def __init__(self, faults: Sequence[Fault], chance: random.Random) -> None:
        self._faults = faults
        self._chance = chance
        self._lock = threading.Lock()
        self._count = 0

    def next(self) -> Fault | None:
        """The fault of the next event."""
        with self._lock:
            self._count += 1
            for fault in self._faults:
                if fault.first <= self._count <= fault.last and self._chance.random() < fault.probability:
                    return fault
        return None

    def deed(self, action: Callable[[], T], failure: Callable[[], Exception]) -> T:
        """Does something: later, or not at all, or with the process ended before or after."""
        fault = self.next()
        if fault is not None:
            _before(fault)
            if fault.what == "fail":
                raise failure()
        result = action()
        if fault is not None:
            _after(fault)
        return result


class Traffic:
    """Messages on their way through one place, each delivered never, once, or twice, now or after the next."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._held: list[Callable[[], None]] = []

    def send(
        self, deliver: Callable[[], None], hold: Callable[[], Callable[[], None]], close: Callable[[], None]
    ) -> None:
        """Send one message, or not.

        Args:
            hold: makes a delivery that can be done after the sender has forgotten the message.
            close: ends the connection.
        """
        fault = self._place.next()
        what = "" if fault is None else fault.what
        if fault is not None:
            _before(fault)
        if what == "close-before":
            close()
        if what == "swap":
            self._held.append(hold())
            return
        if what != "drop":
            deliver()
        if what == "duplicate":
            deliver()
        held, self._held = self._held, []
        for late in held:
            late()
        if what == "close-after":
            close()
        if fault is not None:
            _after(fault)


def install(plan: Plan, side: str) -> None:
    """Have this process suffer what the plan has for its side, from now on.

    Args:
        side: "renderer" or "gpu".
    """
    streams = {stream: plan.place(f"{side}.{stream}") for stream in ("host", "session")}
    _disturb_sockets({stream: place for stream, place in streams.items() if place is not None})
    timeline, calls = plan.place(f"{side}.timeline"), plan.place(f"{side}.call")
    if timeline is not None or calls is not None:
        from ipc import grpc_faults  # which imports this module, and gRPC

        if timeline is not None:
            channel.disturbances.append(partial(grpc_faults.disturb_timelines, timeline))
        if calls is not None:
            channel.disturbances.append(partial(grpc_faults.DisturbedCalls, calls))


def _parse(item: str) -> Fault:
    match = _ITEM.fullmatch(item)
    if match is None or match["where"] not in PLACES or match["what"] not in PLACES[match["where"]]:
        raise FaultError(f"fault {item!r}: not WHERE:WHAT@WHEN, or that cannot be done there (see ipc.faults)")
    if (match["value"] is not None) != (match["what"] == "delay"):
        raise FaultError(f"fault {item!r}: `delay`, and nothing else, has a number of seconds")
    when = _WHEN.fullmatch(match["when"] or "1")
    if when is None:
        raise FaultError(f"fault {item!r}: when is N, N-M, * or P%")
    try:
        seconds = float(match["value"] or 0)
        if when["all"]:
            return Fault(match["where"], match["what"], seconds, 1, _FOR_EVER)
        if when["percent"]:
            return Fault(match["where"], match["what"], seconds, 1, _FOR_EVER, float(when["percent"]) / 100)
    except ValueError:
        raise FaultError(f"fault {item!r}: no number") from None
    first = int(when["first"])
    return Fault(match["where"], match["what"], seconds, first, int(when["last"] or first))


_FOR_EVER: Final = 1 << 62


def _before(fault: Fault) -> None:
    if fault.what == "delay":
        time.sleep(fault.seconds)
    elif fault.what == "kill-before":
        _end(signal.SIGKILL)
    elif fault.what == "crash-before":
        _end(signal.SIGSEGV)


def _after(fault: Fault) -> None:
    if fault.what == "kill-after":
        _end(signal.SIGKILL)


def _end(number: signal.Signals) -> None:
    # To a thread of its own: that much a sandbox lets a process do to itself.
    signal.pthread_kill(threading.get_ident(), number)


def _disturb_sockets(places: dict[str, Place]) -> None:
    undisturbed = MessageSocket.send
    lock = threading.Lock()
    traffics: weakref.WeakKeyDictionary[MessageSocket[Any, Any], Traffic] = weakref.WeakKeyDictionary()

    def send(
        self: MessageSocket[Any, Any], message: Any, fds: Sequence[int] = (), timeout: float | None = None
    ) -> None:
        place = places.get(_STREAMS.get(type(message).__name__, ""))
        if place is None:
            undisturbed(self, message, fds, timeout)
            return

        def hold() -> Callable[[], None]:
            kept = [os.dup(fd) for fd in fds]

            def late() -> None:
                try:
                    with contextlib.suppress(ChannelClosed):  # meanwhile
                        undisturbed(self, message, kept, timeout)
                finally:
                    for fd in kept:
                        os.close(fd)

            return late

        with lock:
            traffic = traffics.setdefault(self, Traffic(place))
        traffic.send(lambda: undisturbed(self, message, fds, timeout), hold, self.shut_down)

    if places:
        MessageSocket.send = send  # type: ignore[method-assign]
