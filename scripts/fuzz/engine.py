"""The built-in engine: seeded, parallel over processes, the same cases for the same seed whatever their number.

Case `number` of a run is made from mode, seed and number alone. Worker `w` of `n` runs the numbers w, w + n, w + 2n and
so on. Findings are de-duplicated by signature, reduced, and written.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import queue
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts.fuzz.corpus import Corpus
from scripts.fuzz.findings import Stored, save
from scripts.fuzz.known import reason_for
from scripts.fuzz.mode import CoverageKey, Mode, ModeOptions, Problem, Verdict, random_of
from scripts.fuzz.modes import open_mode
from scripts.fuzz.reduction import reduced
from scripts.fuzz.statistics import Statistics

_REPORT_SECONDS = 0.5
_REST_CASES = 2000  # after so many, everything must be as it was before
_PATIENCE = 60.0  # seconds after the end of a run in which its workers must have ended
_KEPT_PER_SIGNATURE = 1
_REDUCTION_SECONDS = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """One run.

    Attributes:
        mode: by name.
        seconds: it lasts; 0 for no limit.
        executions: it makes; 0 for no limit.
        seed: of all cases.
        jobs: processes that run cases.
        corpus: folder of cases that are run first, and where new ones are kept.
        findings: folder that findings are written to; None keeps them in memory.
        reduce: whether findings are made smaller.
        stop_at_first: whether the first finding ends the run.
    """

    mode: str
    seconds: float = 60.0
    executions: int = 0
    seed: int = 1
    jobs: int = 1
    corpus: Path | None = None
    findings: Path | None = None
    reduce: bool = True
    stop_at_first: bool = False
    options: ModeOptions = field(default_factory=ModeOptions)


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a run: its counts, its findings with where they were written, and what could be reached."""

    statistics: Statistics
    findings: list[tuple[Stored, Path | None]]
    universe: frozenset[CoverageKey]


def run(options: RunOptions, show: Callable[[Statistics], None] = lambda _: None) -> Result:
    """Fuzz until time or executions are over, or until Ctrl-C; what was found by then is the result.

    Args:
        show: given the counts so far, about twice a second.
    """
    found: dict[str, Stored] = {}
    total = Statistics()
    with contextlib.suppress(KeyboardInterrupt):
        if options.jobs == 1:
            for part, stored in _work(options, 0):
                _take(total, found, part, stored)
                show(total)
        else:
            _run_workers(options, total, found, show)
    with closing(open_mode(options.mode, options.options)) as mode:
        universe = frozenset(mode.universe())
        written = [_written(stored, mode, options) for stored in found.values()]
    return Result(total, written, universe)


def _take(total: Statistics, found: dict[str, Stored], part: Statistics, stored: list[Stored]) -> None:
    total.merge(part)
    for each in stored:
        assert each.problem is not None
        found.setdefault(each.problem.signature, each)


# --- workers ----------------------------------------------------------------------------------------------------------


def _run_workers(
    options: RunOptions, total: Statistics, found: dict[str, Stored], show: Callable[[Statistics], None]
) -> None:
    context = multiprocessing.get_context("spawn")  # a fork would copy the threads' locks, but not the threads
    results: multiprocessing.Queue[Any] = context.Queue()
    workers = [
        context.Process(target=_worker, args=(options, number, results), name=f"fuzz-{number}")
        for number in range(options.jobs)
    ]
    for worker in workers:
        worker.start()
    running, at_once = options.jobs, True
    try:
        while running:
            try:
                message = results.get(timeout=_REPORT_SECONDS)
            except queue.Empty:
                running = _without_the_dead(workers, running, total, found, options)
                continue
            if message is None:
                running -= 1
            else:
                _take(total, found, *message)
                show(total)
                if found and options.stop_at_first:
                    break
        else:
            at_once = False
    finally:
        for worker in workers:
            worker.join(0 if at_once else _PATIENCE)
            if worker.is_alive():
                worker.terminate()
                worker.join()


def _without_the_dead(
    workers: list[Any], running: int, total: Statistics, found: dict[str, Stored], options: RunOptions
) -> int:
    """How many are still at work; one that died without a word is a finding of its own."""
    for worker in workers:
        if worker.exitcode not in (None, 0):
            problem = Problem("fuzzer died", f"exit code {worker.exitcode}", f"{worker.name} ended unexpectedly")
            total.findings[problem.signature] += 1
            found.setdefault(problem.signature, Stored(options.mode, {}, options.options, options.seed, -1, problem))
            return 0
    return running


