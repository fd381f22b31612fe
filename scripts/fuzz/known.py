"""What was found and is as it should be, or waits for others: no finding again, but counted.

An entry says where it is seen and why it stays; one that nothing matches any more is to be removed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from scripts.fuzz.mode import Problem


@dataclass(frozen=True, slots=True)
class Known:
    """A problem that is not reported.

    Attributes:
        kind: of the problem.
        words: all of them are in what it says or where it is.
        reason: why it is none.
    """

    kind: str
    words: tuple[str, ...]
    reason: str


KNOWN: tuple[Known, ...] = (
    Known(
        "legal graph refused",
        ("groups do not divide",),
        "WebNN has no rule that groups divide the input channels of convTranspose2d, and no backend can compute it",
    ),
)


def reason_for(problem: Problem, known: Iterable[Known] = KNOWN) -> str | None:
    """Why a problem is none, or None."""
    story = f"{problem.where} {problem.what}"
    return next(
        (entry.reason for entry in known if entry.kind == problem.kind and all(word in story for word in entry.words)),
        None,
    )
