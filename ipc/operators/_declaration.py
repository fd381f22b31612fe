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

Presence = Literal["required", "optional", "variadic"]
SlotValue = Descriptor | tuple[Descriptor, ...] | None
RankRange = tuple[int, int | None]


@dataclass(frozen=True, slots=True)
class Slot:
    """A named place for an operand, or for an output.

    Attributes:
        data_types: the widest set that the specification allows.
        required: what every backend must support at least (specification, "required data types").
        rank: least and largest rank; None for no bound of the specification's.
        same_type_as: the slot whose data type this one must share.
        extension_types: types beyond the specification, for contexts created with `experimental_int4`.
        late: the declaration's function places the check of this slot itself, by `rule.slot(name)`.
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
    required_rank: tuple[int, int] | None = None,
    like: str | None = None,
    late: bool = False,
) -> Any:
    """An operand-valued option that may be absent."""
    return _slot("optional", data_types, rank, required, required_rank, like, (), late)


def variadic(
    data_types: Iterable[DataType],
    rank: int | RankRange = (0, None),
    *,
    required: Iterable[DataType] | None = None,
    required_rank: tuple[int, int] | None = None,
    late: bool = False,
) -> Any:
    """A list of operands, or of outputs."""
    return _slot("variadic", data_types, rank, required, required_rank, None, (), late)


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


class RuleError(Exception):
    """A rule of an operator does not hold.

    Attributes:
        operator: name of the operator.
        rule: the rule's stable id, qualified: `gemm.inner`.
        sentence: the rule in words.
        values: the offending values by name.
    """

    def __init__(self, operator: str, rule: str, sentence: str, values: Mapping[str, object]) -> None:
        super().__init__(operator, rule, sentence, values)
        self.operator = operator
        self.rule = rule
        self.sentence = sentence
        self.values = values

    def message(self, label: str = "") -> str:
        """The whole story: `gemm [label]: sentence: a (128, 64), b (32, 128)`; the label is shown as it was given."""
        place = f"{self.operator} [{label}]" if label else self.operator
        values = ", ".join(f"{name} {_shown(value)}" for name, value in self.values.items())
        return f"{place}: {self.sentence}" + (f": {values}" if values else "")

    def __str__(self) -> str:
        return self.message()


def _shown(value: object) -> str:
    if isinstance(value, DataType):
        return value.value
    return str(value) if isinstance(value, Descriptor) else repr(value)


class Rule:
    """Handed to a declaration's function: states its rules one by one, the first that does not hold ends it."""

    __slots__ = ("_check_slot", "_operator")

    def __init__(self, operator: Operator, check_slot: Callable[[str], None]) -> None:
        self._operator = operator
        self._check_slot = check_slot

    def __call__(self, rule: str, holds: bool, /, **values: object) -> None:
        """State that the rule with this id (declared in `rules`) holds; `values` are shown where it doesn't.

        Raises:
            RuleError: it does not hold.
        """
        sentence = self._operator.rules[rule]
        if not holds:
            raise RuleError(self._operator.name, f"{self._operator.name}.{rule}", sentence, values)

    def slot(self, name: str) -> None:
        """Check data type and rank of a slot that was declared `late`, here in the order of the rules."""
        self._check_slot(name)


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
        returns_list: whether the builder method returns a list although there is one output slot or more.
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

    def __str__(self) -> str:
        return self.name

    def all_rules(self) -> dict[str, str]:
        """Every rule by its qualified id, those that follow from slots, attributes and outputs included."""
        implied: dict[str, str] = {}
        for name, attribute in self.attributes.items():
            implied[f"{name}.conversion"] = f"{name} is a {attribute.kind.name}"
        for name, slot in self.slots.items():
            implied[f"{name}.data_type"] = data_type_sentence(slot)
            implied[f"{name}.rank"] = f"the rank of {name} is supported"
        for name in self.outputs:
            implied[f"{name}.data_type"] = f"the data type of {name} is supported"
            implied[f"{name}.rank"] = f"the rank of {name} is supported"
            implied[f"{name}.dimensions"] = f"{name} has valid dimensions and a supported size"
        return {f"{self.name}.{rule}": sentence for rule, sentence in {**implied, **self.rules}.items()}


def data_type_sentence(slot: Slot) -> str:
    if slot.same_type_as is not None:
        return f"{slot.name} has the data type of {slot.same_type_as}"
    return f"the data type of {slot.name} is supported"


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
    family: str | None = None,
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
            family=family or infer.__module__.rpartition(".")[2],
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
    name: str | None = None,
    spec_name: str | None = None,
    returns_list: bool = False,
    **parameters: Any,
) -> Callable[[Infer], Operator]:
    """Declare the decorated function as an operator; keyword arguments are its positional parameters, in order."""

    def decorate(infer: Infer) -> Operator:
        return declare(
            infer,
            name=name or infer.__name__,
            parameters=parameters,
            options=options,
            outputs=outputs,
            rules=rules,
            spec_name=spec_name,
            returns_list=returns_list,
        )

    return decorate


def camel_case(name: str) -> str:
    """The specification's spelling of a snake_case name, where no exception is declared."""
    return re.sub(r"_([a-z0-9])", lambda match: match[1].upper(), name)


def _named(member: Any, name: str) -> Any:
    return replace(member, name=name, spec_name=member.spec_name or camel_case(name))
