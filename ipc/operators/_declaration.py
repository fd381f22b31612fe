"""What an operator's declaration is made of, and the decorator that makes one.

A declaration says, once: the operands as named slots, the attributes, the outputs, the rules with their sentences, and
one pure function that checks them and infers the output descriptors. Everything else is derived from it.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

from ipc.descriptors import MAX_RANK, DataType, Descriptor
from ipc.limits import TensorLimits
from ipc.operators._attributes import Attribute
from ipc.operators._rules import data_type_sentence

Presence = Literal["required", "optional", "variadic"]
RankRange = tuple[int, int | None]

_PRESENCE: dict[Presence, str] = {
    "required": "an operand",
    "optional": "an operand or None",
    "variadic": "a list of operands",
}


@dataclass(frozen=True, slots=True)
class Slot:
    """A named place for an operand, or for an output.

    Attributes:
        data_types: the widest set that the specification allows.
        required: what every backend must support at least (specification, "required data types").
        rank: least and largest rank; None for no bound of the specification's.
        same_type_as: the slot whose data type this one must share.
        extension_types: types beyond the specification, for contexts created with `experimental_int4`.
        late: checked where the declaration's function says `rule.slot(name)`, or else after it.
    """

    name: str
    data_types: frozenset[DataType]
    required: frozenset[DataType]
    rank: RankRange
    required_rank: tuple[int, int]
    presence: Presence = "required"
    same_type_as: str | None = None
    extension_types: frozenset[DataType] = frozenset()
    late: bool = False
    spec_name: str = ""

    @property
    def phrase(self) -> str:
        """What a caller gives for it, in a sentence."""
        return _PRESENCE[self.presence]

    @property
    def limits(self) -> TensorLimits:
        """The ceiling: all allowed types, ranks up to the implementation's."""
        low, high = self.rank
        return TensorLimits(self.data_types, low, MAX_RANK if high is None else min(high, MAX_RANK))


def operand(
    data_types: Iterable[DataType],
    rank: int | RankRange = (0, None),
    *,
    required: Iterable[DataType] | None = None,
    required_rank: tuple[int, int] | None = None,
    like: str | None = None,
    extension: Iterable[DataType] = (),
    late: bool = False,
) -> Any:
    """A required operand. `like` names the slot whose data type it shares."""
    return _slot("required", data_types, rank, required, required_rank, like, extension, late)


def optional(
    data_types: Iterable[DataType],
    rank: int | RankRange = (0, None),
    *,
    required: Iterable[DataType] | None = None,
    like: str | None = None,
) -> Any:
    """An operand-valued option that may be absent; always late."""
    return _slot("optional", data_types, rank, required, None, like, (), True)


def variadic(
    data_types: Iterable[DataType],
    rank: int | RankRange = (0, None),
    *,
    required: Iterable[DataType] | None = None,
) -> Any:
    """A list of operands, always late, or of outputs."""
    return _slot("variadic", data_types, rank, required, None, None, (), True)


output = operand
"""An output, said like an operand."""


def _slot(
    presence: Presence,
    data_types: Iterable[DataType],
    rank: int | RankRange,
    required: Iterable[DataType] | None,
    required_rank: tuple[int, int] | None,
    like: str | None,
    extension: Iterable[DataType],
    late: bool,
) -> Slot:
    allowed = frozenset(data_types)
    low, high = (rank, rank) if isinstance(rank, int) else rank
    return Slot(
        name="",
        data_types=allowed,
        required=frozenset(required) if required is not None else allowed,
        rank=(low, high),
        required_rank=required_rank or (low, 5 if high is None else high),  # WebNN: rank 5 at least, where unbounded
        presence=presence,
        same_type_as=like,
        extension_types=frozenset(extension),
        late=late,
    )


class Options:
    """Base of an operator's options: each annotated member is a slot or an attribute with its default.

    An instance holds, under the same names, descriptors for operands and canonical values for attributes.
    """

    members: ClassVar[dict[str, Slot | Attribute]] = {}

    def __init_subclass__(cls) -> None:
        inherited = dict(cls.members)
        cls.members = inherited | {
            name: member for name, member in vars(cls).items() if isinstance(member, Slot | Attribute)
        }

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.__dict__.update(values)


Infer = Callable[..., Descriptor | Sequence[Descriptor]]


