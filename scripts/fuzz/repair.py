"""How a call that breaks a rule comes nearer to one that does not: its error names what is wrong with what.

A `RuleError` has the offending values by name. Some of the names are slots or attributes: one of them is changed to fit
the other values, of which nothing is known but that the rule compares them: the same size, the same shape, as many
entries, a divisor, an axis. Wrong guesses cost a microsecond, and the next error says more.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from random import Random
from typing import Any

from ipc.descriptors import MAX_RANK, Descriptor
from ipc.limits import SupportLimits
from ipc.operators import REQUIRED, Attribute, RuleError
from scripts.fuzz import draw
from scripts.fuzz.calls import Call
from scripts.fuzz.draw import Profile, Shape


def repaired(
    call: Call,
    error: RuleError,
    random: Random,
    limits: SupportLimits,
    profile: Profile,
    pinned: Collection[str] = (),
) -> Call:
    """`call` with one thing changed in answer to `error`; nothing promises that it holds then.

    Args:
        pinned: slots and attributes that must stay as they are.
    """
    name = _suspect(call, error, random, pinned)
    if name is None:
        return call
    if name in call.attributes:
        evidence = _Evidence(error, name, call)
        return call.with_attribute(name, _attribute(random, call, name, evidence, profile))
    if error.rule.endswith(f"{name}.data_type") or (error.rule.endswith("data_type") and random.random() < 0.7):
        return _other_type(call, name, random, limits, profile)
    return _other_shape(call, name, error, random, limits, profile)


def _suspect(call: Call, error: RuleError, random: Random, pinned: Collection[str]) -> str | None:
    """The slot or attribute to change."""
    given = [name for name, value in call.operands.items() if value is not None and name not in pinned]
    everything = [*given, *(name for name in call.attributes if name not in pinned)]
    named = [name for name in error.values if name in everything]
    _, _, rule = error.rule.partition(".")
    implied = [name for name in everything if rule.startswith(f"{name}.")]
    if implied and random.random() < 0.8:
        return random.choice(implied)
    if named and random.random() < 0.85:
        return random.choice(named)
    return random.choice(everything) if everything else None


class _Evidence:
    """The numbers in an error, without those of the suspect itself."""

    def __init__(self, error: RuleError, suspect: str, call: Call) -> None:
        self.lists: list[Shape] = []
        self.numbers: list[int] = []
        for name, value in error.values.items():
            if name == suspect:
                continue
            if isinstance(value, tuple) and all(type(item) is int for item in value):
                self.lists.append(tuple(max(0, item) for item in value))
            elif type(value) is int:
                self.numbers.append(max(0, value))
        if not self.lists:
            self.lists = [descriptor.shape for _, descriptor in call.descriptors()]
        self.own: Any = error.values.get(suspect)


# --- operands ---------------------------------------------------------------------------------------------------------


def _other_type(call: Call, name: str, random: Random, limits: SupportLimits, profile: Profile) -> Call:
    slot = call.operator.slots[name]
    like = call.operands[slot.same_type_as] if slot.same_type_as else None
    if isinstance(like, Descriptor):
        wanted = like.data_type
    else:
        wanted = draw.data_type(random, limits.operators[call.operator.name][name].data_types, profile)
    value = call.operands[name]
    if isinstance(value, tuple):
        return call.with_operand(name, tuple(Descriptor(wanted, each.shape) for each in value))
    assert isinstance(value, Descriptor)
    return call.with_operand(name, Descriptor(wanted, value.shape))


def _other_shape(
    call: Call, name: str, error: RuleError, random: Random, limits: SupportLimits, profile: Profile
) -> Call:
    entry = limits.operators[call.operator.name][name]
    value = call.operands[name]
    if isinstance(value, tuple):
        return call.with_operand(name, _others(value, random, draw.descriptor(random, entry, profile)))
    assert isinstance(value, Descriptor)
    evidence = _Evidence(error, name, call)
    for _ in range(4):
        shape = _shape(random, value.shape, evidence, profile)
        if entry.min_rank <= len(shape) <= entry.max_rank and _is_small(shape, profile):
            return call.with_operand(name, Descriptor(value.data_type, shape))
    shape = draw.shape(random, draw.rank(random, entry, profile), profile)
    return call.with_operand(name, Descriptor(value.data_type, shape))


def _is_small(shape: Shape, profile: Profile) -> bool:
    return (
        len(shape) <= MAX_RANK
        and all(size >= profile.least_size for size in shape)
        and math.prod(shape) <= profile.max_elements
    )


def _others(given: tuple[Descriptor, ...], random: Random, fresh: Descriptor) -> tuple[Descriptor, ...]:
    """Operands of a list: as many others, all like the first, or of one new kind."""
    first = given[0] if given else fresh
    if random.random() < 0.3:
        first = fresh
    return (first,) * random.randint(1, 4)


def _shape(random: Random, own: Shape, evidence: _Evidence, profile: Profile) -> Shape:
    if evidence.numbers and random.random() < 0.5:
        number = random.choice(evidence.numbers)
        if isinstance(evidence.own, int) and random.random() < 0.7:  # the error compares one size of it
            places = [at for at, size in enumerate(own) if size == evidence.own]
        else:
            places = list(range(len(own)))
        if len(own) == 1 or not places:
            return (number,)
        at = random.choice(places)
        return (*own[:at], number, *own[at + 1 :])
    other = random.choice(evidence.lists) if evidence.lists else own
    match random.randrange(6):
        case 0 | 1:
            return other
        case 2:
            return _as_long(random, own, len(other))
        case 3:
            return tuple(random.choice(_divisors(size)) if random.random() < 0.5 else size for size in other)
        case 4 if own and other:
            at, size = random.randrange(len(own)), random.choice(other)
            return (*own[:at], size, *own[at + 1 :])
        case _:
            return draw.shape(random, random.choice((len(own), len(other))), profile)


def _as_long(random: Random, own: Sequence[int], length: int) -> Shape:
    longer = (*own, *(random.randint(1, 3) for _ in range(length - len(own))))
    return tuple(longer[:length])


def _divisors(number: int) -> list[int]:
    if not 1 <= number <= 4096:
        return [1]
    return [candidate for candidate in range(1, number + 1) if number % candidate == 0]


# --- attributes -------------------------------------------------------------------------------------------------------


def _attribute(random: Random, call: Call, name: str, evidence: _Evidence, profile: Profile) -> Any:
    attribute: Attribute = call.operator.attributes[name]
    if attribute.default is not REQUIRED and random.random() < 0.2:
        return attribute.default
    kind, own = attribute.kind, call.attributes[name]
    element = kind.element
    proposal: Any = None
    if element is None and kind.name in ("uint32", "modulo_uint32"):
        proposal = _number(random, evidence)
    elif element is not None and element.name in ("uint32", "modulo_uint32"):
        if kind.name.startswith("list[") or random.random() < 0.5:
            proposal = _list(random, own if isinstance(own, tuple) else (), evidence)
        else:
            proposal = _number(random, evidence)
    elif element is not None and isinstance(own, tuple) and random.random() < 0.5:
        proposal = own[: random.choice((2, 3))]
    if proposal is not None and kind.canonical(proposal):
        return proposal
    return draw.value(random, kind, evidence.lists, profile)


def _number(random: Random, evidence: _Evidence) -> int:
    candidates = [0, 1, 2]
    for number in evidence.numbers:
        candidates += (number, *_divisors(number))
    for each in evidence.lists:
        candidates += (*each, *range(len(each)))
        if each:
            candidates += (each[0], each[0])
    return random.choice(candidates)


def _list(random: Random, own: Shape, evidence: _Evidence) -> Shape:
    base = random.choice(evidence.lists) if evidence.lists else own
    match random.randrange(10):
        case 0 | 1:
            return base
        case 2:
            return tuple(random.randint(0, max(0, size - 1)) for size in base)
        case 3:
            return _as_long(random, own, len(base) if random.random() < 0.6 else random.choice((2, 4)))
        case 4:
            return _partition(random, random.choice(evidence.numbers or [*base, 1]))
        case 5:
            return _factors(random, math.prod(base))
        case 6:
            return tuple(max(1, entry) for entry in own)
        case 7:
            return tuple(dict.fromkeys(entry for entry in own if entry < len(base)))
        case 8:
            return tuple(min(entry, 1) for entry in own)
        case _:
            return draw.list_for(random, base)


def _partition(random: Random, total: int) -> Shape:
    """Positive numbers with this sum."""
    parts: list[int] = []
    while total > 0 and len(parts) < 8:
        part = random.randint(1, total)
        parts.append(part)
        total -= part
    return (*parts, total) if total > 0 else tuple(parts)


def _factors(random: Random, product: int) -> Shape:
    """Numbers with this product, in any order."""
    factors = []
    for _ in range(random.randint(1, 4)):
        factor = random.choice(_divisors(product))
        factors.append(factor)
        product //= factor
    factors.append(product)
    random.shuffle(factors)
    return tuple(factors) if len(factors) > 1 or factors[0] != 1 or random.random() < 0.5 else ()
