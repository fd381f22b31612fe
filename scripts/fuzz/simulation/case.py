"""A simulated program: what each renderer does, when things die, and the schedule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Final

Operation = tuple[Any, ...]
"""A word and its operands; tensors and graphs by the number that the program gave them."""

CARRIERS: Final = ("inline", "stream", "ring")


@dataclass(frozen=True, slots=True)
class ContextProgram:
    """What one context is used for, one operation after the other.

    Operations: `tensor t`, `graph g inputs addend fails`, `write t value`, `dispatch g inputs output`, `read t`,
    `destroy_tensor t`, `destroy_graph g`; for the reads so far, `wait`, `share` (threads wait, and watch) or
    `callback` (somebody is told).
    """

    carrier: str
    operations: tuple[Operation, ...]


@dataclass(frozen=True, slots=True)
class SimulationCase:
    """All renderers, each with its contexts, and how it ends.

    Attributes:
        renderers: the contexts of each; every context is used by a task of its own.
        endings: what may happen at any moment: `crash`, `disconnect r`, `destroy r c`, `host_ends r`.
        seed: of the schedule, unless `answers` are given.
        answers: to every question of the scheduler.
        lines: whether every line of the product is a place to switch.
        deviations: all schedules with so many deviations from the plain course are run; -1 for one schedule alone.
    """

    renderers: tuple[tuple[ContextProgram, ...], ...]
    endings: tuple[Operation, ...] = ()
    seed: int = 0
    answers: tuple[int, ...] | None = None
    lines: bool = False
    deviations: int = -1

    @property
    def size(self) -> tuple[int, ...]:
        programs = [program for renderer in self.renderers for program in renderer]
        return (
            len(programs) + len(self.endings),
            sum(len(program.operations) for program in programs),
            len(self.answers or ()),
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "renderers": [
                [{"carrier": program.carrier, "operations": program.operations} for program in renderer]
                for renderer in self.renderers
            ],
            "endings": self.endings,
            "seed": self.seed,
            "answers": self.answers,
            "lines": self.lines,
            "deviations": self.deviations,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> SimulationCase:
        return cls(
            renderers=tuple(
                tuple(ContextProgram(each["carrier"], _frozen(each["operations"])) for each in renderer)
                for renderer in value["renderers"]
            ),
            endings=_frozen(value["endings"]),
            seed=value["seed"],
            answers=None if value["answers"] is None else tuple(value["answers"]),
            lines=value["lines"],
            deviations=value["deviations"],
        )


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list | tuple) else value


# --- making them ------------------------------------------------------------------------------------------------------

_MOST_OPERATIONS: Final = 14
_WORDS: Final = (*("write",) * 2, *("dispatch",) * 3, *("read",) * 3, *("other",) * 2)


def random_case(random: Random) -> SimulationCase:
    """A few renderers that do something sensible, and now and then something that ends one of them."""
    renderers = tuple(
        tuple(
            ContextProgram(random.choice(CARRIERS), random_operations(random, random.randint(2, _MOST_OPERATIONS)))
            for _ in range(random.choice((1, 1, 1, 2)))
        )
        for _ in range(random.choice((1, 1, 1, 2)))
    )
    endings: list[Operation] = []
    for number, renderer in enumerate(renderers):
        if random.random() < 0.15:
            endings.append((random.choice(("disconnect", "host_ends")), number))
        if random.random() < 0.2:
            endings.append(("destroy", number, random.randrange(len(renderer))))
    if random.random() < 0.1:
        endings.append(("crash",))
    return SimulationCase(renderers, tuple(endings), random.getrandbits(32), lines=random.random() < 0.6)


def random_operations(random: Random, count: int) -> tuple[Operation, ...]:
    """A legal program: everything exists when it is used."""
    operations: list[Operation] = [("tensor", 0), ("tensor", 1), ("graph", 0, 1, random.randint(1, 9), False)]
    tensors, graphs = [0, 1], {0: 1}
    made = 2
    for _ in range(count):
        match random.choice(_WORDS):
            case "write":
                operations.append(("write", random.choice(tensors), random.randint(-9, 99)))
            case "dispatch" if graphs:
                graph = random.choice(list(graphs))
                if len(tensors) > graphs[graph]:
                    *inputs, output = random.sample(tensors, graphs[graph] + 1)
                    operations.append(("dispatch", graph, tuple(inputs), output))
            case "read":
                operations.append(("read", random.choice(tensors)))
                if random.random() < 0.35:
                    operations.append((random.choice(("share", "callback")),))
            case "other":
                match random.randrange(5):
                    case 0:
                        operations.append(("tensor", made))
                        tensors.append(made)
                        made += 1
                    case 1 if len(tensors) > 2:
                        operations.append(("destroy_tensor", tensors.pop(random.randrange(len(tensors)))))
                        if random.random() < 0.5:  # what comes into its place is new: zero
                            operations += (("tensor", made), ("read", made))
                            tensors.append(made)
                            made += 1
                    case 2:
                        graphs[made] = random.randint(1, 2)
                        fails = random.random() < 0.25
                        operations.append(("graph", made, graphs[made], random.randint(0, 9), fails))
                        made += 1
                    case 3 if graphs:
                        graph = random.choice(list(graphs))
                        del graphs[graph]
                        operations.append(("destroy_graph", graph))
                    case _:
                        operations.append(("wait",))
    return tuple(operations)


def smaller_cases(case: SimulationCase) -> Any:
    """The case without a renderer, a context, an ending or an operation that nothing later needs."""
    for at in range(len(case.endings)):
        yield replace(case, endings=case.endings[:at] + case.endings[at + 1 :])
    if not case.endings and len(case.renderers) > 1:
        for at in range(len(case.renderers)):
            yield replace(case, renderers=case.renderers[:at] + case.renderers[at + 1 :])
    for r, renderer in enumerate(case.renderers):
        if len(renderer) > 1 and not case.endings:
            for c in range(len(renderer)):
                yield _with_renderer(case, r, renderer[:c] + renderer[c + 1 :])
        for c, program in enumerate(renderer):
            for at in range(len(program.operations) - 1, -1, -1):
                operations = _without(program.operations, at)
                changed = ContextProgram(program.carrier, operations)
                yield _with_renderer(case, r, (*renderer[:c], changed, *renderer[c + 1 :]))


def _with_renderer(case: SimulationCase, at: int, renderer: tuple[ContextProgram, ...]) -> SimulationCase:
    return replace(case, renderers=(*case.renderers[:at], renderer, *case.renderers[at + 1 :]))


def _without(operations: tuple[Operation, ...], at: int) -> tuple[Operation, ...]:
    """Without one operation, and without what uses what it makes."""
    dropped = operations[at]
    kept = operations[:at] + operations[at + 1 :]
    if dropped[0] == "tensor":
        return tuple(each for each in kept if dropped[1] not in tensors_of(each))
    if dropped[0] == "graph":
        return tuple(each for each in kept if not (each[0] in ("dispatch", "destroy_graph") and each[1] == dropped[1]))
    return kept


def tensors_of(operation: Operation) -> tuple[int, ...]:
    """What an operation makes, uses or destroys."""
    match operation:
        case ("dispatch", _, inputs, output):
            return (*inputs, output)
        case ("tensor" | "write" | "read" | "destroy_tensor", tensor, *_):
            return (tensor,)
        case _:
            return ()
