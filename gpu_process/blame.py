"""Whose command it was that a GPU process died of, as far as that can be known for certain.

A renderer that is charged loses its right to sessions after a few crashes, so that nobody is charged on mere suspicion.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from gpu_process.running_note import Note


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


def culprit(notes: Collection[Note], sessions: Collection[int], clues: Clues) -> int | None:
    """The session whose command it was; None where that was none or may have been several.

    Args:
        notes: what the process left behind, claims of its own.
        sessions: that it really had; no others are believed.
    """
    believed = [note for note in notes if note.session in sessions]
    if clues.overdue is not None:
        return clues.overdue.session if clues.overdue.session in sessions else None
    if clues.crashed is not None:  # a thread of Python's: if it worked for anybody, it noted that
        return _only({note.session for note in believed if note.identity == clues.crashed})
    by_thread = {note.session for note in believed if note.thread == clues.violator}
    # Threads of native libraries note nothing. They work for whoever waits for them.
    return _only(by_thread or {note.session for note in believed})


def _only(sessions: Collection[int]) -> int | None:
    return next(iter(sessions)) if len(sessions) == 1 else None
