"""Carrier `ring`: commands and tensors in shared memory; nothing is serialised, and often nobody sleeps.

Threads: whoever calls issues, under one lock. Whoever waits for a read polls for a moment; then one of those who wait,
the driver, sleeps until the GPU process rings, and fetches what has come for everyone. An event loop can drive as well:
it watches `descriptor` and calls `hear`. Only where something is to happen that nobody waits for (a callback, a command
that could not be published yet) there is a thread for it, started when it is first needed.
"""

from __future__ import annotations

import logging
import math
import select
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass
from typing import Any

from ipc.errors import MLError
from ipc.shared_memory import Region
from ipc.timeline._client import Binding, Broken, ClientTensor, Failure, bytes_of
from ipc.timeline.limits import MAX_DEFINITIONS
from ipc.timeline.ring.bells import RendererBells, eventfd_bell, give_way, make_fence
from ipc.timeline.ring.core import DecodeError, PendingRead, RingCore
from ipc.timeline.ring.ends import RendererEnd, RingError
from ipc.timeline.ring.polling import Polling

_logger = logging.getLogger(__name__)

Define = Callable[[Sequence[Binding], Callable[[], None]], None]
"""Tells the GPU process of bindings, and calls back, in any thread, once it knows them; never, if that fails."""


@dataclass(frozen=True, slots=True)
class RingParts:
    """What a renderer gets for a ring."""

    region: Region
    bells: RendererBells


class RingRead(PendingRead):
    """A `ReadHandle`."""

    __slots__ = ("_callbacks", "_timeline")

    def __init__(self, timeline: RingTimeline, tensor: ClientTensor, into: memoryview | None, view: bool) -> None:
        super().__init__(tensor, into, view)
        self._timeline = timeline
        self._callbacks: list[Callable[[Any], object]] = []

    def result(self, timeout: float | None = None) -> memoryview:
        if not self.settled:
            self._timeline.wait(self, timeout)
        if self.cancelled:
            raise CancelledError
        if self.error is not None:
            raise type(self.error)(str(self.error))
        assert self.data is not None
        return self.data

    def cancel(self) -> bool:
        if self._timeline.cancel(self):
            self.call_back()
        return self.cancelled

    def done(self) -> bool:
        return self.settled or self.cancelled

    def add_done_callback(self, callback: Callable[[Any], object], /) -> None:
        self._callbacks.append(callback)
        if not self._timeline.expect(self):
            self.call_back()

    def call_back(self) -> None:
        """Tell everybody that it is over; each once."""
        while self._callbacks:
            try:
                self._callbacks.pop(0)(self)
            except Exception:
                _logger.exception("a callback of a read failed")  # others still want to be called


