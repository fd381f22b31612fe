"""`webnn-sim ops`: operators × backends × data types, or one operator explained."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markdown import Markdown
from rich.table import Table

from gpu_process.backends import BACKEND_NAMES, BackendOptions, load_backend
from ipc.descriptors import DataType, in_order
from ipc.limits import SupportLimits
from ipc.operators import REGISTRY, Operator, limits_to_json
from ipc.operators._docs import operator_page
from scripts.cli._output import JsonFlag, console, print_json, wrong_usage

_SHORT = {
    data_type: data_type.value.replace("float", "f").replace("uint", "u").replace("int", "i") for data_type in DataType
}


def ops(
    name: Annotated[
        str | None, typer.Argument(help="An operator, in either spelling: conv2d, gather_nd, gatherND.")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """List the operators with their data types on each backend, or explain one of them.

    The types are those of the operator's first operand; `--json` has every operand and output, with ranks.
    """
    limits = {backend: load_backend(backend, BackendOptions()).support_limits() for backend in BACKEND_NAMES}
    chosen = list(REGISTRY.values()) if name is None else [_find(name)]
    if json:
        listed = {backend: limits_to_json(supported) for backend, supported in limits.items()}
        print_json({"operators": {operator.name: _facts(operator, listed) for operator in chosen}})
    elif name is None:
        console.print(_table(limits))
    else:
        console.print(Markdown(operator_page(chosen[0], limits)))


def _find(name: str) -> Operator:
    by_name = {spelling: operator for operator in REGISTRY.values() for spelling in (operator.name, operator.spec_name)}
    return by_name.get(name) or wrong_usage(f"no operator is called {name!r}; `webnn-sim ops` lists them")


def _facts(operator: Operator, limits: dict[str, dict[str, object]]) -> dict[str, object]:
    """One operator, its limits in the form and under the names of `op_support_limits()`."""
    return {
        "specName": operator.spec_name,
        "family": operator.family,
        "formula": operator.formula,
        "backends": {backend: listed.get(operator.spec_name, {}) for backend, listed in limits.items()},
    }


def _table(limits: dict[str, SupportLimits]) -> Table:
    table = Table(title=f"{len(REGISTRY)} operators", title_justify="left")
    for heading in ("operator", "formula", *limits):
        table.add_column(heading, overflow="fold")
    for operator in REGISTRY.values():
        first = next(iter(operator.slots))
        types = []
        for supported in limits.values():
            entry = supported.operators.get(operator.name)
            types.append("-" if entry is None else " ".join(_SHORT[t] for t in in_order(entry[first].data_types)))
        table.add_row(operator.name, operator.formula.replace("[", r"\["), *types)
    return table
