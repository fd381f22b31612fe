"""What a way of fuzzing is: make a case from a seed, run it, judge what came of it.

The engine, the corpus, reduction and reports know modes by this interface alone; another one is a class and a line in
`modes.py`.
"""

from __future__ import annotations

import abc
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, ClassVar, Generic, Literal, Protocol, TypeVar

Outcome = Literal["accepted", "refused", "bad_message", "none"]
"""What the product said: a reply, a reply with an error, a bad message; "none" where nothing could be heard."""

CoverageKey = tuple[str, ...]
"""What a case has reached: a kind (`operator`, `type`, `broken`, `held`, `reason`, ...) and names."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a verdict is a finding.

    Attributes:
        kind: which oracle says so: `crash`, `verdict`, `results`, `hang`, `rest`, `sandbox`, ...
        where: operator, message or field; with the kind, what makes two findings the same one.
        what: the whole story.
    """

    kind: str
    where: str
    what: str

    @property
    def signature(self) -> str:
        return f"{self.kind}: {self.where}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a case.

    Attributes:
        detail: the rule, reason or exception that the product named; empty where it accepted.
        problem: set if this is not what should have come.
    """

    outcome: Outcome
    detail: str = ""
    problem: Problem | None = None


class Case(Protocol):
    """What a mode runs."""

    @property
    def size(self) -> tuple[int, ...]:
        """Smaller is better, for corpus and reduction."""

    def to_json(self) -> dict[str, Any]:
        """JSON-ready; the mode's `from_json` gives an equal case."""


C = TypeVar("C", bound=Case)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeOptions:
    """What a mode can be told.

    Attributes:
        backend: that is attacked, where a mode attacks one.
        profile: overrides of the generator's profile, by name.
        sandbox: level of confinement of the GPU processes.
        preload: modules that they import first; how a bench plants its bugs.
    """

    backend: str = "reference"
    profile: Mapping[str, Any] = field(default_factory=dict)
    sandbox: str = "strict"
    preload: tuple[str, ...] = ()


class Mode(abc.ABC, Generic[C]):
    """A way of fuzzing. Opening one may start processes; `close` ends them."""

    name: ClassVar[str]
    seconds: ClassVar[float] = 10.0
    """A case that takes longer is a finding."""

    def __init__(self, options: ModeOptions) -> None:
        self.options = options

    @abc.abstractmethod
    def generate(self, random: Random) -> C:
        """A case; of nothing but `random`, so that a seed means the same case everywhere and always."""

    @abc.abstractmethod
    def run(self, case: C) -> Verdict:
        """Run a case and judge it; afterwards the mode is ready for the next, whatever happened."""

    @abc.abstractmethod
    def coverage(self, case: C, verdict: Verdict) -> Iterable[CoverageKey]:
        """What the case has reached."""

    @abc.abstractmethod
    def from_json(self, value: Mapping[str, Any]) -> C:
        """The case that its `to_json` wrote."""

    def universe(self) -> Iterable[CoverageKey]:
        """What can be reached at all, as far as that is known."""
        return ()

    def smaller(self, case: C) -> Iterator[C]:
        """Cases with something taken away, the greatest steps first."""
        del case
        return iter(())

    def files(self, case: C, problem: Problem | None) -> Mapping[str, str]:
        """What a report shows of a case, by file name: as text, as code, as a page."""
        del case, problem
        return {}

    def versions(self) -> Mapping[str, str]:
        """Of what is attacked."""
        return {}

    def rest(self) -> Problem | None:
        """Whether everything is as it was before the first case: memory, descriptors, threads, objects."""
        return None

    def close(self) -> None:
        """End what was started."""


def random_of(mode: str, seed: int, number: int) -> Random:
    """The random numbers of one case."""
    return Random(f"{mode} {seed} {number}")
