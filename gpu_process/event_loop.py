"""One thread that waits for everything at once: descriptors, timers and signals."""

from __future__ import annotations

import heapq
import itertools
import selectors
import signal
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol


class HasFileno(Protocol):
    """What selectors can wait for."""

    def fileno(self) -> int: ...


Callback = Callable[[], object]


@dataclass(order=True, slots=True)
class Timer:
    """A call that is to come.

    Attributes:
        due: by the loop's clock, in seconds.
        callback: None once cancelled.
    """

    due: float
    _tie: int
    callback: Callback | None = field(compare=False)

    def cancel(self) -> None:
        """The call will not come; idempotent, also after it came."""
        self.callback = None


class EventLoop:
    """Calls back, one at a time, what has become readable or due.

    A callback takes one step (one packet, one connection) and returns; what is still readable comes again after all
    others had their turn, so that no peer can keep the loop for itself.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._selector = selectors.DefaultSelector()
        self._timers: list[Timer] = []
        self._ties = itertools.count()
        self._running = False
        self._signal_sockets: tuple[socket.socket, ...] = ()

    def watch(self, source: HasFileno | int, callback: Callback) -> None:
        """Call `callback` whenever `source` is readable, has ended or failed."""
        self._selector.register(source, selectors.EVENT_READ, callback)

    def forget(self, source: HasFileno | int) -> None:
        """No longer watch `source`; call it before closing it."""
        self._selector.unregister(source)

    def call_later(self, delay: float, callback: Callback) -> Timer:
        """Call `callback` once, `delay` seconds from now."""
        timer = Timer(self.clock() + delay, next(self._ties), callback)
        heapq.heappush(self._timers, timer)
        return timer

    def watch_signals(self, handlers: Mapping[signal.Signals, Callback]) -> None:
        """Call a handler in the loop's turn after its signal came, as if it were a descriptor."""
        reader, writer = socket.socketpair()
        reader.setblocking(False)
        writer.setblocking(False)
        for number in handlers:
            signal.signal(number, lambda *_: None)  # Python writes the number into the socket before it calls this
        signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        self._signal_sockets = (reader, writer)

        def deliver() -> None:
            for number in set(reader.recv(4096)):
                if handler := handlers.get(signal.Signals(number)):
                    handler()

        self.watch(reader, deliver)

    def run(self) -> None:
        """Run until `stop`."""
        self._running = True
        while self._running:
            self.run_once()

    def run_once(self, timeout: float | None = None) -> None:
        """Wait for something, `timeout` seconds at most, and call back all that is readable or due."""
        for key, _ in self._selector.select(self._patience(timeout)):
            # An earlier callback of this very turn may have closed it.
            if self._selector.get_map().get(key.fd) is key:
                key.data()
        while self._timers and self._timers[0].due <= self.clock():
            if callback := heapq.heappop(self._timers).callback:
                callback()

    def stop(self) -> None:
        """Have `run` return after the current turn."""
        self._running = False

    def close(self) -> None:
        """Close what the loop itself holds, not what it watches."""
        if self._signal_sockets:
            signal.set_wakeup_fd(-1)
        for sock in self._signal_sockets:
            sock.close()
        self._selector.close()

    def _patience(self, timeout: float | None) -> float | None:
        while self._timers and self._timers[0].callback is None:
            heapq.heappop(self._timers)
        waits = [] if timeout is None else [timeout]
        if self._timers:
            waits.append(max(0.0, self._timers[0].due - self.clock()))
        return min(waits, default=None)
