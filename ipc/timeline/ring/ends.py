"""The two ends of a ring as state machines over memory: no threads, no descriptors, no clock.

What they need of the world is given to them: a bell that wakes the other side, and a fence. A test can therefore run
both ends in one thread, in any interleaving.

Neither side ever reads a word that it has written itself: its own cursors are Python ints, and what the peer does to
the memory changes nothing about them.
"""

from __future__ import annotations

from collections.abc import Callable

from ipc.timeline.ring import commands
from ipc.timeline.ring.layout import (
    ASLEEP,
    CAPACITY,
    COMMAND_BYTES,
    COMMANDS,
    COMPLETED,
    ERROR_BYTES,
    ERRORS,
    PUBLISHED,
    RESULTS,
    RING_BYTES,
    WAKE_AT,
)
from ipc.verdicts import BadMessage, BadMessageReason

Bell = Callable[[], None]
"""Wakes the other side; never blocks, and never fails because of what the other side does."""

Fence = Callable[[], None]
"""Stores before it are visible to the other side before loads after it happen."""


class RingError(Exception):
    """The GPU process has written what it can't have written."""


class RendererEnd:
    """Publishes commands and learns of their completion.

    Attributes:
        published: number of the last command that the GPU process may take.
        completed: number of the last command whose completion was taken note of.
    """

    __slots__ = ("_bell", "_fence", "_memory", "_rung", "_words", "completed", "published")

    def __init__(self, memory: memoryview, bell: Bell, fence: Fence) -> None:
        self._memory, self._words = _views(memory)
        self._bell = bell
        self._fence = fence
        self._rung = 0
        self.published = 0
        self.completed = 0

    @property
    def room(self) -> int:
        """How many commands fit."""
        return CAPACITY - (self.published - self.completed)

    def publish(self, kind: int, number: int, token: bytes) -> int:
        """Hand a command over, for which there must be room; its number."""
        self.published = sequence = self.published + 1
        commands.write(
            self._memory, COMMANDS + (sequence - 1) % CAPACITY * COMMAND_BYTES, sequence, kind, number, token
        )
        words = self._words
        words[PUBLISHED] = sequence
        # Either we see that the other side sleeps, or it sees the command before it does.
        self._fence()
        asleep = words[ASLEEP]
        if asleep and asleep != self._rung:  # once is enough: who wakes looks at everything before it sleeps again
            self._rung = asleep
            self._bell()
        return sequence

    def peek(self) -> int:
        """The number of the last command that is done, as the memory has it; to be compared only."""
        return self._words[COMPLETED]

    def look(self) -> int:
        """The number of the last command that is done; results up to it can be taken, then `take_note` of it.

        Raises:
            RingError: the memory holds a number that can't be.
        """
        completed = self._words[COMPLETED]
        if not self.completed <= completed <= self.published:
            raise RingError(f"completed: {completed} is not from {self.completed} to {self.published}")
        return completed

    def error_of(self, sequence: int) -> bytes | None:
        """How a command that is done has failed: a serialised `Error`, or None.

        Raises:
            RingError: the memory holds a length that can't be.
        """
        place = (sequence - 1) % CAPACITY
        length = self._words[RESULTS // 8 + place]
        if not length:
            return None
        if length > ERROR_BYTES:
            raise RingError(f"an error of {length} bytes")
        start = ERRORS + place * ERROR_BYTES
        return bytes(self._memory[start : start + length])

    def take_note(self, completed: int) -> None:
        """All results up to `completed` were taken: their places can be used again."""
        self.completed = completed

    def wake_at(self, sequence: int) -> bool:
        """Have the bell rung when a command is done, or never if `sequence` is 0; False if it is done already."""
        self._words[WAKE_AT] = sequence
        self._fence()
        return not sequence or self._words[COMPLETED] < sequence


class GpuEnd:
    """Takes commands and publishes their completion. What it reads may be written by an enemy at any moment.

    Attributes:
        taken: number of the last command that was taken; it is done, or the one that is being executed.
    """

    __slots__ = ("_bell", "_fence", "_memory", "_rung", "_sleeps", "_words", "taken")

    def __init__(self, memory: memoryview, bell: Bell, fence: Fence) -> None:
        self._memory, self._words = _views(memory)
        self._bell = bell
        self._fence = fence
        self._rung = 0
        self._sleeps = 0
        self.taken = 0

    def pending(self) -> bool:
        """Whether there seems to be a command."""
        return self._words[PUBLISHED] != self.taken

    def available(self) -> int:
        """How many commands can be taken.

        Raises:
            BadMessage: more than fit, or less than none.
        """
        distance = self._words[PUBLISHED] - self.taken
        if not 0 <= distance <= CAPACITY:
            raise BadMessage(BadMessageReason.RING_CURSOR, "ring.published")
        return distance

    def take(self) -> commands.Command:
        """The next command, which must be available, copied and checked.

        Raises:
            BadMessage: no correct renderer writes it.
        """
        sequence = self.taken + 1
        command = commands.take(self._memory, COMMANDS + self.taken % CAPACITY * COMMAND_BYTES, sequence)
        self.taken = sequence
        return command

    def complete(self, error: bytes = b"") -> None:
        """The command that was taken last is done; `error` says how it failed, in at most `ERROR_BYTES`."""
        sequence = self.taken
        place = (sequence - 1) % CAPACITY
        words = self._words
        if error:
            start = ERRORS + place * ERROR_BYTES
            self._memory[start : start + len(error)] = error
        words[RESULTS // 8 + place] = len(error)
        words[COMPLETED] = sequence
        # Either we see that the other side wants to be woken, or it sees the completion before it sleeps.
        self._fence()
        wanted = words[WAKE_AT]
        if wanted and wanted <= sequence and wanted != self._rung:
            self._rung = wanted
            self._bell()

    def fall_asleep(self) -> None:
        """Say that the bell is needed from now on. What follows: a fence, and another look for commands."""
        self._sleeps += 1
        self._words[ASLEEP] = self._sleeps

    def wake_up(self) -> None:
        """Say that the bell is not needed; what was published before this will be looked at."""
        self._words[ASLEEP] = 0


def _views(memory: memoryview) -> tuple[memoryview, memoryview]:
    memory = memory.cast("B")
    if memory.nbytes < RING_BYTES or memory.readonly:
        raise ValueError(f"a ring takes {RING_BYTES} writable bytes, not {memory.nbytes}")
    # Native words: `struct` and memoryview copy one of these by a single load or store.
    return memory, memory[:ERRORS].cast("Q")
