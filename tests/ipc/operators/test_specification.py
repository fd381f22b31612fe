"""The declarations against the facts extracted from the specification, where those are at hand."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import ipc.operators as ops
from ipc.operators import Attribute, Operator, Slot

_FACTS = Path(__file__).parents[4] / "shared" / "webnn" / "operators.json"

pytestmark = pytest.mark.skipif(not _FACTS.exists(), reason="../shared/webnn/operators.json is not here")

_DECLARED = {operator.spec_name: operator for operator in ops.REGISTRY.values()}
_KINDS = {
    ("uint32", True): "uint32",
    ("uint32", False): "modulo_uint32",
    ("int32", True): "int32",
    ("list[uint32]", True): "list[uint32]",
    ("list[uint32]", False): "list[modulo_uint32]",
    ("uint32 | list[uint32]", True): "uint32 | list[uint32]",
    ("list[float32_finite]", None): "list[float32]",
    ("float64_finite", None): "float64",
    ("MLNumber", None): "number",
    ("bool", None): "bool",
    ("enum MLOperandDataType", None): "data_type",
    ("list[enum MLRecurrentNetworkActivation]", None): "list[enum]",
}


def _facts() -> dict[str, dict[str, Any]]:
    if not _FACTS.exists():
        return {}
    return {operation["name"]: operation for operation in json.loads(_FACTS.read_text())["operations"]}


_OPERATIONS = _facts()
each_operation = pytest.mark.parametrize("name", _OPERATIONS or ["none"])


def _operation(name: str) -> tuple[Operator, dict[str, Any]]:
    return _DECLARED[name], _OPERATIONS[name]


def test_exactly_the_specified_operators_are_declared() -> None:
    assert set(_DECLARED) == set(_OPERATIONS)
    assert len(ops.REGISTRY) == 95


@each_operation
def test_operands_are_the_specified_ones(name: str) -> None:
    operator, facts = _operation(name)
    assert [slot.spec_name for slot in operator.slots.values()] == [operand["name"] for operand in facts["operands"]]
    for slot, operand in zip(operator.slots.values(), facts["operands"], strict=True):
        _assert_limits(slot, operand)
        presence = "variadic" if operand["variadic"] else "optional" if operand["optional"] else "required"
        assert slot.presence == presence
        same = re.fullmatch(r"same as (\w+)", operand["data_type_rule"])
        assert (slot.same_type_as and operator.slots[slot.same_type_as].spec_name) == (same and same[1])


@each_operation
def test_outputs_are_the_specified_ones(name: str) -> None:
    operator, facts = _operation(name)
    items = {item["name"].removesuffix("[i]"): item for item in facts["outputs"]["items"]}
    assert [slot.spec_name for slot in operator.outputs.values()] == list(items)
    for slot in operator.outputs.values():
        _assert_limits(slot, items[slot.spec_name])
    assert operator.returns_list == (facts["returns"] == "list of operands")


def _assert_limits(slot: Slot, facts: dict[str, Any]) -> None:
    assert {data_type.value for data_type in slot.data_types} == set(facts["allowed_data_types"])
    assert {data_type.value for data_type in slot.required} == set(facts["required_data_types"])
    assert slot.rank == (facts["allowed_rank"]["min"], facts["allowed_rank"]["max"])
    assert slot.required_rank == (facts["required_rank"]["min"], facts["required_rank"]["max"])


@each_operation
def test_positional_parameters_are_the_specified_ones(name: str) -> None:
    operator, facts = _operation(name)
    given = [item for item in facts["operands"] + facts["arguments"] if item.get("position") is not None]
    members: dict[str, Slot | Attribute] = {**operator.slots, **operator.attributes}
    assert [members[parameter].spec_name for parameter in operator.positional] == [
        item["name"] for item in sorted(given, key=lambda item: item["position"])
    ]


@each_operation
def test_attributes_have_the_specified_types_and_defaults(name: str) -> None:
    operator, facts = _operation(name)
    options = {item["name"]: item for item in facts["options"] if item["type"] != "operand" and item["name"] != "label"}
    specified = {item["name"]: item for item in facts["arguments"]} | options
    declared = {attribute.spec_name: attribute for attribute in operator.attributes.values()}
    assert set(declared) == set(specified)
    for key, item in specified.items():
        kind = _KINDS.get((item["type"], item["range_checked"]), "enum")
        assert declared[key].kind.name == kind, key
        if key in options:
            default = tuple(item["default"]) if isinstance(item["default"], list) else item["default"]
            assert declared[key].default == default, key


@each_operation
def test_an_option_is_cast_to_an_operands_type_where_the_specification_says(name: str) -> None:
    operator, facts = _operation(name)
    for item in facts["options"]:
        said = re.search(r"cast to dtype\(`(\w+)`\)", item["constraint"])
        if item["type"] != "operand" and item["name"] != "label":
            (attribute,) = (one for one in operator.attributes.values() if one.spec_name == item["name"])
            assert attribute.cast_to == (said and said[1])


@each_operation
def test_support_limits_have_the_specified_members(name: str) -> None:
    _, facts = _operation(name)
    entry = ops.limits_to_json(ops.declared_limits())[name]
    assert isinstance(entry, dict)
    assert list(entry) == facts["support_limits"]["members"]
