"""The public vectors, where the checkout has them beside it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gpu_process.backends import BACKEND_NAMES
from tests.conformance._expectations import expectations
from tests.conformance._in_process import BackendContext
from tests.conformance._runner import operators_of
from tests.conformance._vectors import SHARED_VECTORS, Vector, load_vectors
from tests.conformance._verdict import judge
from tests.conformance.conftest import OUTCOME

_VECTORS = [vector for vector in load_vectors(SHARED_VECTORS) if not vector.set_aside]


@pytest.mark.skipif(not _VECTORS, reason=f"no shared vectors at {SHARED_VECTORS}")
@pytest.mark.parametrize("vector", _VECTORS, ids=lambda vector: vector.id)
@pytest.mark.parametrize("backend", BACKEND_NAMES)
def test_a_public_vector_gives_its_outputs(
    backend: str, context: BackendContext, vector: Vector, record_property: Callable[[str, object], None]
) -> None:
    record_property(OUTCOME, (backend, operators_of(vector), "failed"))
    outcome = judge(context, vector, expectations(backend))
    record_property(OUTCOME, (backend, operators_of(vector), outcome))
