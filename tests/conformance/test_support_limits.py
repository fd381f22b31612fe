"""What backends leave out of their support limits is known, written down, and never what the specification requires."""

from __future__ import annotations

import pytest

from gpu_process.backends import BACKEND_NAMES, BackendOptions, load_backend
from ipc.limits import SupportLimits
from ipc.operators import REGISTRY
from tests.conformance._expectations import expectations, unlisted


@pytest.fixture(params=BACKEND_NAMES)
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def limits(backend: str) -> SupportLimits:
    return load_backend(backend, BackendOptions()).support_limits()


def test_the_data_types_left_out_are_those_written_down(backend: str, limits: SupportLimits) -> None:
    assert unlisted(limits) == expectations(backend).unlisted


def test_every_required_data_type_is_listed(limits: SupportLimits) -> None:
    left_out = unlisted(limits)
    missing = {
        f"{operator}.{slot.name}": slot.required & left_out.get((operator.name, slot.name), frozenset())
        for operator in REGISTRY.values()
        for slot in (*operator.slots.values(), *operator.outputs.values())
    }
    assert {place: data_types for place, data_types in missing.items() if data_types} == {}


def test_every_required_rank_is_listed(limits: SupportLimits) -> None:
    too_narrow = [
        f"{operator}.{slot.name}"
        for operator in REGISTRY.values()
        for slot in (*operator.slots.values(), *operator.outputs.values())
        if not all(limits.operators[operator.name][slot.name].allows_rank(rank) for rank in slot.required_rank)
    ]
    assert too_narrow == []


def test_the_reference_lists_all_that_is_allowed() -> None:
    assert unlisted(load_backend("reference", BackendOptions()).support_limits()) == {}
