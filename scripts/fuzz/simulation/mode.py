"""Mode `simulate`: programs of random renderers under random schedules, and small ones under all of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from random import Random
from typing import Any, ClassVar

from scripts.fuzz.mode import CoverageKey, Mode, Problem, Verdict
from scripts.fuzz.simulation.case import CARRIERS, ContextProgram, SimulationCase, random_case, smaller_cases
from scripts.fuzz.simulation.simulate import simulate

_EXHAUSTIVE_SHARE = 0.002
_SCHEDULES = 400  # of one small program, at most
_STEPS = (
    *("tensor", "graph", "write", "dispatch", "read", "destroy_tensor", "destroy_graph"),
    *("wait", "share", "callback"),
)
_ENDINGS = ("crash", "disconnect", "host_ends", "destroy")


class SimulateMode(Mode[SimulationCase]):
    """The boundary in this process, one step at a time."""

    name: ClassVar[str] = "simulate"
    seconds: ClassVar[float] = 60.0

    def generate(self, random: Random) -> SimulationCase:
        if random.random() < _EXHAUSTIVE_SHARE:
            return _small_scope(random)
        return random_case(random)

    def run(self, case: SimulationCase) -> Verdict:
        explored = simulate(case, _SCHEDULES)
        violation = explored.violation
        if violation is None:
            return Verdict("accepted")
        story = "\n".join(
            [violation.what, "", *violation.log, "", f"answers of the scheduler: {list(violation.answers)}"]
        )
        return Verdict("none", violation.kind, Problem(violation.kind, _where(violation.what), story))

    def coverage(self, case: SimulationCase, verdict: Verdict) -> Iterable[CoverageKey]:
        del verdict
        for renderer in case.renderers:
            for program in renderer:
                words = {str(operation[0]) for operation in program.operations}
                yield from (("step", program.carrier, word) for word in words)
        yield from (("ending", str(ending[0])) for ending in case.endings)

    def universe(self) -> Iterable[CoverageKey]:
        yield from (("step", carrier, word) for carrier in CARRIERS for word in _STEPS)
        yield from (("ending", word) for word in _ENDINGS)

    def from_json(self, value: Mapping[str, Any]) -> SimulationCase:
        return SimulationCase.from_json(value)

    def smaller(self, case: SimulationCase) -> Iterator[SimulationCase]:
        for candidate in smaller_cases(case):
            yield candidate
            # Another program meets another schedule: some seeds are worth a try.
            yield from (replace(candidate, seed=seed) for seed in range(1, 5))


def _small_scope(random: Random) -> SimulationCase:
    """What is short enough for all schedules with one deviation to be tried."""
    used: tuple[tuple[Any, ...], ...] = (
        *(("tensor", 0), ("tensor", 1), ("graph", 0, 1, 5, random.random() < 0.2)),
        *(("write", 0, 1), ("dispatch", 0, (0,), 1), random.choice((("write", 0, 2), ("read", 1)))),
        *(("dispatch", 0, (0,), 1), ("read", 1), random.choice((("destroy_graph", 0), ("destroy_tensor", 0)))),
    )
    program = ContextProgram(random.choice(CARRIERS), used)
    endings = random.choice(((), (("crash",),), (("disconnect", 0),), (("destroy", 0, 0),), (("host_ends", 0),)))
    return SimulationCase(((program,),), endings, deviations=1)


def _where(what: str) -> str:
    """Without the numbers, which differ from one schedule to the next."""
    return "".join(letter for letter in what.partition(";")[0] if not letter.isdigit() and letter != "-")[:120]
