"""One run of a case: build the world, let it move, and judge what came of it."""

from __future__ import annotations

import gc
import logging
import socket
import sys
import tempfile
import traceback
from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from gpu_process import ring, session
from gpu_process.quotas import Quotas
from gpu_process.service import GpuService
from gpu_process.session import Session
from ipc.channel import pair
from scripts.fuzz.simulation.backend import WatchfulBackend
from scripts.fuzz.simulation.case import Operation, SimulationCase
from scripts.fuzz.simulation.choices import Choices, Listed, Seeded, systematic
from scripts.fuzz.simulation.model import TENSORS
from scripts.fuzz.simulation.renderer import Over, SimulatedContext, SimulatedRenderer
from scripts.fuzz.simulation.stand_ins import standing_in
from scripts.fuzz.simulation.wires import Wires
from scripts.fuzz.simulation.world import Stuck, Task, World

_SECONDS = 15.0  # of the clock: nothing here has to wait for a time-out
_QUOTAS = Quotas(sessions=4, contexts=4, calls=8, tensors=TENSORS)


@dataclass(frozen=True, slots=True)
class Violation:
    """What must not happen, and the schedule in which it did.

    Attributes:
        kind: `value`, `deadlock`, `error`, `leak`, ...
    """

    kind: str
    what: str
    answers: tuple[int, ...]
    log: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Explored:
    """What came of one schedule, or of many."""

    schedules: int
    violation: Violation | None


def simulate(case: SimulationCase, limit: int = 0) -> Explored:
    """Run a case: by its seed, by its answers, or in all schedules that its deviations allow.

    Args:
        limit: most schedules to run; 0 for all.
    """
    if case.deviations >= 0:
        count = 0
        for choices in systematic(case.deviations):
            count += 1
            violation = _run(case, choices)
            if violation is not None or count == limit:
                return Explored(count, violation)
        return Explored(count, None)
    chosen: Choices = Seeded(case.seed) if case.answers is None else Listed(case.answers)
    return Explored(1, _run(case, chosen))


def _run(case: SimulationCase, choices: Choices) -> Violation | None:
    world = World(choices, traced=_product_files() if case.lines else ())
    collecting = gc.isenabled()
    gc.disable()  # it would come at moments that no seed decides
    try:
        with standing_in(world), tempfile.TemporaryDirectory(prefix="webnn-simulation.") as directory:
            run = _Run(world, case, Path(directory))
            original = vars(session)["RingParts"]
            setattr(session, "RingParts", run.make_ring)  # noqa: B010 - mypy takes it for an export
            try:
                return run.violation()
            finally:
                setattr(session, "RingParts", original)  # noqa: B010
                run.close()
    finally:
        if collecting:
            gc.enable()


def _product_files() -> Collection[str]:
    global _files
    if not _files:
        _files = frozenset(
            str(module.__file__)
            for name, module in list(sys.modules.items())
            if name.startswith(("gpu_process.", "ipc.timeline"))
        )
    return _files


_files: frozenset[str] = frozenset()


