"""A call of a builder method: the signature it has, and its arguments as canonical operands and attributes."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from ipc.errors import MLTypeError, escape_label
from ipc.operators._attributes import REQUIRED, Attribute, as_list, shorten
from ipc.operators._declaration import Operator, Slot
from ipc.text import scalar_string

Operand = TypeVar("Operand")


class Bound(NamedTuple, Generic[Operand]):
    """The arguments of a call.

    Attributes:
        operands: by slot, every slot a key in the order of the declaration; None where absent.
        attributes: canonical values, every attribute a key.
        label: the caller's, still to be escaped where it is shown.
    """

    operands: dict[str, Operand | tuple[Operand, ...] | None]
    attributes: dict[str, Any]
    label: str


def bind(
    operator: Operator,
    args: Sequence[object],
    kwargs: Mapping[str, object],
    is_operand: Callable[[object], bool],
) -> Bound[Any]:
    """Convert the arguments of a builder method by the rules of Web IDL; lists are copied.

    None stands for an option that was not given.

    Raises:
        MLTypeError: too many arguments, one missing, an unknown one, or one that does not convert. The rule is
            `<operator>.arguments` or `<operator>.<parameter>.conversion`.
    """
    label = _label(operator, kwargs.get("label"))
    given = _by_name(operator, args, kwargs, label)

    def convert(name: str, phrase: str, conversion: Callable[[object], Any]) -> Any:
        try:
            return conversion(given[name])
        except (TypeError, ValueError, OverflowError) as error:
            raise _error(operator, label, f"{name}.conversion", f"{name} is {phrase}: {error}") from error

    def operand(value: object) -> object:
        if not is_operand(value):
            raise TypeError(f"{shorten(value)} is not")
        return value

    def operands(value: object) -> tuple[object, ...]:
        return tuple(operand(item) for item in as_list(value))

    bound: dict[str, Any] = {}
    for name, slot in operator.slots.items():
        if slot.presence == "optional" and given.get(name) is None:
            bound[name] = None
        else:
            bound[name] = convert(name, slot.phrase, operands if slot.presence == "variadic" else operand)
    attributes: dict[str, Any] = {}
    for name, attribute in operator.attributes.items():
        if attribute.default is not REQUIRED and given.get(name) is None:
            attributes[name] = attribute.default
        else:
            attributes[name] = convert(name, attribute.kind.phrase, attribute.kind.convert)
    return Bound(bound, attributes, label)


def _label(operator: Operator, label: object) -> str:
    if label is None:
        return ""
    if not isinstance(label, str):
        raise _error(operator, "", "label.conversion", f"label is a string: {shorten(label)} is not")
    return scalar_string(label)


def _by_name(
    operator: Operator, args: Sequence[object], kwargs: Mapping[str, object], label: str
) -> Mapping[str, object]:
    parameters = operator.positional
    if len(args) > len(parameters):
        takes = f"at most {len(parameters)} positional arguments ({', '.join(parameters)}), options by name"
        raise _error(operator, label, "arguments", f"takes {takes}: {len(args)} were given")
    given = dict(zip(parameters, args, strict=False))
    for name, value in kwargs.items():
        if name in given:
            raise _error(operator, label, "arguments", f"{name} is given twice")
        if name not in operator.slots and name not in operator.attributes and name != "label":
            raise _error(operator, label, "arguments", f"there is no option {name!r}{_suggestion(operator, name)}")
        given[name] = value
    for name in parameters:
        if name not in given:
            raise _error(operator, label, "arguments", f"{name} is missing")
    return given


def _suggestion(operator: Operator, name: str) -> str:
    near = difflib.get_close_matches(name, [*operator.slots, *operator.attributes, "label"], n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _error(operator: Operator, label: str, rule: str, text: str) -> MLTypeError:
    place = f"{operator.name} [{escape_label(label)}]" if label else operator.name
    return MLTypeError(f"{place}: {text}", rule=f"{operator.name}.{rule}")


def signature(operator: Operator) -> inspect.Signature:
    """The signature of the builder method, without `self`; annotations are strings that need no import to be shown.

    Operands and positional arguments come first and may be given by name; options are keyword-only.
    """
    return inspect.Signature(list(_parameters(operator)), return_annotation=_returns(operator))


def _parameters(operator: Operator) -> Iterator[inspect.Parameter]:
    for name in (*operator.positional, *operator.options.members):
        keyword = name not in operator.positional
        kind = inspect.Parameter.KEYWORD_ONLY if keyword else inspect.Parameter.POSITIONAL_OR_KEYWORD
        member = operator.slots.get(name) or operator.attributes[name]
        default = None if isinstance(member, Slot) and keyword else _default(member)
        yield inspect.Parameter(name, kind, annotation=_annotation(member), default=default)
    yield inspect.Parameter("label", inspect.Parameter.KEYWORD_ONLY, annotation="str", default="")


def _default(member: Slot | Attribute) -> Any:
    if isinstance(member, Slot) or member.default is REQUIRED:
        return inspect.Parameter.empty
    return member.default


def _annotation(member: Slot | Attribute) -> str:
    if isinstance(member, Attribute):
        return member.kind.annotation + (" | None" if member.default is None else "")
    return {"required": "MLOperand", "optional": "MLOperand | None", "variadic": "Sequence[MLOperand]"}[member.presence]


def _returns(operator: Operator) -> str:
    return "list[MLOperand]" if operator.returns_list else "MLOperand"
