"""What a declaration says, for readers: the builder method's docstring, a table row, a Markdown page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ipc.descriptors import ANY, DataType, in_order
from ipc.limits import SupportLimits
from ipc.operators._attributes import REQUIRED, Attribute
from ipc.operators._binding import signature
from ipc.operators._declaration import REGISTRY, Operator, RankRange, Slot

_SPECIFICATION = "https://webmachinelearning.github.io/webnn/"


def docstring(operator: Operator) -> str:
    """Docstring of the builder method."""
    lines = [operator.doc, "", "Args:"]
    lines += [f"    {name}: {description}" for name, description in _arguments(operator)]
    lines += ["    label: shown in messages; no effect on results.", "", "Returns:"]
    lines += [f"    {slot.name}: {_tensor(slot)}." for slot in operator.outputs.values()]
    lines += ["", "Raises:", "    MLTypeError: an argument doesn't convert, or a rule doesn't hold:"]
    lines += [f"        {rule}: {sentence}." for rule, sentence in operator.rules.items()]
    lines += [
        "    InvalidStateError: the builder has built, or its context is lost.",
        "",
        f"Source: {_source(operator)}",
    ]
    return "\n".join(lines)


def operator_table(operators: Iterable[Operator] | None = None) -> str:
    """A Markdown table with a row per operator, by family; all operators if none are given."""
    chosen = list(REGISTRY.values() if operators is None else operators)
    families = list(dict.fromkeys(operator.family for operator in chosen))
    ordered = sorted(chosen, key=lambda operator: families.index(operator.family))
    rows = [_row("operator", "family", "operands", "options", "formula"), _row(*["---"] * 5)]
    return "\n".join([*rows, *(operator_row(operator) for operator in ordered)])


def operator_row(operator: Operator) -> str:
    """A row of `operator_table`."""
    return _row(
        _code(operator.name),
        operator.family,
        ", ".join(_code(name) for name, slot in operator.slots.items() if slot.presence != "optional"),
        ", ".join(_code(name) for name in operator.options.members),
        _plain(operator.formula),
    )


def operator_page(operator: Operator, limits: Mapping[str, SupportLimits] | None = None) -> str:
    """A Markdown page: signature, formula, operands, attributes, outputs, rules, and what backends support.

    Args:
        limits: support limits by backend.
    """
    members = {**operator.slots, **operator.outputs}
    tensors = [
        _row(_code(name), "output" if name in operator.outputs else slot.presence, _types(slot), _ranks(slot.rank))
        for name, slot in members.items()
    ]
    required = [_row(_code(name), _listed(slot.required), _ranks(slot.required_rank)) for name, slot in members.items()]
    attributes = [
        _row(_code(name), _plain(_kind(attribute)), _default(attribute))
        for name, attribute in operator.attributes.items()
    ]
    backends = [
        _row(backend, _code(name), _listed(entry.data_types), _ranks((entry.min_rank, entry.max_rank)))
        for backend, supported in (limits or {}).items()
        for name, entry in supported.operators.get(operator.name, {}).items()
    ]
    rules = [_row(_code(rule), _plain(sentence)) for rule, sentence in operator.all_rules().items()]
    sections = [
        f"# {operator.name}",
        f"```python\n{_call(operator)}\n```",
        _plain(operator.doc),
        f"Source: {_source(operator)}",
        _section("Operands and outputs", ("name", "presence", "data types", "rank"), tensors),
        _section("Arguments and options", ("name", "type", "default"), attributes),
        _section("What every backend supports at least", ("name", "data types", "rank"), required),
        _section("What the backends support", ("backend", "name", "data types", "rank"), backends),
        _section("Rules", ("id", "what holds"), rules),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _call(operator: Operator) -> str:
    parameters = list(signature(operator).parameters.values())
    shown = [str(parameter.replace(annotation=parameter.empty)) for parameter in parameters]
    shown.insert(len(operator.positional), "*")
    return f"builder.{operator.name}({', '.join(shown)})"


def _arguments(operator: Operator) -> Iterator[tuple[str, str]]:
    for name in signature(operator).parameters:
        if name in operator.slots:
            slot = operator.slots[name]
            presence = {"required": "", "optional": "an option; ", "variadic": "a list; "}[slot.presence]
            yield name, f"{presence}{_tensor(slot)}."
        elif name in operator.attributes:
            yield name, f"{_kind(operator.attributes[name])}."


def _tensor(slot: Slot) -> str:
    return f"{_types(slot)}, rank {_ranks(slot.rank)}"


def _types(slot: Slot) -> str:
    if slot.same_type_as is not None:
        return f"the data type of {slot.same_type_as}"
    extension = f" (experimental: {_listed(slot.extension_types)})" if slot.extension_types else ""
    return _listed(slot.data_types) + extension


def _listed(data_types: frozenset[DataType]) -> str:
    return "any data type" if data_types == ANY else ", ".join(data_type.value for data_type in in_order(data_types))


def _ranks(ranks: RankRange) -> str:
    low, high = ranks
    if high is None:
        return f"at least {low}" if low else "any"
    return str(low) if low == high else f"{low} to {high}"


def _kind(attribute: Attribute) -> str:
    cast = f", cast to the data type of {attribute.cast_to}" if attribute.cast_to else ""
    return attribute.kind.phrase + cast


def _default(attribute: Attribute) -> str:
    if attribute.default is REQUIRED:
        return "required"
    if attribute.default is None:
        return "absent"
    return _code(attribute.default.value if isinstance(attribute.default, DataType) else repr(attribute.default))


def _source(operator: Operator) -> str:
    if not operator.infer.__module__.startswith(__package__):
        return f"an extension, {operator.infer.__module__}"
    return f"WebNN, {_SPECIFICATION}#dom-mlgraphbuilder-{operator.spec_name.lower()}"


def _section(title: str, header: tuple[str, ...], rows: list[str]) -> str:
    return "\n".join([f"## {title}", "", _row(*header), _row(*["---"] * len(header)), *rows]) if rows else ""


def _row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def _code(text: str) -> str:
    return f"`{text}`"


def _plain(text: str) -> str:
    """Text that Markdown leaves alone."""
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("*", "\\*")
