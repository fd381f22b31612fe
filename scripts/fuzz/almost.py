"""Almost legal calls and graphs: one thing is changed, and exactly one rule says so."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from ipc.descriptors import MAX_DIMENSION, MAX_RANK, MAX_TENSOR_BYTES, DataType, Descriptor
from ipc.limits import SupportLimits
from ipc.operators import REGISTRY, Attribute, Operator, SlotValue, declared_limits
from scripts.fuzz import draw
from scripts.fuzz.calls import Call, make_call
from scripts.fuzz.case import GraphCase
from scripts.fuzz.draw import DEFAULT_PROFILE, Profile
from scripts.fuzz.graphs import GraphWriter
from scripts.fuzz.repair import repaired
from scripts.fuzz.search import learned, legal_call

_FRESH = 0.4  # of the cases try a change of their own
_ATTEMPTS = 4  # before one that was learned is taken
_LEARNING = (400, 3000)  # changes: so many at least, so many while a rule that the declaration states is unbroken
_FOLLOWED = 6  # repairs around a change, to reach the rules that are checked after the first
_FOLLOWED_SHARE = 0.25  # of the changes
_FOLLOWED_LENGTH = 64  # of lists of operands; what is longer is refused for its length
_KEPT = 4
_HUGE = (2**16, 2**24, 2**30, MAX_DIMENSION, MAX_DIMENSION + 1)
_HUGE_UNSIGNED = (2**30, 2**31 - 1, 2**31, 2**32 - 1)
_MANY = 8193  # one more than a list of tensors may have
_UNBOUNDED = replace(DEFAULT_PROFILE, max_elements=2**63, least_size=0)


@dataclass(frozen=True, slots=True)
class Broken:
    """A call that breaks one rule.

    Attributes:
        call: as it was changed.
        rule: the id of what it breaks.
        outputs: those of the legal call that it was made from.
    """

    call: Call
    rule: str
    outputs: tuple[Descriptor, ...]

    @property
    def is_sendable(self) -> bool:
        """Whether every operand could exist: else it is refused before the rules are asked."""
        return all(descriptor.problem(MAX_TENSOR_BYTES) is None for _, descriptor in self.call.descriptors())


def broken_call(
    operator: Operator,
    random: Random,
    limits: SupportLimits,
    profile: Profile = DEFAULT_PROFILE,
    *,
    sendable: bool = True,
) -> Broken | None:
    """A call with a change that breaks a rule; every rule that is known to be breakable is as likely as any other.

    Args:
        sendable: only calls whose operands could exist.

    Returns:
        None where no such call was found.
    """
    recipes = _recipes(operator.name, sendable)
    if not recipes:
        return None
    wanted = random.choice(list(recipes))
    for _ in range(_ATTEMPTS if random.random() < _FRESH else 0):
        legal = legal_call(operator, random, limits, profile)
        if legal is None:
            break
        changed, _ = change(legal, random, profile)
        error = changed.refusal(limits)
        if error is not None and error.rule == wanted and _is_writable(changed):
            broken = Broken(changed, wanted, legal.infer(limits))
            if broken.is_sendable or not sendable:
                return broken
    broken = random.choice(recipes[wanted])
    error = broken.call.refusal(limits)
    return None if error is None else replace(broken, rule=error.rule)


@functools.cache
def breakable(name: str) -> Mapping[str, tuple[Broken, ...]]:
    """By rule id, calls of an operator that break the rule within the declared limits."""
    random, limits = Random(f"broken {name}"), declared_limits()
    found: dict[str, list[Broken]] = {}
    stated = {f"{name}.{rule}" for rule in REGISTRY[name].rules}
    least, most = _LEARNING
    for tried in range(most):
        if tried > least and stated <= found.keys():
            break
        legal = random.choice(learned(name))
        call, changed = change(legal, random, DEFAULT_PROFILE)
        for _ in range(_FOLLOWED if random.random() < _FOLLOWED_SHARE else 1):
            error = call.refusal(limits)
            if error is None:
                break
            if not _is_writable(call):
                break
            kept = found.setdefault(error.rule, [])
            if len(kept) < 2 * _KEPT:
                broken = Broken(call, error.rule, legal.infer(limits))
                if len([other for other in kept if other.is_sendable == broken.is_sendable]) < _KEPT:
                    kept.append(broken)
            if any(isinstance(value, tuple) and len(value) > _FOLLOWED_LENGTH for value in call.operands.values()):
                break
            call = repaired(call, error, random, limits, _UNBOUNDED, (changed,))
    return {rule: tuple(calls) for rule, calls in sorted(found.items())}


@functools.cache
def _recipes(name: str, sendable: bool) -> Mapping[str, tuple[Broken, ...]]:
    """What is breakable, without the calls whose operands could not exist if they must be `sendable`."""
    kept = {
        rule: tuple(broken for broken in known if broken.is_sendable or not sendable)
        for rule, known in breakable(name).items()
    }
    return {rule: calls for rule, calls in kept.items() if calls}


def _is_writable(call: Call) -> bool:
    """Whether a message can say it, right or wrong: attributes have their kinds, sizes have 32 bits."""
    if any(not 0 <= size < 2**32 for _, descriptor in call.descriptors() for size in descriptor.shape):
        return False
    return all(
        # A number that was cast to an integer type, where only floats belong, is a float on the wire.
        attribute.takes(float(value) if type(value) is int and attribute.kind.name == "float64" else value)
        for attribute, value in (
            (attribute, call.attributes[name]) for name, attribute in call.operator.attributes.items()
        )
    )


def almost_legal_graph(
    random: Random, limits: SupportLimits, profile: Profile = DEFAULT_PROFILE, *, sendable: bool = True
) -> GraphCase | None:
    """A graph whose last operation breaks one rule, all else being right; None where none was found."""
    writer = GraphWriter(random, limits, profile)
    for _ in range(random.randint(*profile.operations) - 1):
        writer.add_any()
    names = [name for name in (profile.operators or limits.operators) if name in limits.operators]
    broken = broken_call(REGISTRY[random.choice(names)], random, limits, profile, sendable=sendable)
    if broken is None:
        return None
    leaf_limits = (limits.input, limits.constant)
    if sendable and not all(
        any(each.allows(descriptor) for each in leaf_limits) for _, descriptor in broken.call.descriptors()
    ):
        return None
    writer.add(broken.call, broken.outputs)
    return writer.finished(broken.rule)


@dataclass(frozen=True, slots=True)
class Cut:
    """Less support for one operand or output of an operator, or smaller tensors, than there was.

    Attributes:
        operator, name: what is cut; an operator alone where `what` is "supported".
        what: "data_type", "rank", "bytes" or "supported".
        value: the type or rank that is taken away, or the bytes that are left.
    """

    operator: str
    name: str
    what: str
    value: Any

    def apply(self, limits: SupportLimits) -> SupportLimits:
        if self.what == "bytes":
            return replace(limits, max_tensor_byte_length=self.value)
        operators = dict(limits.operators)
        if self.what == "supported":
            del operators[self.operator]
            return replace(limits, operators=operators)
        entry = operators[self.operator][self.name]
        if self.what == "data_type":
            entry = replace(entry, data_types=entry.data_types - {self.value})
        else:
            entry = replace(entry, min_rank=self.value + 1)
        operators[self.operator] = {**operators[self.operator], self.name: entry}
        return replace(limits, operators=operators)


def cut_for(call: Call, outputs: tuple[Descriptor, ...], random: Random) -> Cut:
    """A cut that a call which was legal doesn't survive."""
    operator = call.operator
    if random.random() < 0.05:
        return Cut(operator.name, "", "supported", None)
    names = list(operator.outputs)
    made = [(names[min(at, len(names) - 1)], output) for at, output in enumerate(outputs)]
    name, descriptor = random.choice([*call.descriptors(), *made, *made])
    match random.randrange(3):
        case 0:
            return Cut(operator.name, name, "data_type", descriptor.data_type)
        case 1:
            return Cut(operator.name, name, "rank", descriptor.rank)
        case _:
            return Cut(operator.name, name, "bytes", random.choice(made)[1].byte_length - 1)


