"""Whose command it was that a GPU process died of, as far as that can be known for certain.

A renderer that is charged loses its right to sessions after a few crashes, so that nobody is charged on mere suspicion.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from gpu_process.running_note import Note


class Identity(NamedTuple):
    """A renderer: a process and not just its number, which is used again.

    Attributes:
        started: clock ticks after the machine.
    """

    pid: int
    started: int


@dataclass(frozen=True, slots=True)
class Clues:
    """What the host knows of a death.

    Attributes:
        overdue: the work that took too long, if the host ended the process because of it.
        violator: the thread that made the deadly system call, as its process numbers it.
        crashed: the thread that crashed, as Python names it.
    """

    overdue: Note | None = None
    violator: int | None = None
    crashed: int | None = None


@dataclass(frozen=True, slots=True)
class Charge:
    """Who is to blame.

    Attributes:
        renderer: whose work it was.
        sessions: of that renderer; it was the work of one of them.
    """

    renderer: Identity
    sessions: frozenset[int]


def charge(notes: Collection[Note], renderers: Mapping[int, Identity], clues: Clues) -> Charge | None:
    """Who is to blame; None where it was nobody's work, or may have been that of several renderers.

    Args:
        notes: what the process left behind, claims of its own.
        renderers: of the sessions that it really has or had. One that has ended may still have been at work: whoever
            hangs up in time is charged as well, and nobody else in its place.
    """
    suspects = _suspects(notes, clues)
    if not suspects <= renderers.keys():
        return None
    guilty = {renderers[session] for session in suspects}
    return Charge(guilty.pop(), suspects) if len(guilty) == 1 else None


def _suspects(notes: Collection[Note], clues: Clues) -> frozenset[int]:
    if clues.overdue is not None:
        return frozenset({clues.overdue.session})
    if clues.crashed is not None:  # a thread of Python's: if it worked for anybody, it noted that
        return frozenset(note.session for note in notes if note.identity == clues.crashed)
    by_thread = frozenset(note.session for note in notes if note.thread == clues.violator)
    # Threads of native libraries note nothing. They work for whoever waits for them.
    return by_thread or frozenset(note.session for note in notes)
