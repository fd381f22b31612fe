"""Trying out many mutants at once: processes that each have a laboratory."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts.mutation.laboratory import Laboratory, Outcome
from scripts.mutation.mutants import Mutant

_MOST_SECONDS = 300.0


@dataclass(frozen=True)
class Task:
    """A mutant with the groups of tests that should notice it, and the seconds to wait for each."""

    mutant: Mutant
    groups: list[tuple[str, float]]


@dataclass(frozen=True)
class Finding:
    """What became of a mutant."""

    mutant: Mutant
    outcome: Outcome
    seconds: float


def try_out(
    root: Path, mutants: Sequence[Mutant], tests: Mapping[str, tuple[str, ...]], folder: Path, jobs: int
) -> Iterator[Finding]:
    """What becomes of each mutant, as it is found out.

    Args:
        root: of the tree, which is copied.
        tests: that should notice it, by module, the quickest first.
        folder: for the copies.
        jobs: mutants tried at once.

    Raises:
        RuntimeError: tests fail while nothing is broken.
    """
    context = multiprocessing.get_context("spawn")  # each of them forks, so none may have threads
    with context.Pool(jobs, _settle_in, (root, folder)) as pool:
        groups = sorted({group for mutant in mutants for group in tests[mutant.path]})
        patience = dict(pool.imap_unordered(_baseline, groups))
        tasks = [Task(it, [(group, patience[group]) for group in tests[it.path]]) for it in mutants]
        yield from pool.imap_unordered(_try_out, tasks)


_laboratory: Laboratory


def _settle_in(root: Path, folder: Path) -> None:
    global _laboratory
    _laboratory = Laboratory(root, folder / str(os.getpid()))


def _baseline(group: str) -> tuple[str, float]:
    """How long to wait for these tests, which must pass while nothing is broken."""
    outcome, seconds = _laboratory.try_out(None, group, _MOST_SECONDS)
    if outcome is not Outcome.SURVIVED:
        raise RuntimeError(f"{group}: does not pass as it is:\n{_laboratory.output.read_text()}")
    return group, 20 + 4 * seconds


def _try_out(task: Task) -> Finding:
    """Against one group of tests after the other, the quickest first."""
    outcome, spent = Outcome.SURVIVED, 0.0
    for group, patience in task.groups:
        outcome, seconds = _laboratory.try_out(task.mutant, group, patience)
        spent += seconds
        if outcome is not Outcome.SURVIVED:
            break
    return Finding(task.mutant, outcome, spent)
