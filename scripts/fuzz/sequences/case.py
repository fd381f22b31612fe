"""A sequence of calls. Objects are named by numbers that always mean one, whatever else is taken out of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, Final

Step = tuple[Any, ...]
"""A word and numbers; an object's number counts modulo how many there are."""

RENDERERS: Final = 3

WORDS: Final[Mapping[str, int]] = {
    "context": 2,
    "tensor": 6,
    "constant": 1,
    "graph": 4,
    "write": 10,
    "write_wrongly": 2,
    "dispatch": 14,
    "read": 14,
    "compute": 2,
    "destroy_tensor": 3,
    "destroy_graph": 2,
    "destroy_context": 1,
    "disconnect": 1,
}
"""How often each is drawn."""

KINDS: Final = ("increment", "sum", "double", "weighted", "wide")
"""Graphs: x + k; a + b; x * 2, which writes no constant; x + a constant tensor; one of another shape."""


@dataclass(frozen=True, slots=True)
class SequenceCase:
    """Calls, one after the other."""

    steps: tuple[Step, ...]

    @property
    def size(self) -> tuple[int, ...]:
        return (len(self.steps),)

    def to_json(self) -> dict[str, Any]:
        return {"steps": self.steps}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> SequenceCase:
        return cls(tuple(tuple(step) for step in value["steps"]))


def random_case(random: Random) -> SequenceCase:
    """Any order of anything, but enough to begin with."""
    carriers = ("inline", "stream", "ring")
    steps: list[Step] = [("context", 0, random.choice(carriers))]
    steps += [("tensor", 0, True, True), ("tensor", 0, True, True), ("graph", 0, random.choice(KINDS), 1)]
    words, weights = list(WORDS), list(WORDS.values())
    for word in random.choices(words, weights, k=random.randint(4, 30)):
        steps.append(_step(random, word, carriers))
    return SequenceCase(tuple(steps))


def _step(random: Random, word: str, carriers: tuple[str, ...]) -> Step:
    def some() -> int:
        return random.randrange(8)

    match word:
        case "context":
            return (word, random.randrange(RENDERERS), random.choice(carriers))
        case "tensor":
            return (word, some(), random.random() < 0.8, random.random() < 0.8)
        case "constant" | "write" | "compute":
            return (word, some(), random.randint(-5, 50))
        case "graph":
            return (word, some(), random.choice(KINDS), random.randint(1, 9))
        case "dispatch":
            return (word, some(), some(), some(), some())
        case "disconnect":
            return (word, random.randrange(RENDERERS))
        case _:
            return (word, some())


def smaller_cases(case: SequenceCase) -> Iterator[SequenceCase]:
    """Without a half, a quarter, ... a single step."""
    size = len(case.steps) // 2
    while size:
        for start in range(0, len(case.steps), size):
            yield SequenceCase(case.steps[:start] + case.steps[start + size :])
        size //= 2
