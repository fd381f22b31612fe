"""Trying out many mutants at once: first against the tests that run their lines, then against all that there are."""

from __future__ import annotations

import multiprocessing
import pickle
import queue
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from scripts.mutation.laboratory import Outcome, Result, Survey, Trial, output_of, send, survey, work
from scripts.mutation.mutants import Mutant

_MOST_SECONDS = 600.0
_AHEAD = 8  # lines that belong to a check: its condition, and what follows if it fails
_QUICK = 20.0  # seconds for the tests of a file


@dataclass(frozen=True)
class Finding:
    """What became of a mutant.

    Attributes:
        test: that noticed, if it is known.
    """

    mutant: Mutant
    outcome: Outcome
    seconds: float
    test: str | None


class Campaign:
    """Mutants and the tests that should notice them.

    Args:
        root: of the tree, which is copied.
        tests: files and folders by module, the quickest first.
        folder: for the copies.
        jobs: mutants tried at once.
        quick: believe a mutant that it survives if a few tests of each file that run its lines pass.
    """

    def __init__(
        self, root: Path, tests: Mapping[str, tuple[str, ...]], folder: Path, *, jobs: int, quick: bool
    ) -> None:
        self._root = root
        self._tests = tests
        self._folder = folder
        self._jobs = jobs
        self._quick = quick
        self._files = list(dict.fromkeys(file for files in tests.values() for file in files))
        self._noticers: dict[tuple[str, str], list[str]] = defaultdict(list)
        self._context = multiprocessing.get_context("spawn")  # each of them forks, so none may have threads

    def try_out(self, mutants: Sequence[Mutant]) -> Iterator[Finding]:
        """What becomes of each mutant, as it is found out.

        Raises:
            RuntimeError: tests fail while nothing is broken.
        """
        known = self._survey()
        left: queue.SimpleQueue[Mutant] = queue.SimpleQueue()
        for mutant in mutants:
            left.put(mutant)
        found: queue.SimpleQueue[Finding | BaseException] = queue.SimpleQueue()
        for number in range(self._jobs):
            threading.Thread(target=self._judge_all, args=(number, known, left, found), daemon=True).start()
        for _ in mutants:
            finding = found.get()
            if isinstance(finding, BaseException):
                raise finding
            yield finding

    def _survey(self) -> Survey:
        ours, theirs = self._context.Pipe()
        folder = self._folder / "survey"
        arguments = (self._root, folder, self._files, list(self._tests), theirs)
        process = self._context.Process(target=survey, args=arguments, daemon=True)
        process.start()
        theirs.close()
        try:
            found = pickle.loads(ours.recv_bytes())
        except EOFError:
            found = Survey(frozenset())
        process.join()
        assert isinstance(found, Survey)
        if not found.seconds:
            raise RuntimeError(f"no tests to run:\n{output_of(folder)}")
        return found

    def _judge_all(
        self,
        number: int,
        known: Survey,
        left: queue.SimpleQueue[Mutant],
        found: queue.SimpleQueue[Finding | BaseException],
    ) -> None:
        """With a process of its own."""
        ours, theirs = self._context.Pipe()
        patience = 10 + 4 * max(known.seconds.values())
        arguments = (self._root, self._folder / str(number), self._files, patience, theirs)
        try:
            self._context.Process(target=work, args=arguments, daemon=True).start()
            theirs.close()
            if number == 0 and known.failed:
                whole = send(ours, Trial(None, known.failed, _MOST_SECONDS))
                if whole.outcome is not Outcome.SURVIVED:
                    raise RuntimeError(f"tests fail while nothing is broken:\n{whole.output}")
            while True:
                found.put(self._judge(left.get_nowait(), known, lambda trial: send(ours, trial)))
        except queue.Empty:
            ours.send(None)
        except BaseException as error:
            found.put(error)

    def _judge(self, mutant: Mutant, known: Survey, ask: Callable[[Trial], Result]) -> Finding:
        tests = self._order(mutant, known)
        outcome, spent, test = Outcome.SURVIVED, 0.0, None
        if tests:
            result = ask(Trial(mutant, tests, self._patience(tests, known)))
            outcome, spent, test = result.outcome, result.seconds, result.test
        if outcome is Outcome.NOT_IN_PLACE or (outcome is Outcome.SURVIVED and not self._quick):
            files = list(self._tests[mutant.path])
            everything = [test for test in known.seconds if _is_in(test, files)]
            result = ask(Trial(mutant, files, self._patience(everything, known), anew=True))
            outcome, spent = result.outcome, spent + result.seconds
        if test is not None:
            self._noticers[mutant.path, mutant.function].insert(0, test)
        return Finding(mutant, outcome, spent, test)

    def _order(self, mutant: Mutant, known: Survey) -> list[str]:
        """The tests that run its lines, file by file; first those that noticed its neighbours.

        Within a file those come first that take the rarest way from there, as the test of a check does, which raises.
        """
        lines = {(mutant.path, mutant.line + more) for more in range(mutant.original.count("\n") + 1)}
        ahead = {(mutant.path, mutant.line + more) for more in range(_AHEAD)} | lines
        touching = {test: ran & ahead for test, ran in known.lines.items() if ran & lines}
        counts = Counter(line for ran in touching.values() for line in ran)
        order: list[str] = []
        for file in self._tests[mutant.path]:
            of_file = [test for test in touching if _is_in(test, [file])]
            of_file.sort(key=lambda test: (min(counts[line] for line in touching[test]), known.seconds[test]))
            until = accumulate(known.seconds[test] for test in of_file)
            order += [test for test, seconds in zip(of_file, until, strict=True) if seconds < _QUICK or not self._quick]
        favourites = [test for test in self._noticers[mutant.path, mutant.function] if test in touching]
        return list(dict.fromkeys([*favourites[:5], *order]))

    def _patience(self, tests: Sequence[str], known: Survey) -> float:
        return 30 + 4 * sum(known.seconds[test] for test in tests)


def _is_in(test: str, files: Sequence[str]) -> bool:
    """Whether it is one of the tests in these files and folders."""
    return test.startswith(tuple(f"{file}::" if file.endswith(".py") else f"{file}/" for file in files))
