"""Docstrings and pages say all that a declaration says."""

from __future__ import annotations

import pytest

import ipc.operators as ops
from ipc.operators._docs import docstring, operator_page, operator_table
from tests.ipc.operators._calls import LIMITS


@pytest.mark.parametrize("name", ops.REGISTRY)
def test_a_docstring_names_every_parameter_output_and_rule(name: str) -> None:
    operator = ops.REGISTRY[name]
    text = docstring(operator)
    assert text.startswith(operator.formula)
    assert text.endswith(f"#dom-mlgraphbuilder-{operator.spec_name.lower()}")
    for key in (*ops.signature(operator).parameters, *operator.outputs, *operator.rules):
        assert f"    {key}: " in text
    assert max(len(line) for line in text.splitlines()) <= 120


@pytest.mark.parametrize("name", ops.REGISTRY)
def test_a_page_has_every_operand_default_and_rule(name: str) -> None:
    operator = ops.REGISTRY[name]
    text = operator_page(operator, {"reference": LIMITS})
    assert text.startswith(f"# {name}\n")
    for rule in operator.all_rules():
        assert f"| `{rule}` | " in text
    for key in (*operator.slots, *operator.outputs):
        assert f"| reference | `{key}` | " in text
    for key in operator.attributes:
        assert f"| `{key}` | " in text


def test_the_table_has_a_row_per_operator_with_as_many_cells_each() -> None:
    rows = operator_table().splitlines()
    assert len(rows) == 2 + len(ops.REGISTRY)
    assert {row.replace("\\|", "").count("|") for row in rows} == {6}


@pytest.mark.parametrize("name", ops.REGISTRY)
def test_every_operator_says_its_formula_and_its_room(name: str) -> None:
    operator = ops.REGISTRY[name]
    assert operator.formula
    assert operator.infer.__module__.startswith("ipc.operators.")
    assert not operator.family.startswith("_")
