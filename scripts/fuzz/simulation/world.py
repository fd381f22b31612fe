"""Tasks that run one at a time, in an order that somebody chose, on a clock that jumps.

A task is a real thread, so that the product's code runs as it is; but only the one that was chosen moves, from one
*point* to the next. Points are wherever tasks can affect each other: locks, conditions, sockets, the clock, and with
`trace_lines` any line of the modules under test. What blocks says what it waits for; if nothing can move, the clock
jumps to the next deadline; if there is none, that is a deadlock.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Collection
from types import FrameType
from typing import Any, Final

from scripts.fuzz.simulation.choices import Choices

_MAX_POINTS: Final = 200_000


class Stuck(Exception):  # noqa: N818 - a verdict
    """No task can ever move again, or they move for ever."""


class _Ended(BaseException):
    """Unwinds a task whose world, or process, is over."""


class Task:
    """A thread of the world.

    Attributes:
        process: the simulated process that it belongs to.
        error: what it ended with, if not well.
        result: what its function returned.
    """

    def __init__(self, name: str, process: str, work: Callable[[], Any]) -> None:
        self.name = name
        self.process = process
        self.error: BaseException | None = None
        self.result: Any = None
        self.done = False
        self.dead = False
        self._work = work
        self._waits_for: Callable[[], object] | None = None
        self._deadline: float | None = None
        self.baton = threading.Lock()
        self.baton.acquire()

    def __repr__(self) -> str:
        return f"{self.process}:{self.name}"

    def can_move(self, now: float) -> bool:
        if self.done or self.dead:
            return False
        if self._waits_for is None or self._waits_for():
            return True
        return self._deadline is not None and self._deadline <= now

    @property
    def deadline(self) -> float | None:
        return None if self.done or self.dead else self._deadline

    def wait(self, condition: Callable[[], object] | None, deadline: float | None) -> None:
        self._waits_for = condition
        self._deadline = deadline

    def run(self) -> None:
        self.result = self._work()


class World:
    """Tasks, their clock, and the choices that make a run.

    Attributes:
        now: seconds.
        log: what happened, for whoever reads a finding.
    """

    def __init__(self, choices: Choices, *, traced: Collection[str] = ()) -> None:
        """
        Args:
            traced: file names whose every line is a point.
        """
        self.choices = choices
        self.now = 1000.0
        self.log: list[str] = []
        self.closing = False
        self._traced = frozenset(traced)
        self._tasks: list[Task] = []
        self._current: Task | None = None
        self._main = threading.Lock()
        self._main.acquire()
        self._points = 0
        self._choosing = False
        self._stuck: Stuck | None = None
        self._last_moved = ""

    @property
    def current(self) -> Task:
        assert self._current is not None
        return self._current

    @property
    def current_or_none(self) -> Task | None:
        """Whose turn it is; None before and after the run."""
        return self._current

    def note(self, text: str) -> None:
        """Write into the log."""
        self.log.append(f"{self._current}: {text}")

    def spawn(self, name: str, work: Callable[[], Any], process: str | None = None) -> Task:
        """A new task, of the process of whoever spawns it unless said otherwise; it moves when it is chosen."""
        if process is None:
            process = self.current.process
        task = Task(name, process, work)
        self._tasks.append(task)
        _THREADS.start(lambda: self._body(task))
        return task

    def run(self) -> None:
        """Let the tasks move until all have ended.

        Raises:
            Stuck: they can't.
        """
        task = self._choose(forced=True)
        if task is not None:
            self._current = task
            task.baton.release()
            self._main.acquire()
        if self._stuck is not None:
            raise self._stuck
        self._current = None

    def close(self) -> None:
        """Unwind what has not ended; nothing of it counts any more."""
        self.closing = True
        hook = sys.unraisablehook
        sys.unraisablehook = _quiet(hook)  # a finaliser can be what is unwound
        try:
            for task in self._tasks:
                if not task.done:
                    self._current = task
                    task.baton.release()
                    self._main.acquire()
        finally:
            sys.unraisablehook = hook

    def kill(self, process: str) -> None:
        """All tasks of a process stop where they are, for good. Not for the process of the caller."""
        for task in self._tasks:
            task.dead = task.dead or task.process == process

    @property
    def failures(self) -> list[Task]:
        """Tasks that ended with an exception."""
        return [task for task in self._tasks if task.error is not None]

    # --- in a task ----------------------------------------------------------------------------------------------------

    def point(self) -> None:
        """Others may move here."""
        task = self._current
        if self.closing or task is None:
            return  # what is unwound goes on to its end, whatever it holds
        task.wait(None, None)
        self._hand_over(task)

    def wait_for(self, condition: Callable[[], object], seconds: float | None = None) -> bool:
        """Wait until `condition` holds, or for so many seconds; whether it holds."""
        task = self._current
        if self.closing or task is None:
            if condition():
                return True
            raise _Ended
        task.wait(condition, None if seconds is None else self.now + max(0.0, seconds))
        self._hand_over(task)
        task.wait(None, None)
        return bool(condition())

    def clock(self) -> float:
        """The time, which now and then has passed."""
        if self._current is not None and not self.closing:
            self.now += 0.005 if self.choices.flip() else 1e-6
        return self.now

    def _hand_over(self, task: Task) -> None:
        chosen = self._choose(forced=not task.can_move(self.now))
        if chosen is task:
            return
        if chosen is None:
            self._main.release()
        else:
            self._current = chosen
            chosen.baton.release()
        task.baton.acquire()
        if self.closing:
            raise _Ended

    def _choose(self, *, forced: bool) -> Task | None:
        """Who moves next; None where nobody can: all have ended, or it is stuck."""
        self._choosing = True  # what a task waits for can be a question to the product, whose lines are no points then
        try:
            return self._chosen(forced=forced)
        finally:
            self._choosing = False

    def _chosen(self, *, forced: bool) -> Task | None:
        self._points += 1
        if self._points > _MAX_POINTS:
            self._stuck = Stuck(f"no end after {_MAX_POINTS} points: {self._state()}")
            return None
        while True:
            movable = [task for task in self._tasks if task is not self._current and task.can_move(self.now)]
            if not forced:
                assert self._current is not None
                movable.insert(0, self._current)
            if movable:
                return movable[self.choices.task(len(movable), forced=forced) if len(movable) > 1 else 0]
            deadlines = [task.deadline for task in self._tasks if task.deadline is not None]
            if not deadlines:
                break
            self.now = max(self.now, min(deadlines))
            if self._current is not None and self._current.can_move(self.now):
                return self._current
        if any(not task.done and not task.dead for task in self._tasks):
            self._stuck = Stuck(f"deadlock: {self._state()}")
        return None

    def _state(self) -> str:
        return ", ".join(f"{task}" for task in self._tasks if not task.done and not task.dead)

    def _body(self, task: Task) -> None:
        task.baton.acquire()
        if not self.closing:
            if self._traced:
                sys.settrace(self._trace)
            try:
                task.run()
            except _Ended:
                pass
            except BaseException as error:
                if not self.closing:
                    task.error = error
            finally:
                sys.settrace(None)
        task.done = True
        chosen = None if self.closing else self._choose(forced=True)
        if chosen is None:
            self._main.release()
        else:
            self._current = chosen
            chosen.baton.release()

    def _trace(self, frame: FrameType, event: str, argument: object) -> Any:
        del event, argument
        return self._line if frame.f_code.co_filename in self._traced else None

    def _line(self, frame: FrameType, event: str, argument: object) -> Any:
        del frame, argument
        if event == "line" and not (self.closing or self._choosing) and self.choices.flip():
            self.point()
        return self._line


def _quiet(hook: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def unraisable(raised: Any) -> None:
        if not isinstance(raised.exc_value, _Ended):
            hook(raised)

    return unraisable


class _Threads:
    """Real threads, used again: starting one costs more than most tasks."""

    def __init__(self) -> None:
        self._idle: list[_Worker] = []

    def start(self, work: Callable[[], None]) -> None:
        worker = self._idle.pop() if self._idle else _Worker(self._idle)
        worker.do(work)


class _Worker:
    def __init__(self, idle: list[_Worker]) -> None:
        self._idle = idle
        self._work: Callable[[], None] | None = None
        self._has_work = threading.Lock()
        self._has_work.acquire()
        threading.Thread(target=self._loop, name="simulation", daemon=True).start()

    def do(self, work: Callable[[], None]) -> None:
        self._work = work
        self._has_work.release()

    def _loop(self) -> None:
        while True:
            self._has_work.acquire()
            work, self._work = self._work, None
            assert work is not None
            work()
            del work
            self._idle.append(self)


_THREADS = _Threads()
