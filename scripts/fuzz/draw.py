"""What random choices are made of: shapes, types and attribute values, told by the declarations alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from ipc.descriptors import ANY, DataType, Descriptor, in_order
from ipc.limits import TensorLimits
from ipc.operators import REQUIRED, Attribute, Kind

Shape = tuple[int, ...]

_NICE_FLOATS = (0.0, 1.0, -1.0, 0.5, 2.0, 1.5, 0.25, 3.0, 1e-5, 100.0)
_HOSTILE_FLOATS = (-0.0, 1e-45, 1e-8, 65504.0, -3.0, 1e38, 3.4e38, 1e300)
_HOSTILE_NUMBERS = (2**31 - 1, -(2**31), 2**63 - 1, 2**64 - 1, math.inf, -math.inf, math.nan)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What the generated graphs are like.

    Attributes:
        operators: names to draw from; empty for all that the limits have.
        data_types: to draw from, where an operand may have any of them.
        max_rank: of operands, where an operator does not demand more.
        max_elements: of one operand.
        operations: least and largest number of operations of a graph.
        depth: 0..1, how readily an operation reads what others made instead of a new input.
        constants: 0..1, how many of the leaves are constants and not inputs.
        hostile: 0..1, how many of the values and attributes are extremes.
        content: whether inputs and constants get data; without, a graph can only be validated.
        sizes: of dimensions, each as likely as it is often there.
        least_size: of a dimension; less than 1 only for what is refused anyway.
    """

    operators: tuple[str, ...] = ()
    data_types: frozenset[DataType] = frozenset(DataType)
    max_rank: int = 8
    max_elements: int = 512
    operations: tuple[int, int] = (1, 4)
    depth: float = 0.6
    constants: float = 0.4
    hostile: float = 0.15
    content: bool = True
    sizes: tuple[int, ...] = (1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 4, 4, 5, 6, 8)
    least_size: int = 1


DEFAULT_PROFILE = Profile()


def data_type(random: Random, allowed: Collection[DataType], profile: Profile) -> DataType:
    """One of the allowed types, of the profile's if it has any of them."""
    wanted = in_order(frozenset(allowed) & profile.data_types) or in_order(allowed)
    return random.choice(list(wanted))


def rank(random: Random, limits: TensorLimits, profile: Profile) -> int:
    """A rank within limits; low ranks are likelier, since they combine."""
    high = max(limits.min_rank, min(limits.max_rank, profile.max_rank))
    if high > limits.min_rank + 3 and random.random() < 0.7:
        high = limits.min_rank + 3
    return random.randint(limits.min_rank, high)


def shape(random: Random, rank: int, profile: Profile) -> Shape:
    """Small sizes, their product within the profile's."""
    sizes, left = [], profile.max_elements
    for _ in range(rank):
        size = min(random.choice(profile.sizes), left)
        sizes.append(size)
        left //= size
    random.shuffle(sizes)
    return tuple(sizes)


def related_shape(random: Random, base: Shape, limits: TensorLimits, profile: Profile) -> Shape:
    """A shape that often goes with `base`: the same, one that broadcasts with it, a part of it, or any other."""
    choice = random.random()
    if choice < 0.45:
        related = base
    elif choice < 0.7:
        related = tuple(1 if random.random() < 0.4 else size for size in base)[random.randint(0, len(base)) :]
    elif choice < 0.8 and base:
        related = (random.choice(base),)
    else:
        related = shape(random, rank(random, limits, profile), profile)
    return (
        related
        if limits.min_rank <= len(related) <= limits.max_rank
        else shape(random, rank(random, limits, profile), profile)
    )


def attribute(random: Random, attribute: Attribute, shapes: Sequence[Shape], profile: Profile) -> Any:
    """A canonical value: the default, what fits one of the shapes, or another."""
    if attribute.default is not REQUIRED and random.random() < 0.5:
        return attribute.default
    return value(random, attribute.kind, shapes, profile)


def value(random: Random, kind: Kind, shapes: Sequence[Shape], profile: Profile) -> Any:
    """A canonical value of a kind; most of them small, or sizes and axes of `shapes`."""
    element = kind.element
    if element is None:
        return _SCALARS.get(kind.name, _choice)(random, kind, shapes, profile)
    if " | " in kind.name and random.random() < 0.5:
        return value(random, element, shapes, profile)
    if element.name in ("uint32", "modulo_uint32"):
        return list_for(random, random.choice(shapes) if shapes else ())
    length = random.choice((2, 2, 3, *map(len, shapes)))
    return tuple(value(random, element, shapes, profile) for _ in range(length))


def list_for(random: Random, base: Shape) -> Shape:
    """A list of integers that says something about a shape: axes, an order, sizes, paddings, counts."""
    ranks = range(len(base))
    match random.randrange(8):
        case 0:
            return tuple(random.sample(ranks, len(base)))
        case 1:
            return tuple(random.sample(ranks, random.randint(0, len(base))))
        case 2:
            return base
        case 3:
            return (random.randint(1, 3), *base)
        case 4:
            return tuple(random.randint(0, 2) for _ in base)
        case 5:
            return tuple(random.randint(1, max(1, size)) for size in base)
        case 6:
            return tuple(random.randint(1, 3) for _ in range(random.choice((2, 2, 4))))
        case _:
            return tuple(random.randint(0, 1) for _ in range(random.choice((2, 4, 4))))


def _unsigned(random: Random, _kind: Kind, shapes: Sequence[Shape], profile: Profile) -> int:
    if random.random() < profile.hostile / 4:
        return random.choice((2**31 - 1, 2**31, 2**32 - 1))
    base = random.choice(shapes) if shapes else ()
    candidates: tuple[int, ...] = (*range(max(1, len(base))), *base, 0, 1, 2)
    return random.choice(candidates)


def _signed(random: Random, _kind: Kind, _shapes: Sequence[Shape], profile: Profile) -> int:
    if random.random() < profile.hostile:
        return random.choice((2**31 - 1, -(2**31)))
    return random.randint(-4, 4)


def _real(random: Random, kind: Kind, _shapes: Sequence[Shape], profile: Profile) -> float:
    given = random.choice(_HOSTILE_FLOATS if random.random() < profile.hostile else _NICE_FLOATS)
    return given if kind.canonical(given) else 1.0


def _number(random: Random, _kind: Kind, _shapes: Sequence[Shape], profile: Profile) -> int | float:
    if random.random() < profile.hostile:
        return random.choice(_HOSTILE_NUMBERS)
    return random.choice((random.randint(-5, 5), random.choice(_NICE_FLOATS)))


def _choice(random: Random, kind: Kind, _shapes: Sequence[Shape], _profile: Profile) -> str:
    return random.choice(kind.choices)


def _boolean(random: Random, *_: object) -> bool:
    return random.random() < 0.5


def _any_type(random: Random, *_: object) -> DataType:
    return random.choice(list(in_order(ANY)))


_SCALARS: Mapping[str, Callable[..., Any]] = {
    "uint32": _unsigned,
    "modulo_uint32": _unsigned,
    "int32": _signed,
    "float64": _real,
    "float32": _real,
    "number": _number,
    "bool": _boolean,
    "data_type": _any_type,
}


def descriptor(random: Random, limits: TensorLimits, profile: Profile) -> Descriptor:
    """Anything that a slot may hold."""
    return Descriptor(
        data_type(random, limits.data_types, profile), shape(random, rank(random, limits, profile), profile)
    )