# --- one change -------------------------------------------------------------------------------------------------------


def change(call: Call, random: Random, profile: Profile) -> tuple[Call, str]:
    """`call` with one of its operands or attributes replaced, and which."""
    members = [*call.operands, *call.attributes]
    name = random.choice(members)
    if name in call.attributes:
        attribute = call.operator.attributes[name]
        shapes = [descriptor.shape for _, descriptor in call.descriptors()]
        value = _other_value(attribute, call.attributes[name], random, shapes, profile)
        return call.with_attribute(name, value), name
    if random.random() < 0.2:
        return _other_types(call, name, random), name
    return call.with_operand(name, _other_operand(call, name, random, profile)), name


def _other_types(call: Call, name: str, random: Random) -> Call:
    """Another data type in a slot, and in all that must have the same."""
    wanted = random.choice(list(DataType))
    operands: dict[str, SlotValue] = dict(call.operands)
    for other, slot in call.operator.slots.items():
        value = operands[other]
        if value is None or (other != name and slot.same_type_as != name):
            continue
        operands[other] = (
            tuple(Descriptor(wanted, each.shape) for each in value)
            if isinstance(value, tuple)
            else Descriptor(wanted, value.shape)
        )
    return make_call(call.operator, operands, call.attributes)


def _other_operand(call: Call, name: str, random: Random, profile: Profile) -> SlotValue:
    slot, value = call.operator.slots[name], call.operands[name]
    if isinstance(value, tuple):
        return _other_list(value, random)
    if value is None:
        like = call.operands[slot.same_type_as] if slot.same_type_as else None
        data_type = like.data_type if isinstance(like, Descriptor) else random.choice(list(slot.data_types))
        others = [descriptor.shape for _, descriptor in call.descriptors()]
        shape = random.choice([*others, *(each[-1:] for each in others), draw.shape(random, slot.rank[0], profile)])
        return Descriptor(data_type if random.random() < 0.7 else random.choice(list(DataType)), shape)
    if slot.presence == "optional" and random.random() < 0.1:
        return None
    if random.random() < 0.25:
        return Descriptor(random.choice(list(DataType)), value.shape)
    return Descriptor(value.data_type, _other_shape(value.shape, random))


