"""Stand-ins for `threading`, `select` and `time` in the modules under test: the same words, spoken by a world."""

from __future__ import annotations

import select
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Final

from ipc.timeline.ring import bells
from scripts.fuzz.simulation.world import Task, World

_PACKAGES: Final = ("gpu_process.", "ipc.")


@contextmanager
def standing_in(world: World) -> Iterator[None]:
    """Every module of the product that is loaded uses the stand-ins while this lasts."""
    stand_ins: dict[str, tuple[object, object]] = {
        "threading": (threading, _Threading(world)),
        "select": (select, _Select(world)),
        "time": (time, _Time(world)),
        "give_way": (bells.give_way, world.point),
    }
    replaced: list[tuple[ModuleType, str, object]] = []
    for name, module in list(sys.modules.items()):
        if not name.startswith(_PACKAGES):
            continue
        for word, (real, stand_in) in stand_ins.items():
            if vars(module).get(word) is real:
                setattr(module, word, stand_in)
                replaced.append((module, word, real))
    try:
        yield
    finally:
        for module, word, real in replaced:
            setattr(module, word, real)


class _Threading:
    """`threading`, as far as the product uses it."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._threads: dict[Task, _Thread] = {}

    def Lock(self) -> _Lock:  # noqa: N802 - the module's name
        return _Lock(self._world)

    def RLock(self) -> _Lock:  # noqa: N802
        return _Lock(self._world, again=True)

    def Condition(self, lock: _Lock | None = None) -> _Condition:  # noqa: N802
        return _Condition(self._world, lock or _Lock(self._world, again=True))

    def Event(self) -> _Event:  # noqa: N802
        return _Event(self._world)

    def Thread(  # noqa: N802
        self, *, target: Callable[..., Any], args: tuple[Any, ...] = (), name: str = "thread", daemon: bool = False
    ) -> _Thread:
        del daemon
        return _Thread(self._world, self._threads, name, lambda: target(*args))

    def current_thread(self) -> object:
        return self._threads.get(self._world.current)

    def __getattr__(self, name: str) -> Any:
        return getattr(threading, name)


class _Thread:
    def __init__(self, world: World, threads: dict[Task, _Thread], name: str, work: Callable[[], Any]) -> None:
        self._world = world
        self._threads = threads
        self._name = name
        self._work = work
        self._task: Task | None = None

    def start(self) -> None:
        self._task = self._world.spawn(self._name, self._work)
        self._threads[self._task] = self

    def is_alive(self) -> bool:
        return self._task is not None and not self._task.done

    def join(self, timeout: float | None = None) -> None:
        self._world.wait_for(lambda: not self.is_alive(), timeout)


class _Lock:
    def __init__(self, world: World, *, again: bool = False) -> None:
        self._world = world
        self._again = again
        self._owner: object = None
        self._count = 0

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        world = self._world
        world.point()
        me = _who(world)
        if self._count and not (self._again and self._owner is me) and not world.closing:
            if not blocking or not world.wait_for(lambda: not self._count, None if timeout < 0 else timeout):
                return False
            me = _who(world)
        self._owner = me
        self._count += 1
        return True

    def release(self) -> None:
        if not self._count and not self._world.closing:
            raise RuntimeError("release of a lock that is not held")
        self._count = max(0, self._count - 1)
        if not self._count:
            self._owner = None

    def locked(self) -> bool:
        return bool(self._count)

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()

    # For a condition that waits with it.

    def let_go(self) -> int:
        count, self._count, self._owner = self._count, 0, None
        return count

    def take_back(self, count: int) -> None:
        self._world.wait_for(lambda: not self._count)
        self._owner, self._count = _who(self._world), count


def _who(world: World) -> object:
    return "nobody" if world.closing else world.current_or_none


class _Condition:
    def __init__(self, world: World, lock: _Lock) -> None:
        self._world = world
        self._lock = lock
        self._waiters: list[_Waiter] = []

    def __enter__(self) -> bool:
        return self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def acquire(self, *arguments: Any) -> bool:
        return self._lock.acquire(*arguments)

    def release(self) -> None:
        self._lock.release()

    def wait(self, timeout: float | None = None) -> bool:
        waiter = _Waiter()
        self._waiters.append(waiter)
        count = self._lock.let_go()
        try:
            self._world.wait_for(lambda: waiter.told, timeout)
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
            self._lock.take_back(count)
        return waiter.told

    def wait_for(self, predicate: Callable[[], Any], timeout: float | None = None) -> Any:
        end = None if timeout is None else self._world.now + timeout
        while not (result := predicate()):
            if end is not None and self._world.now >= end:
                break
            self.wait(None if end is None else end - self._world.now)
        return result

    def notify(self, count: int = 1) -> None:
        for waiter in self._waiters[:count]:
            waiter.told = True
        del self._waiters[:count]

    def notify_all(self) -> None:
        self.notify(len(self._waiters))


class _Waiter:
    told = False


class _Event:
    def __init__(self, world: World) -> None:
        self._world = world
        self._set = False

    def set(self) -> None:
        self._world.point()
        self._set = True

    def clear(self) -> None:
        self._set = False

    def is_set(self) -> bool:
        return self._set

    def wait(self, timeout: float | None = None) -> bool:
        return self._world.wait_for(lambda: self._set, timeout)


class _Select:
    """`select`: polls that wait in the world, on real descriptors."""

    def __init__(self, world: World) -> None:
        self._world = world

    def poll(self) -> _Poll:
        return _Poll(self._world)

    def epoll(self) -> _Epoll:
        return _Epoll(self._world)

    def __getattr__(self, name: str) -> Any:
        return getattr(select, name)


class _Epoll:
    def __init__(self, world: World) -> None:
        self._world = world
        self._epoll = select.epoll()
        self.register = self._epoll.register
        self.unregister = self._epoll.unregister
        self.close = self._epoll.close

    def poll(self, timeout: float | None = None) -> list[tuple[int, int]]:
        """As the real one; seconds."""
        found: list[tuple[int, int]] = []

        def ready() -> bool:
            found.extend(self._epoll.poll(0))  # an edge is told once
            return bool(found)

        self._world.point()
        self._world.wait_for(ready, None if timeout is None or timeout < 0 else timeout)
        return found


class _Poll:
    def __init__(self, world: World) -> None:
        self._world = world
        self._poll = select.poll()

    def register(self, descriptor: Any, events: int = select.POLLIN) -> None:
        self._poll.register(descriptor, events)

    def unregister(self, descriptor: Any) -> None:
        self._poll.unregister(descriptor)

    def poll(self, timeout: float | None = None) -> list[tuple[int, int]]:
        """As the real one; milliseconds."""
        seconds = None if timeout is None or timeout < 0 else timeout / 1000
        self._world.point()
        self._world.wait_for(lambda: self._poll.poll(0), seconds)
        return self._poll.poll(0)


class _Time:
    """`time`, on the world's clock."""

    def __init__(self, world: World) -> None:
        self._world = world

    def monotonic(self) -> float:
        return self._world.clock()

    def monotonic_ns(self) -> int:
        return int(self._world.clock() * 1e9)

    perf_counter = monotonic
    perf_counter_ns = monotonic_ns

    def sleep(self, seconds: float) -> None:
        end = self._world.now + seconds
        self._world.wait_for(lambda: self._world.now >= end, seconds)

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)