class RingTimeline:
    """A `TimelineClient` on a ring."""

    def __init__(
        self, parts: RingParts, define: Define, decode_error: DecodeError, broken: Broken, spin: float
    ) -> None:
        """
        Args:
            spin: seconds to poll before sleeping; 0 sleeps at once.
        """
        self._bells = parts.bells
        self._define = define
        self._broken = broken
        self._polls = spin > 0
        self._polling = Polling(int(spin * 1e9), waits_for_answers=True, give_way=give_way, clock=time.monotonic_ns)
        self._end = RendererEnd(parts.region.memory.data, eventfd_bell(parts.bells.doorbell), make_fence())
        self._core = RingCore(self._end, decode_error)
        self._lock = threading.Lock()  # guards core and end, and makes the order
        self._failure = Failure()
        self._is_broken = False
        self._is_over = False  # nothing will be published any more: the bells can go
        self._driving = threading.Lock()  # held by who listens to the bell
        self._driver_sleeps = False
        self._sleepers: dict[int, threading.Lock] = {}
        self._defining = False
        self._expecting = 0  # reads under way that somebody is to be told of
        self._loops = 0  # that watch the descriptor
        self._listener: threading.Thread | None = None
        self._listener_is_needed = threading.Event()

    @property
    def sequence(self) -> int:
        return self._core.sequence

    def write(self, tensor: ClientTensor, data: memoryview) -> None:
        data = bytes_of(data, tensor)
        core = self._core
        if core.waiting:
            self._wait_for_room()
        with self._lock:
            if self._failure.error is not None:
                self._failure.check()
            try:
                core.write(tensor, data)
            except RingError as error:
                self._distrust(error)
        if core.waiting or core.settled:
            self._tend()

    def dispatch(
        self, graph: bytes, inputs: Mapping[str, ClientTensor], outputs: Mapping[str, ClientTensor]
    ) -> Binding:
        with self._lock:
            self._failure.check()
            binding = self._core.bind(graph, inputs, outputs)
        if not self.dispatch_again(binding):
            return self.dispatch(graph, inputs, outputs)  # another thread has taken its number meanwhile
        return binding

    def dispatch_again(self, binding: Binding) -> bool:
        core = self._core
        if core.waiting:
            self._wait_for_room()
        with self._lock:
            if self._failure.error is not None:
                self._failure.check()
            if not binding.live:
                return False
            try:
                core.dispatch(binding)
            except RingError as error:
                self._distrust(error)
        if core.waiting or core.settled:
            self._tend()
        return True

    def read(self, tensor: ClientTensor, into: memoryview | None = None, *, view: bool = False) -> RingRead:
        read = RingRead(self, tensor, None if into is None else bytes_of(into, tensor), view)
        core = self._core
        if core.waiting:
            self._wait_for_room()
        with self._lock:
            if self._failure.error is not None:
                self._failure.check()
            core.read(tensor, read)
        if core.waiting:
            self._tend()
        return read

    def destroy_tensor(self, tensor: ClientTensor) -> None:
        with self._lock:
            self._failure.check()
            self._core.destroy_tensor(tensor)
        self._tend()

    def destroy_graph(self, graph: bytes) -> None:
        with self._lock:
            self._failure.check()
            self._core.destroy_graph(graph)
        self._tend()

    def fail(self, error: MLError) -> None:
        if not self._failure.set(error):
            return
        with self._lock:
            self._core.fail(error)
            self._is_over = True
            self._wake_sleepers(everyone=True)
        self._tend()
        self._listener_is_needed.set()  # to see that it is over
        self._bells.hush()  # wakes the driver
        if self._driving.acquire(blocking=False):
            self._stop_driving()

    # --- an event loop that drives ------------------------------------------------------------------------------------

    @property
    def descriptor(self) -> int:
        """Readable when `hear` is to be called; -1 when it is over."""
        return self._bells.socket.fileno()

    def join(self) -> None:
        """An event loop watches `descriptor` from now on: no thread is needed."""
        self._loops += 1
        self.hear()

    def leave(self) -> None:
        """It watches no more."""
        self._loops -= 1
        self._tend()

    def hear(self) -> bool:
        """Take what has come, and have the bell rung for the next; False if no more will."""
        self._listen_to_bells()
        self._tell_driver()
        self._tend()
        return not self._is_broken and self._failure.error is None

    # --- reads --------------------------------------------------------------------------------------------------------

    def wait(self, read: RingRead, timeout: float | None) -> None:
        """Wait until a read is settled or cancelled.

        Raises:
            TimeoutError: it was not in time.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        peek, sequence = self._end.peek, read.sequence
        if peek() < sequence and self._polls:
            self._poll_for(sequence, deadline)
        if peek() >= sequence or self._core.waiting:
            with self._lock:
                self._advance()
            if self._core.settled or self._core.has_unknown:
                self._tend()
        if not read.settled:
            self._sleep_until(read.done, deadline)

    def cancel(self, read: RingRead) -> bool:
        """Give a read up; False if it is over, or was given up before."""
        with self._lock:
            if read.settled or read.cancelled:
                return False
            read.cancelled = True
            self._wake_sleepers(everyone=True)
        return True

    def expect(self, read: RingRead) -> bool:
        """Somebody is to be told when a read is over; False if it is."""
        with self._lock:
            if read.done():
                return False
            if not read.expected:
                read.expected = True
                self._expecting += 1
        if self._loops:
            self._tell_driver()
        self._tend()
        return True

    # --- waiting ------------------------------------------------------------------------------------------------------

    def _poll_for(self, sequence: int, deadline: float | None) -> None:
        peek, core = self._end.peek, self._core
        until = math.inf if deadline is None else deadline * 1e9
        for _ in self._polling.rounds(until):
            if peek() >= sequence:
                return
            if core.waiting:
                with self._lock:
                    self._advance()
                self._tend()

    def _sleep_until(self, satisfied: Callable[[], bool], deadline: float | None) -> None:
        """Drive, or sleep while another thread does."""
        sleeper = threading.Lock()
        sleeper.acquire()
        with self._lock:
            self._sleepers[id(sleeper)] = sleeper
        try:
            while not satisfied():
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    raise TimeoutError
                if not self._is_broken and self._driving.acquire(blocking=False):
                    self._drive(left, satisfied)
                    continue
                self._tell_driver()
                self._call_back()
                if not satisfied():
                    sleeper.acquire(timeout=-1 if left is None else left)
        finally:
            with self._lock:
                del self._sleepers[id(sleeper)]
                self._wake_sleepers()  # one of them may have to drive

    def _drive(self, timeout: float | None, satisfied: Callable[[], bool]) -> None:
        """Sleep until the bell rings, and fetch what has come; with `_driving`, which is released."""
        self._tell()
        try:
            with self._lock:
                # Another thread may have fetched what this one waits for, and then no bell will ring for it.
                self._driver_sleeps = not satisfied() and self._arm() and self._failure.error is None
            if self._driver_sleeps:
                poll = select.poll()
                poll.register(self._bells.socket, select.POLLIN)
                poll.register(self._bells.nudge, select.POLLIN)
                poll.poll(None if timeout is None else timeout * 1000)
                self._listen_to_bells()
            with self._lock:
                self._driver_sleeps = False
                self._advance()
        finally:
            self._stop_driving()
        self._tend()

    def _stop_driving(self) -> None:
        with self._lock:
            if self._is_over:
                self._bells.close()
            self._driving.release()
            self._wake_sleepers()

    def _arm(self) -> bool:
        """Have the bell rung for what comes next; False if it has come meanwhile. With the lock."""
        return self._failure.error is not None or self._end.wake_at(self._core.interest())

    def _tell_driver(self) -> None:
        """Have the bell rung for what comes next: whoever drives may be asleep until something later."""
        with self._lock:
            self._advance()
            while not self._arm() and not self._is_broken:
                self._advance()

    def _advance(self) -> None:
        """Take what has come. With the lock."""
        if self._failure.error is None and not self._is_broken:
            try:
                if self._core.advance():
                    self._wake_sleepers(everyone=True)
                    if self._driver_sleeps:  # for what was fetched now, so that no bell may ring for it any more
                        self._driver_sleeps = False
                        self._bells.wake_driver()
            except RingError as error:
                self._distrust(error)

    def _wake_sleepers(self, *, everyone: bool = False) -> None:
        """Have those who sleep look again, or the first of them. With the lock."""
        for sleeper in self._sleepers.values():
            if sleeper.locked():
                sleeper.release()
                if not everyone:
                    return

    def _wait_for_room(self) -> None:
        core = self._core
        if core.is_full:
            self._sleep_until(lambda: not core.is_full or self._failure.error is not None, None)

    # --- what nobody waits for ----------------------------------------------------------------------------------------

    def _tend(self) -> None:
        """Call back, tell of new bindings, have somebody listen. Without the lock."""
        while True:
            self._call_back()
            self._tell()
            if not ((self._core.waiting or self._expecting) and self._driving.locked()):
                break
            self._tell_driver()
            if not self._core.settled:  # it may have taken what somebody is to be told of
                break
        if self._is_left_alone():
            self._listener_is_needed.set()
            if self._listener is None:
                self._start_listener()

    def _call_back(self) -> None:
        """Tell those who expect reads that are over."""
        core = self._core
        while core.settled:
            with self._lock:
                settled, core.settled = core.settled, []
                self._expecting -= len(settled)
            for read in settled:
                assert isinstance(read, RingRead)
                read.call_back()

    def _tell(self) -> None:
        """Tell the GPU process of new bindings, of all at once that have come up meanwhile."""
        if self._defining or not self._core.has_unknown:
            return
        with self._lock:
            if self._defining or self._failure.error is not None:
                return
            definitions = self._core.unknown(MAX_DEFINITIONS)
            if not definitions:
                return  # their numbers are in use still
            self._defining = True

        def known() -> None:
            with self._lock:
                self._defining = False
                self._core.known(definitions)
            self._tell_driver()  # who may have found nothing to be woken for
            self._tend()

        self._define(definitions, known)

    def _start_listener(self) -> None:
        with self._lock:
            if self._listener is None:
                self._listener = threading.Thread(target=self._listen, name="webnn-timeline", daemon=True)
                self._listener.start()

    def _listen(self) -> None:
        while self._failure.error is None and not self._is_broken:
            self._listener_is_needed.wait()
            self._listener_is_needed.clear()
            while self._is_left_alone() and self._failure.error is None:
                self._driving.acquire()
                self._drive(None, lambda: False)

    def _is_left_alone(self) -> bool:
        """Whether something is to happen, and it may be that nobody drives."""
        return bool(self._core.waiting or self._expecting) and not self._loops and not self._is_broken

    def _listen_to_bells(self) -> None:
        if not self._bells.heard() and self._failure.error is None:
            self._break("the GPU process ended the timeline")

    def _distrust(self, error: RingError) -> None:
        self._break(f"the GPU process wrote what can't be into the ring: {error}")

    def _break(self, reason: str) -> None:
        if not self._is_broken:
            self._is_broken = True
            self._broken(reason)