def _other_list(value: tuple[Descriptor, ...], random: Random) -> tuple[Descriptor, ...]:
    match random.randrange(32):
        case 0 | 1 | 2:
            return ()
        case 3:
            return (value[0] if value else Descriptor(DataType.UINT8, (1,)),) * _MANY
        case 4 | 5 | 6 if value:
            return tuple(Descriptor(each.data_type, ()) for each in value)
        case _ if value:
            odd = value[-1]
            other = random.choice(
                (
                    Descriptor(random.choice(list(DataType)), odd.shape),
                    Descriptor(odd.data_type, _other_shape(odd.shape, random)),
                )
            )
            return (*value, other)
        case _:
            return value


def _other_shape(shape: tuple[int, ...], random: Random) -> tuple[int, ...]:
    at = random.randrange(len(shape)) if shape else 0
    match random.randrange(7):
        case 0 if shape:
            return shape[1:]
        case 1:
            return (random.randint(1, 3), *shape)
        case 2 if shape:
            return (*shape[:at], random.choice(_HUGE), *shape[at + 1 :])
        case 3:
            return ()
        case 4:
            return (1,) * (MAX_RANK - len(shape)) + shape
        case 5:
            return tuple(random.sample(shape, len(shape)))
        case _ if shape:
            return (*shape[:at], max(1, shape[at] + random.choice((-1, 1, 1, 2, shape[at]))), *shape[at + 1 :])
        case _:
            return (random.randint(1, 3),)


def _other_value(
    attribute: Attribute, value: Any, random: Random, shapes: list[tuple[int, ...]], profile: Profile
) -> Any:
    kind = attribute.kind
    element = kind.element
    if random.random() < 0.3 or value is None:
        return draw.value(random, kind, shapes, profile)
    if element is not None and isinstance(value, tuple):
        changed = _other_entries(value, random, lambda: draw.value(random, element, shapes, profile), element.name)
        return changed if kind.canonical(changed) else value
    candidates: tuple[Any, ...] = ()
    if kind.name in ("uint32", "modulo_uint32") or element is not None:
        candidates = (0, value + 1, value + 2, 2 * value, *_HUGE_UNSIGNED)
    elif kind.name in ("float64", "float32"):
        candidates = (0.0, -value, value * 2, -1.0)
    elif kind.name == "number":
        candidates = (value + 1, -value, 2**63, -(2**63), float("nan"), float("inf"), float("-inf"))
    candidates = tuple(each for each in candidates if kind.canonical(each))
    return random.choice(candidates) if candidates else draw.value(random, kind, shapes, profile)


def _other_entries(value: tuple[Any, ...], random: Random, fresh: Any, element: str) -> tuple[Any, ...]:
    at = random.randrange(len(value)) if value else 0
    match random.randrange(6):
        case 0:
            return (*value, fresh())
        case 1:
            return value[:-1]
        case 2 if value:
            return (*value[:at], value[random.randrange(len(value))], *value[at + 1 :])
        case 3 if value and "uint32" in element:
            return (*value[:at], random.choice((0, *_HUGE_UNSIGNED)), *value[at + 1 :])
        case 3 if value and "float" in element:
            return (*value[:at], random.choice((0.0, -1.0, 1e-9, 3e38)), *value[at + 1 :])
        case 4 if "uint32" in element:
            return (1,) * random.choice((0, MAX_RANK + 1, 3))
        case 5 if value and "uint32" in element:
            return (*value[:at], value[at] + 1, *value[at + 1 :])
        case _:
            return tuple(fresh() for _ in range(random.randint(0, 4)))
