"""One thread polls the rings of all sessions; it sleeps when there has been nothing to do for a while.

That thread is the *leader*. Before it executes something long it gives its role to another thread, and goes on with
what it has begun: so a long dispatch pays nothing, and nobody else waits for it. Threads are made when they are needed;
a few wait for the role. At most one thread spins.
"""

from __future__ import annotations

import os
import select
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable

from gpu_process.poller_limits import MAX_HELD_UP, MAX_IDLE
from gpu_process.ring import RingServer
from ipc.timeline.ring.bells import give_way, make_fence
from ipc.timeline.ring.ends import Fence
from ipc.timeline.ring.polling import Polling
from ipc.verdicts import BadMessage


class Poller:
    """Serves rings, from the first that is added until `stop`.

    Attributes:
        close: lets go of its descriptors, when its threads have ended; they go with the object anyway.
    """

    def __init__(self, spin: float, guarded: Callable[[Callable[[], None]], None]) -> None:
        """
        Args:
            spin: seconds to poll before sleeping; 0 sleeps at once.
            guarded: runs a function, and ends the process if it raises.
        """
        self._polling = Polling(int(spin * 1e9), waits_for_answers=False, give_way=give_way, clock=time.monotonic_ns)
        self._guarded = guarded
        self._fence: Fence = make_fence()
        self._lock = threading.Lock()  # guards all below
        self._vacant = threading.Condition(self._lock)
        self._servers: tuple[RingServer, ...] = ()  # replaced, never changed
        self._leader: int | None = None
        self._leader_is_held_up = False
        self._held_up: Counter[int] = Counter()  # threads without the role, by the session they work for
        self._idle = 0
        self._stopping = False
        # The descriptors of rings are watched edge-triggered and never read: see ipc.timeline.ring.bells.
        self._epoll = select.epoll()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._epoll.register(self._wake, select.EPOLLIN | select.EPOLLET)
        self.close = weakref.finalize(self, _close, self._epoll, self._wake)
        self.close.atexit = False

    def add(self, server: RingServer) -> None:
        """Serve a ring from now on."""
        with self._lock:
            self._epoll.register(server.doorbell, select.EPOLLIN | select.EPOLLET)
            self._servers = (*self._servers, server)
            if self._leader is None and not self._idle:
                self._start_thread()
            elif self._leader_is_held_up:
                self._give_up_role()
        self._ring()

    def remove(self, server: RingServer) -> None:
        """Serve it no more, after the command that is running; any thread may, and never waits. Idempotent."""
        with self._lock:
            if server.closed:
                return
            server.closed = True
            self._servers = tuple(each for each in self._servers if each is not server)
            self._epoll.unregister(server.doorbell)
            is_busy = server.busy
        self._ring()  # the leader may sleep, with the ring in its hands
        if not is_busy:  # otherwise whoever serves it closes it
            server.when_closed()

    def stop(self) -> None:
        """End all threads, after the commands that are running."""
        with self._lock:
            self._stopping = True
            self._vacant.notify_all()
        self._ring()

    # --- the leader ---------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        me = threading.get_ident()
        while self._take_role(me):
            self._lead(me)

    def _take_role(self, me: int) -> bool:
        """Wait for the role; False if this thread is not needed."""
        with self._lock:
            if self._idle >= MAX_IDLE:
                return False
            self._idle += 1
            while self._leader is not None and not self._stopping:
                self._vacant.wait()
            self._idle -= 1
            if self._stopping:
                return False
            self._leader = me
            return True

    def _lead(self, me: int) -> None:
        polling = self._polling
        rounds = polling.rounds()
        while not self._stopping:
            found = self._serve_all(me)
            if self._leader != me:
                return
            if found or (not next(rounds, False) and self._sleep()):
                rounds = polling.rounds()

    def _serve_all(self, me: int) -> bool:
        """Serve each ring that has work, as long as this thread leads; whether there was one."""
        found = False
        for server in self._servers:
            if self._has_work(server):
                self._serve(server, me)
                if self._leader != me:
                    return True
                found = True
        return found

    def _has_work(self, server: RingServer) -> bool:
        # With `in`: asking a Counter for what it has not would be slower, and this is asked all the time.
        held_up = self._held_up
        return (
            server.end.pending()
            and not server.busy
            and (server.session not in held_up or held_up[server.session] < MAX_HELD_UP)
            and not server.is_over  # whoever ends its context is about to remove it
        )

    def _sleep(self) -> bool:
        """Sleep until a bell rings; False if there is something to do already."""
        servers = self._servers
        for server in servers:
            if not server.busy:  # whoever serves it wakes us when it leaves
                server.end.fall_asleep()
        # Either we see a command now, or its writer sees that we sleep.
        self._fence()
        idle = not any(map(self._has_work, servers))
        if idle and self._servers is servers and not self._stopping:
            self._epoll.poll()
        for server in servers:
            server.end.wake_up()
        return idle

    def _serve(self, server: RingServer, me: int) -> None:
        """Execute commands of a ring: a share of them as the leader, all of them without the role."""
        with self._lock:
            if server.closed:
                return
            server.busy = True

        def takes_long() -> None:
            with self._lock:
                if not server.is_held_up:
                    server.is_held_up = True
                    self._held_up[server.session] += 1
                if self._leader == me:
                    self._leader_is_held_up = True
                    if len(self._servers) > 1:
                        self._give_up_role()

        try:
            server.serve(takes_long)
            while self._leader != me and server.end.pending() and not server.closed and not server.is_over:
                server.serve(takes_long)
        except BadMessage as bad:
            takes_long()
            server.when_bad(bad)
        finally:
            self._leave(server, me)

    def _leave(self, server: RingServer, me: int) -> None:
        with self._lock:
            server.busy = False
            closed = server.closed
            if server.is_held_up:
                server.is_held_up = False
                self._held_up[server.session] -= 1
                if not self._held_up[server.session]:
                    del self._held_up[server.session]
            if self._leader == me:
                self._leader_is_held_up = False
        if closed:
            server.when_closed()
        if self._leader != me:
            self._ring()  # the leader may sleep, and did not look at what was busy or had to wait

    def _give_up_role(self) -> None:
        """Have another thread lead; with the lock."""
        self._leader = None
        self._leader_is_held_up = False
        if self._idle:
            self._vacant.notify()
        else:
            self._start_thread()

    def _start_thread(self) -> None:
        threading.Thread(target=self._guarded, args=(self._run,), name="webnn-rings", daemon=True).start()

    def _ring(self) -> None:
        os.eventfd_write(self._wake, 1)


def _close(epoll: select.epoll, wake: int) -> None:
    epoll.close()
    os.close(wake)