class _Service(GpuService):
    """The product's service, its calls coming over simulated wires; in doubt it ends nothing, but says so."""

    def __init__(self, complaints: list[str], world: World, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.sessions_ever: list[Session] = []
        self._complaints = complaints
        self._world = world

    def adopt_session(self, number: int, sock: socket.socket) -> None:
        super().adopt_session(number, sock)
        adopted = self._sessions.get(number)
        if adopted is not None:  # it may have ended meanwhile
            self.sessions_ever.append(adopted)

    def cut(self) -> None:
        """As the kernel does when a process dies: its sockets are closed."""
        for each in self.sessions_ever:
            try:
                each._raw_socket.shutdown(socket.SHUT_RDWR)  # noqa: SLF001 - who plays the kernel looks inside
            except OSError:
                continue  # its peer was faster

    def internal_error(self, error: BaseException) -> None:
        if not self._world.closing:
            self._complaints.append(f"internal error: {error!r}")
            raise error


class _Ring(ring.RingParts):
    """A ring of a process that can die: the kernel then closes its end of the bell."""

    def cut(self) -> None:
        try:
            self._ours.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # it is closed


class _Run:
    def __init__(self, world: World, case: SimulationCase, directory: Path) -> None:
        self._world = world
        self._complaints: list[str] = []
        self._backend = WatchfulBackend(world)
        self._crashed = False
        self._sessions_may_end = any(ending[0] in ("disconnect", "host_ends") for ending in case.endings)
        spin_us = case.seed % 3 * 4
        self._service = _Service(
            self._complaints,
            world,
            backends={"reference": self._backend},
            run_directory=directory,
            quotas=_QUOTAS,
            report=self._report,
            spin_us=spin_us,
        )
        self._wires = Wires(world, self._service)
        self._renderers: list[SimulatedRenderer] = []
        self._ends: list[socket.socket] = []
        self._mains: list[Task] = []
        self._rings: list[_Ring] = []
        for number, programs in enumerate(case.renderers):
            ours, theirs = pair()
            renderer = SimulatedRenderer(world, self._wires, ours, self._complaints, spin_us)
            self._renderers.append(renderer)
            self._ends.append(theirs)
            for index, program in enumerate(programs):
                renderer.contexts[index] = SimulatedContext(renderer, program)
            self._mains.append(
                world.spawn("main", partial(self._use, renderer, number + 1, theirs), f"renderer {number}")
            )
        for ending in case.endings:
            world.spawn(str(ending[0]), partial(self._end, ending), "fate")

        world.spawn("host", self._stop, "host")

    def make_ring(self) -> _Ring:
        """In the place of the product's own, to be there when its process dies."""
        made = _Ring()
        self._rings.append(made)
        return made

    def _stop(self) -> None:
        """When all renderers are done, the threads that serve everybody may end."""
        self._world.wait_for(lambda: all(main.done for main in self._mains))
        if not self._crashed:
            self._world.spawn("stop", self._service.poller.stop, "gpu")

    def _use(self, renderer: SimulatedRenderer, number: int, theirs: socket.socket) -> None:
        if not self._crashed:
            adopted = self._world.spawn("adopt", partial(self._service.adopt_session, number, theirs), "gpu")
            self._world.wait_for(lambda: adopted.done or adopted.dead)
        try:
            renderer.open()
        except Over:
            return
        tasks = [self._world.spawn(f"context {at}", context.run) for at, context in renderer.contexts.items()]
        self._world.wait_for(lambda: all(task.done for task in tasks))
        renderer.close()

    def _end(self, ending: Operation) -> None:
        self._world.wait_for(lambda: False, 0.001)  # the clock says when: as soon as nobody moves, or when it jumps
        world = self._world
        world.note(" ".join(map(str, ending)))
        match ending:
            case ("crash",):
                for renderer in self._renderers:
                    renderer.may_end = True
                self._crashed = True
                world.kill("gpu")
                self._service.cut()
                for theirs in self._ends:
                    if theirs.fileno() >= 0:
                        theirs.close()
                for parts in self._rings:
                    parts.cut()
                self._wires.cut()
            case ("disconnect", number):
                self._renderers[number].close()
            case ("host_ends", number):
                self._renderers[number].may_end = True
                if not self._crashed:
                    world.spawn("end_session", partial(self._service.end_session, number + 1), "gpu")
            case ("destroy", number, context):
                if self._renderers[number].metadata:
                    self._renderers[number].contexts[context].destroy()
            case _:
                raise AssertionError(ending)

    def _report(self, number: int, reason: str, field: str) -> None:
        if reason:
            self._complaints.append(f"session {number}: bad message: {reason}: {field}")

    # --- the verdict --------------------------------------------------------------------------------------------------

    def violation(self) -> Violation | None:
        try:
            began = self._world.now
            self._world.run()
        except Stuck as stuck:
            return self._violation("deadlock", str(stuck))
        if self._world.now - began > _SECONDS:
            took = f"it took {self._world.now - began:.0f} s of the clock"
            return self._violation("hang", "; ".join([took, *self._complaints]))
        for task in self._world.failures:
            assert task.error is not None
            self._world.log += traceback.format_exception(task.error)
            return self._violation("error", "; ".join([f"{task}: {task.error!r}", *self._complaints]))
        accused = [f"accused of a bad message: {reason}" for reason in self._wires.accused]
        complaints = [*self._complaints, *self._backend.complaints, *accused]
        if complaints:
            return self._violation("value", "; ".join(complaints))
        if not self._crashed:
            leak = self._leak()
            if leak:
                return self._violation("leak", leak)
        return None

    def _leak(self) -> str:
        if self._backend.alive:
            return f"{self._backend.alive} graphs were not closed"
        if self._service._sessions:  # noqa: SLF001
            return "a session has not ended"
        for each in self._service.sessions_ever:
            left = {
                # What is created in the moment in which its session is ended stays counted: nobody asks again.
                "contexts": 0 if self._sessions_may_end else each._context_count.used,  # noqa: SLF001
                "bytes of tensors": each._memory.tensor_bytes.used,  # noqa: SLF001
                "builds": each.builds.used,
                "calls": each.calls.used,
            }
            if any(left.values()):
                return f"still charged: {left}"
        return ""

    def _violation(self, kind: str, what: str) -> Violation:
        return Violation(kind, what, tuple(self._world.choices.taken), tuple(self._world.log))

    def close(self) -> None:
        """Unwind what is left, quietly."""
        logging.disable(logging.CRITICAL)
        try:
            self._world.close()
        finally:
            logging.disable(logging.NOTSET)
        for renderer in self._renderers:
            renderer.socket.close()
        for theirs in self._ends:
            theirs.close()
        self._service.poller.close()
