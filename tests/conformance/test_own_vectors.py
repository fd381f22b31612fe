"""The repository's own vectors: every operator and its edges, computed by code that shares nothing with a backend."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gpu_process.backends import BACKEND_NAMES
from ipc.operators import REGISTRY
from tests.conformance._expectations import expectations
from tests.conformance._in_process import BackendContext
from tests.conformance._runner import operators_of
from tests.conformance._vectors import OWN_VECTORS, Tolerance, Vector, load_vectors
from tests.conformance._verdict import judge
from tests.conformance.conftest import OUTCOME

_VECTORS = load_vectors(OWN_VECTORS)
_ONE_ROUNDING = Tolerance("ULP", 1, floor=1e-12)  # all the reference may be away from the formula, in float64


@pytest.mark.parametrize("vector", _VECTORS, ids=lambda vector: vector.id)
@pytest.mark.parametrize("backend", BACKEND_NAMES)
def test_a_vector_gives_its_outputs(
    backend: str, context: BackendContext, vector: Vector, record_property: Callable[[str, object], None]
) -> None:
    record_property(OUTCOME, (backend, operators_of(vector), "failed"))
    precise = backend == "reference" and vector.tolerance.metric != "EXACT"
    outcome = judge(context, vector, expectations(backend), _ONE_ROUNDING if precise else None)
    record_property(OUTCOME, (backend, operators_of(vector), outcome))


def test_every_operator_has_a_vector_of_its_own() -> None:
    covered = {operator for vector in _VECTORS for operator in operators_of(vector)}
    assert set(REGISTRY) - covered == set()


def test_vector_names_are_unique() -> None:
    names = [vector.id for vector in _VECTORS]
    assert len(names) == len(set(names))
