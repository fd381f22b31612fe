"""Where a schedule comes from: a seed, a list, or the systematic walk over all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import Protocol


class Choices(Protocol):
    """Answers every question that a run asks: which of several things happens next."""

    taken: list[int]
    """All answers so far; given to `Listed`, they make the same run again."""

    def task(self, count: int, *, forced: bool) -> int:
        """Which of `count` tasks goes on: 0 is the one that runs, unless it is `forced` to stop."""

    def flip(self) -> bool:
        """Whether something that may happen at any time happens now; the plain course is no."""


class Seeded:
    """At random; some schedules switch often, some rarely, for bugs hide from either."""

    def __init__(self, seed: int) -> None:
        self.taken: list[int] = []
        self._random = Random(seed)
        self._switching = self._random.choice((0.05, 0.2, 0.5, 1.0))
        self._flipping = self._random.choice((0.0, 0.02, 0.2))

    def task(self, count: int, *, forced: bool) -> int:
        stays = not forced and self._random.random() > self._switching
        self.taken.append(0 if stays else self._random.randrange(count))
        return self.taken[-1]

    def flip(self) -> bool:
        self.taken.append(int(self._random.random() < self._flipping))
        return bool(self.taken[-1])


class Listed:
    """From a list, and the plain course where it ends. Remembers what else could have been answered."""

    def __init__(self, answers: Sequence[int], deviations: int = 0) -> None:
        """
        Args:
            deviations: from the plain course that may be answered, as far as `counts` say.
        """
        self.taken: list[int] = []
        self.counts: list[int] = []
        """How many answers there were at each place, those beyond the bound not counted."""
        self._answers = answers
        self._left = deviations

    def task(self, count: int, *, forced: bool) -> int:
        del forced
        return self._answer(count)

    def flip(self) -> bool:
        return bool(self._answer(2))

    def _answer(self, count: int) -> int:
        at = len(self.taken)
        answer = min(self._answers[at] if at < len(self._answers) else 0, count - 1)
        self.taken.append(answer)
        self.counts.append(count if self._left else answer + 1)
        self._left -= bool(answer and self._left)
        return answer


def systematic(deviations: int) -> Iterator[Listed]:
    """All schedules with at most so many deviations from the plain course, which is to let run what runs and then what
    was there first. Depth first; run each before asking for the next.

    Bounding deviations and not depth is what finds bugs: most need one or two switches at the right moment
    (Emmi, Qadeer, Rakamarić: Delay-bounded scheduling, POPL 2011).
    """
    answers: list[int] = []
    while True:
        choices = Listed(answers, deviations)
        yield choices
        answers = choices.taken
        while answers and answers[-1] + 1 >= choices.counts[len(answers) - 1]:
            answers.pop()
        if not answers:
            return
        answers[-1] += 1
