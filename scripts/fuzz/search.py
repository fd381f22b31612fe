"""Legal calls of any operator, found by search: draw one, and repair what the rules say is wrong with it.

Nothing here knows an operator. What was learned (calls that hold, by operator) depends on the declarations alone, not
on what was generated before, so that a seed means the same case in every process.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from random import Random

from ipc.descriptors import Descriptor
from ipc.limits import SupportLimits
from ipc.operators import REGISTRY, Operator, SlotValue, declared_limits
from scripts.fuzz import draw
from scripts.fuzz.calls import Call, make_call
from scripts.fuzz.draw import DEFAULT_PROFILE, Profile
from scripts.fuzz.repair import repaired

_STEPS = 60  # repairs of one draw; what is not legal by then seldom becomes so
_LEARNED = 24  # calls per operator that are kept as a beginning for others
_DRAWS = 4000  # in learning; the rarest operator needs some dozens


def legal_call(
    operator: Operator,
    random: Random,
    limits: SupportLimits,
    profile: Profile = DEFAULT_PROFILE,
    pinned: Mapping[str, SlotValue] | None = None,
) -> Call | None:
    """A call of `operator` that breaks no rule, or None where none was found.

    Args:
        limits: that it keeps.
        pinned: operands that it has.
    """
    pinned = pinned or {}
    beginnings = learned(operator.name)
    if beginnings and random.random() < (0.35 if not pinned else 0.6):
        call = _varied(random.choice(beginnings), random, limits, profile)
        call = make_call(operator, {**call.operands, **pinned}, call.attributes)
    else:
        call = _drawn(operator, random, limits, profile, pinned)
    found = _settled(call, random, limits, profile, pinned)
    if found is None and not pinned:
        candidates = [call for call in beginnings if call.refusal(limits) is None]
        found = random.choice(candidates) if candidates else None
    return found


@functools.cache
def learned(name: str) -> tuple[Call, ...]:
    """Calls of an operator that hold within the declared limits."""
    operator, random, limits = REGISTRY[name], Random(f"learned {name}"), _bounded(declared_limits(), DEFAULT_PROFILE)
    calls: list[Call] = []
    for _ in range(_DRAWS):
        found = _settled(_drawn(operator, random, limits, DEFAULT_PROFILE, {}), random, limits, DEFAULT_PROFILE, {})
        if found is not None:
            calls.append(found)
            if len(calls) == _LEARNED:
                break
    return tuple(calls)


def drawn_success(name: str, attempts: int, seed: int = 0) -> float:
    """How many draws of an operator become legal by repair alone, nothing learned: the search's own measure."""
    operator, random, limits = REGISTRY[name], Random(f"{seed} {name}"), _bounded(declared_limits(), DEFAULT_PROFILE)
    found = 0
    for _ in range(attempts):
        call = _drawn(operator, random, limits, DEFAULT_PROFILE, {})
        found += _settled(call, random, limits, DEFAULT_PROFILE, {}) is not None
    return found / attempts


def _settled(
    call: Call, random: Random, limits: SupportLimits, profile: Profile, pinned: Mapping[str, SlotValue]
) -> Call | None:
    limits = _bounded(limits, profile)
    for _ in range(_STEPS):
        error = call.refusal(limits)
        if error is None:
            return call
        call = repaired(call, error, random, limits, profile, pinned)
    return None


def _bounded(limits: SupportLimits, profile: Profile) -> SupportLimits:
    """The limits with a ceiling on every output, so that nothing grows."""
    ceiling = min(limits.max_tensor_byte_length, 8 * profile.max_elements)
    if ceiling == limits.max_tensor_byte_length:
        return limits
    return SupportLimits(
        limits.operators, limits.preferred_input_layout, ceiling, limits.input, limits.constant, limits.output
    )


def _drawn(
    operator: Operator, random: Random, limits: SupportLimits, profile: Profile, pinned: Mapping[str, SlotValue]
) -> Call:
    entries = limits.operators[operator.name]
    operands: dict[str, SlotValue] = {}
    base: tuple[int, ...] | None = None
    for name, slot in operator.slots.items():
        value = pinned.get(name)
        if value is None and (slot.presence != "optional" or random.random() < 0.4):
            like = operands.get(slot.same_type_as) if slot.same_type_as else None
            if isinstance(like, Descriptor):
                data_type = like.data_type
            else:
                data_type = draw.data_type(random, entries[name].data_types, profile)
            if base is None:
                shape = draw.shape(random, draw.rank(random, entries[name], profile), profile)
            else:
                shape = draw.related_shape(random, base, entries[name], profile)
            value = Descriptor(data_type, shape)
            if slot.presence == "variadic":
                value = (value,) * random.randint(1, 3)
        operands[name] = value
        if base is None and value is not None:
            base = value[0].shape if isinstance(value, tuple) else value.shape
    shapes = [base] if base is not None else []
    attributes = {
        name: draw.attribute(random, attribute, shapes, profile) for name, attribute in operator.attributes.items()
    }
    return make_call(operator, operands, attributes)


def _varied(call: Call, random: Random, limits: SupportLimits, profile: Profile) -> Call:
    """A legal call with other types, and now and then with something else replaced."""
    entries = limits.operators[call.operator.name]
    operands: dict[str, SlotValue] = {}
    for name, slot in call.operator.slots.items():
        value = call.operands[name]
        if value is not None:
            like = operands.get(slot.same_type_as) if slot.same_type_as else None
            allowed = entries[name].data_types
            wanted = like.data_type if isinstance(like, Descriptor) else draw.data_type(random, allowed, profile)
            value = (
                tuple(Descriptor(wanted, each.shape) for each in value)
                if isinstance(value, tuple)
                else Descriptor(wanted, value.shape)
            )
        operands[name] = value
    attributes = dict(call.attributes)
    for name, attribute in call.operator.attributes.items():
        if random.random() < 0.15:
            shapes = [descriptor.shape for _, descriptor in call.descriptors()]
            attributes[name] = draw.attribute(random, attribute, shapes, profile)
    return make_call(call.operator, operands, attributes)