def _worker(options: RunOptions, number: int, results: multiprocessing.Queue[Any]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the engine decides what it ends
    for message in _work(options, number):
        results.put(message)
    results.put(None)


def _work(options: RunOptions, worker: int) -> Iterator[tuple[Statistics, list[Stored]]]:
    """Run the cases of one worker; now and then, the counts since the last time and what was found."""
    corpus = None if options.corpus is None else Corpus(options.corpus)
    with closing(open_mode(options.mode, options.options)) as mode:
        started = reported = time.monotonic()
        end = started + options.seconds if options.seconds else float("inf")
        part, stored = Statistics(), list[Stored]()
        reached: set[CoverageKey] = set()
        kept: dict[str, int] = {}
        stop = False
        for seed, number, case in _cases(mode, options, worker, corpus):
            begun = time.monotonic()
            if begun > end:
                break
            verdict = _unless_known(_timely(mode, mode.run(case), begun))
            keys = set(mode.coverage(case, verdict))
            part.add(verdict, keys)
            new = corpus is not None and seed >= 0 and not keys <= reached
            if verdict.problem is not None or new:
                item = Stored(options.mode, case.to_json(), options.options, seed, number, verdict.problem)
                if verdict.problem is not None:
                    kept[verdict.problem.signature] = kept.get(verdict.problem.signature, 0) + 1
                    if kept[verdict.problem.signature] <= _KEPT_PER_SIGNATURE:
                        stored.append(item)
                    stop = options.stop_at_first
                elif corpus is not None:
                    corpus.add(item)
            reached |= keys
            if part.executions % _REST_CASES == _REST_CASES - 1:
                _at_rest(mode, options, part, stored)
            now = time.monotonic()
            if now - reported > _REPORT_SECONDS or stop:
                part.seconds = now - started
                yield part, stored
                part, stored, reported = Statistics(), [], now
            if stop:
                return
        _at_rest(mode, options, part, stored)
        part.seconds = time.monotonic() - started
        yield part, stored


def _cases(mode: Mode[Any], options: RunOptions, worker: int, corpus: Corpus | None) -> Iterator[tuple[int, int, Any]]:
    """Seed, number and case: those of the corpus, then new ones."""
    if corpus is not None:
        for at, (_, stored) in enumerate(corpus.cases(options.mode)):
            if at % options.jobs == worker:
                yield -1, -1, mode.from_json(stored.case)
    number = worker
    while not options.executions or number < options.executions:
        yield options.seed, number, mode.generate(random_of(options.mode, options.seed, number))
        number += options.jobs


def _timely(mode: Mode[Any], verdict: Verdict, begun: float) -> Verdict:
    taken = time.monotonic() - begun
    if verdict.problem is None and taken > mode.seconds:
        what = f"the case took {taken:.1f} s, its budget is {mode.seconds:g} s"
        return Verdict(verdict.outcome, verdict.detail, Problem("slow", verdict.detail or "accepted", what))
    return verdict


def _unless_known(verdict: Verdict) -> Verdict:
    if verdict.problem is not None and reason_for(verdict.problem) is not None:
        return Verdict(verdict.outcome, f"known: {verdict.problem.kind}")
    return verdict


def _at_rest(mode: Mode[Any], options: RunOptions, part: Statistics, stored: list[Stored]) -> None:
    problem = mode.rest()
    if problem is not None:
        part.findings[problem.signature] += 1
        stored.append(Stored(options.mode, {}, options.options, options.seed, -1, problem))


# --- findings ---------------------------------------------------------------------------------------------------------


def shows(mode: Mode[Any], problem: Problem) -> Callable[[Any], bool]:
    """Whether a case has the same problem."""

    def same(case: Any) -> bool:
        found = mode.run(case).problem
        return found is not None and found.signature == problem.signature

    return same


def _written(stored: Stored, mode: Mode[Any], options: RunOptions) -> tuple[Stored, Path | None]:
    assert stored.problem is not None
    if not stored.case:  # about the whole run, not about a case
        return stored, None
    case = mode.from_json(stored.case)
    if options.reduce:
        case = reduced(case, shows(mode, stored.problem), mode.smaller, _REDUCTION_SECONDS)
        problem = mode.run(case).problem or stored.problem
        stored = Stored(stored.mode, case.to_json(), stored.options, stored.seed, stored.number, problem)
    path = None if options.findings is None else save(options.findings, stored, mode, case)
    return stored, path
