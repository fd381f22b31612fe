"""Inference is total: whatever canonical values arrive, it returns descriptors or names a broken rule."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ipc.operators as ops
from ipc.descriptors import MAX_TENSOR_BYTES, Descriptor
from ipc.limits import SupportLimits
from ipc.operators import Operator, RuleError
from tests.ipc.operators._calls import LIMITS
from tests.ipc.operators._strategies import garbage, nearly_right
from tests.ipc.operators._valid import VALID

_EXAMPLES = settings(max_examples=12, deadline=None)
_WITH_INT4 = ops.with_int4(LIMITS)


@pytest.mark.parametrize("name", ops.REGISTRY)
@_EXAMPLES
@given(data=st.data())
def test_garbage_breaks_a_rule_and_nothing_else(name: str, data: st.DataObject) -> None:
    _infer(name, *data.draw(garbage(ops.REGISTRY[name])))


@pytest.mark.parametrize("name", ops.REGISTRY)
@_EXAMPLES
@given(data=st.data())
def test_nearly_right_calls_break_a_rule_and_nothing_else(name: str, data: st.DataObject) -> None:
    right, _ = data.draw(st.sampled_from([case for case in VALID if case[0].operator == name]))
    operands, attributes, _ = right.bind()
    _infer(name, *data.draw(nearly_right(ops.REGISTRY[name], (operands, attributes))))


def _infer(name: str, operands: dict[str, Any], attributes: dict[str, Any]) -> None:
    operator = ops.REGISTRY[name]
    cast = ops.cast_attributes(operator, operands, attributes)
    again = ops.cast_attributes(operator, operands, cast)
    assert repr(again) == repr(cast), "casting is idempotent"  # repr, since NaN equals nothing
    for limits in (LIMITS, _WITH_INT4):
        outcome = _outcome(operator, operands, cast, limits)
        if isinstance(outcome, RuleError):
            assert outcome.rule in operator.all_rules()
            assert outcome.message("label").startswith(f"{name} [label]: ")
        else:
            assert outcome
            assert all(output.problem(MAX_TENSOR_BYTES) is None for output in outcome)
            assert all(attribute.takes(cast[key]) for key, attribute in operator.attributes.items())


def _outcome(
    operator: Operator, operands: dict[str, Any], attributes: dict[str, Any], limits: SupportLimits
) -> tuple[Descriptor, ...] | RuleError:
    try:
        return ops.infer_outputs(operator, operands, attributes, limits)
    except RuleError as refusal:
        return refusal


LONG = (7,) * 1_000_000


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", ops.REGISTRY)
def test_a_million_entries_cost_no_more_than_a_look_at_each(name: str) -> None:
    operator = ops.REGISTRY[name]
    right, _ = next(case for case in VALID if case[0].operator == name)
    operands, attributes, _ = right.bind()
    for key, attribute in operator.attributes.items():
        if attribute.kind.element is not None and attribute.kind.element.name.endswith("uint32"):
            with pytest.raises(RuleError):
                ops.infer_outputs(operator, operands, attributes | {key: LONG}, LIMITS)
