"""What generated graphs have reached: operators, data types per operand, rules that held and rules that were broken."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from ipc.descriptors import in_order
from ipc.graph import Graph
from ipc.limits import SupportLimits
from ipc.operators import REGISTRY, Operator
from scripts.fuzz.case import operands_of
from scripts.fuzz.mode import CoverageKey

_UNDER_ANOTHER = frozenset({"lstm.output1.dimensions", "lstm_cell.output1.dimensions"})
"""Never the first broken rule: an output of the same size is checked before."""


def reached(graph: Graph, accepted: bool, rule: str) -> Iterator[CoverageKey]:
    """By a graph that was accepted, or refused because of `rule`."""
    if rule:
        yield "broken", rule
    if not accepted:
        return
    for operation in graph.operations:
        operator = operation.operator
        yield "operator", operator.name
        absent = [name for name, value in operation.operands.items() if value is None]
        yield from (("held", rule) for rule in _rules(operator, absent))
        for name, value in operands_of(graph, operation).items():
            for descriptor in value if isinstance(value, tuple) else () if value is None else (value,):
                yield "type", operator.name, name, descriptor.data_type.value
        names = list(operator.outputs)
        for at, operand in enumerate(operation.outputs):
            name = names[min(at, len(names) - 1)]
            yield "type", operator.name, name, graph.operands[operand].data_type.value


def _rules(operator: Operator, absent: Collection[str]) -> Iterable[str]:
    """The rules that were asked: none about operands that are not there."""
    for rule in operator.all_rules():
        about = rule.partition(".")[2]
        if not any(about.startswith((f"{name}.", f"{name}_")) for name in absent):
            yield rule


def universe(limits: SupportLimits, *, misuse: bool) -> Iterator[CoverageKey]:
    """What graphs within limits can reach.

    Args:
        misuse: whether the arguments of builder methods are attacked too, and support is cut.
    """
    for name, entries in limits.operators.items():
        operator = REGISTRY[name]
        yield "operator", name
        for member, entry in entries.items():
            yield from (("type", name, member, data_type.value) for data_type in in_order(entry.data_types))
        for rule in operator.all_rules():
            yield "held", rule
            if misuse and rule not in _UNDER_ANOTHER:
                yield "broken", rule