@dataclass(frozen=True, slots=True, eq=False)
class Operator:
    """A declared operator.

    Attributes:
        name: snake_case name, as in the builder.
        spec_name: the specification's name.
        slots: operands by name, positional ones first, in the order of the specification.
        attributes: attributes by name, positional ones first.
        positional: names of the positional parameters, operands and attributes, in order.
        outputs: outputs by name.
        rules: own rule id -> sentence. Rules that follow from slots and attributes are in `all_rules`.
        family: the room it was declared in, for documentation.
        formula: the semantics in a line; the first line of the docstring.
        returns_list: whether the builder method returns a list of operands, not one.
        early_slots: slots that are checked before the declaration's function runs.
        late_slots: all others.
        casts: (attribute, slot) where a number is cast to the data type of an operand.
    """

    name: str
    spec_name: str
    slots: Mapping[str, Slot]
    attributes: Mapping[str, Attribute]
    positional: tuple[str, ...]
    outputs: Mapping[str, Slot]
    rules: Mapping[str, str]
    family: str
    formula: str
    doc: str
    options: type[Options]
    infer: Infer = field(repr=False)
    returns_list: bool = False
    early_slots: tuple[str, ...] = field(init=False, repr=False)
    late_slots: tuple[str, ...] = field(init=False, repr=False)
    casts: tuple[tuple[str, str], ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        early = tuple(name for name, slot in self.slots.items() if not slot.late)
        late = tuple(name for name, slot in self.slots.items() if slot.late)
        casts = tuple((name, one.cast_to) for name, one in self.attributes.items() if one.cast_to is not None)
        for name, value in (("early_slots", early), ("late_slots", late), ("casts", casts)):
            object.__setattr__(self, name, value)

    def __str__(self) -> str:
        return self.name

    def all_rules(self) -> dict[str, str]:
        """Every rule by its qualified id, those that follow from slots, attributes and outputs included."""
        implied = {
            "supported": "the backend supports this operator",
            "arguments": "the arguments are those of the signature",
            "label.conversion": "label is a string",
        }
        for name, attribute in self.attributes.items():
            implied[f"{name}.conversion"] = f"{name} is {attribute.kind.phrase}"
        for name, slot in self.slots.items():
            implied[f"{name}.conversion"] = f"{name} is {slot.phrase}"
            implied[f"{name}.data_type"] = data_type_sentence(name, slot.same_type_as)
            implied[f"{name}.rank"] = f"the rank of {name} is supported"
        for name in self.outputs:
            implied[f"{name}.data_type"] = f"the data type of {name} is supported"
            implied[f"{name}.rank"] = f"the rank of {name} is supported"
            implied[f"{name}.dimensions"] = f"{name} has valid dimensions and a supported size"
        return {f"{self.name}.{rule}": sentence for rule, sentence in {**implied, **self.rules}.items()}


class _Registry(dict[str, Operator]):
    """All declared operators by name, in the order of declaration."""

    def add(self, operator: Operator) -> Operator:
        if operator.name in self:
            raise ValueError(f"an operator {operator.name} is declared already")
        self[operator.name] = operator
        return operator


REGISTRY = _Registry()


def declare(
    infer: Infer,
    *,
    name: str,
    parameters: Mapping[str, Slot | Attribute],
    options: type[Options] = Options,
    outputs: Mapping[str, Slot] | None = None,
    rules: Mapping[str, str] | None = None,
    spec_name: str | None = None,
    doc: str | None = None,
    returns_list: bool = False,
) -> Operator:
    """Declare an operator and enter it in the registry; `operator()` and the family constructors end here.

    Args:
        infer: `infer(rule, *positional, options) -> Descriptor | Sequence[Descriptor]`, pure; positional operands are
            descriptors (a tuple of them where variadic), attributes canonical values; no `options` without options.
        parameters: the positional parameters, in order.
        outputs: defaults to one `output` with the types and ranks of the first operand.
    """
    members = {**parameters, **options.members}
    slots = {key: _named(member, key) for key, member in members.items() if isinstance(member, Slot)}
    attributes = {key: _named(member, key) for key, member in members.items() if isinstance(member, Attribute)}
    first = next(iter(slots.values()))
    if outputs is None:
        outputs = {"output": replace(first, presence="required", same_type_as=None, late=False)}
    doc = inspect.cleandoc(doc or infer.__doc__ or "")
    return REGISTRY.add(
        Operator(
            name=name,
            spec_name=spec_name or camel_case(name),
            slots=slots,
            attributes=attributes,
            positional=tuple(parameters),
            outputs={key: _named(slot, key) for key, slot in outputs.items()},
            rules=dict(rules or {}),
            family=_room(),
            formula=doc.partition("\n")[0],
            doc=doc,
            options=options,
            infer=infer,
            returns_list=returns_list,
        )
    )


def operator(
    *,
    options: type[Options] = Options,
    outputs: Mapping[str, Slot] | None = None,
    rules: Mapping[str, str] | None = None,
    spec_name: str | None = None,
    returns_list: bool = False,
    **parameters: Any,
) -> Callable[[Infer], Operator]:
    """Declare the decorated function as an operator; keyword arguments are its positional parameters, in order."""

    def decorate(infer: Infer) -> Operator:
        return declare(
            infer,
            name=infer.__name__,
            parameters=parameters,
            options=options,
            outputs=outputs,
            rules=rules,
            spec_name=spec_name,
            returns_list=returns_list,
        )

    return decorate


def _room() -> str:
    """The module that the declaration stands in: that of the nearest caller outside the machinery."""
    frame = inspect.currentframe()
    while frame is not None:
        room: str = frame.f_globals["__name__"].rpartition(".")[2]
        if not room.startswith("_"):
            return room
        frame = frame.f_back
    raise RuntimeError("a declaration stands in a module")


def camel_case(name: str) -> str:
    """The specification's spelling of a snake_case name, where no exception is declared."""
    return re.sub(r"_([a-z0-9])", lambda match: match[1].upper(), name)


def _named(member: Any, name: str) -> Any:
    return replace(member, name=name, spec_name=camel_case(name))
