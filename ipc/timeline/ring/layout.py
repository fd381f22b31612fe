"""What is where in the memory of a ring. Both sides write to different cache lines; every word has one writer.

| offset | bytes | written by | what |
| --- | --- | --- | --- |
| 0 | 8 | renderer | `PUBLISHED`: number of the last command that may be taken |
| 64 | 8 | renderer | `WAKE_AT`: ring the renderer's bell once this command is done; 0 never |
| 128 | 8 | GPU process | `COMPLETED`: number of the last command that is done |
| 192 | 8 | GPU process | `ASLEEP`: which of its sleeps the GPU process must be woken from; 0 while it is awake |
| 4096 | 64 each | renderer | commands, see `commands` |
| then | 8 each | GPU process | results: 0, or the length of an error |
| then | 2048 each | GPU process | errors, serialised `Error` messages |

Command `n` (they count from 1) is in place `(n - 1) % CAPACITY`, and so are its result and its error. A place is used
again once the renderer has seen that its command is done and has taken the result.

Python has no memory fences. What is relied on is x86-64: stores become visible in their order, loads happen in theirs,
and an aligned word of 8 bytes is stored and loaded as one. The only order that x86-64 does not keep, a store before a
later load of something else, is asked for by `Fence` where it matters.
"""

from __future__ import annotations

from typing import Final

CAPACITY: Final = 512
"""Commands that fit into a ring."""

COMMAND_BYTES: Final = 64
ERROR_BYTES: Final = 2048

# Offsets of words, in words of 8 bytes
PUBLISHED: Final = 0
WAKE_AT: Final = 8
COMPLETED: Final = 16
ASLEEP: Final = 24

COMMANDS: Final = 4096
RESULTS: Final = COMMANDS + CAPACITY * COMMAND_BYTES
ERRORS: Final = RESULTS + CAPACITY * 8
RING_BYTES: Final = ERRORS + CAPACITY * ERROR_BYTES

HOT_BYTES: Final = ERRORS
"""From the start: what every round trip touches. The errors' pages are there only once something has failed."""
