"""Output descriptors, computed by hand."""

from __future__ import annotations

import pytest

import ipc.operators as ops
from ipc.descriptors import Descriptor
from tests.ipc.operators._calls import Call
from tests.ipc.operators._valid import VALID


@pytest.mark.parametrize(("call", "expected"), VALID, ids=lambda value: str(value) if isinstance(value, Call) else "")
def test_outputs_are_those_computed_by_hand(call: Call, expected: list[Descriptor]) -> None:
    assert call.infer() == expected


def test_every_operator_has_a_case() -> None:
    assert {call.operator for call, _ in VALID} == set(ops.REGISTRY)
