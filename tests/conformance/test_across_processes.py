"""Vectors through the API: two processes, a session, shared memory and the wire between the call and the kernel."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from gpu_process.backends import BACKEND_NAMES
from gpu_process.sandbox import Level
from renderer import ML
from tests.conformance._across_processes import RendererContext
from tests.conformance._expectations import expectations
from tests.conformance._runner import operators_of
from tests.conformance._vectors import OWN_VECTORS, SHARED_VECTORS, Vector, load_vectors
from tests.conformance._verdict import judge
from tests.conformance.conftest import OUTCOME

_OWN = load_vectors(OWN_VECTORS)
_SHARED = [vector for vector in load_vectors(SHARED_VECTORS) if not vector.set_aside]


def _sample(vectors: list[Vector]) -> list[Vector]:
    """The first vector of each operator for each data type: the boundary must carry every form, not every value."""
    first: dict[tuple[str, ...], Vector] = {}
    for vector in vectors:
        data_types = {given.descriptor.data_type.value for given in vector.inputs.values()}
        first.setdefault((*operators_of(vector), *sorted(data_types)), vector)
    return list(first.values())


@pytest.fixture(scope="module")
def ml() -> Iterator[ML]:
    with ML() as ml:
        yield ml


@pytest.fixture(scope="module", params=BACKEND_NAMES)
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def renderer_context(ml: ML, backend: str) -> Iterator[RendererContext]:
    with ml.create_context(backend=backend, experimental_int4=True) as context:
        yield RendererContext(context)


def _check(
    backend: str, context: RendererContext, vector: Vector, record_property: Callable[[str, object], None]
) -> None:
    place = f"{backend} across processes"
    record_property(OUTCOME, (place, operators_of(vector), "failed"))
    outcome = judge(context, vector, expectations(backend))
    record_property(OUTCOME, (place, operators_of(vector), outcome))


@pytest.mark.parametrize("vector", _sample(_OWN), ids=lambda vector: vector.id)
def test_a_vector_of_each_operator_and_type_gives_its_outputs(
    backend: str,
    renderer_context: RendererContext,
    vector: Vector,
    record_property: Callable[[str, object], None],
) -> None:
    _check(backend, renderer_context, vector, record_property)


def test_they_run_in_strict(ml: ML, backend: str, renderer_context: RendererContext) -> None:
    """Every layer that it requires, as the kernel tells."""
    (process,) = (it for it in ml.status()["gpu_processes"] if backend in it["backends"])
    assert [layer for layer in Level.STRICT.required if not process["sandbox"]["layers"][layer]["held"]] == []


@pytest.mark.campaign
@pytest.mark.parametrize("vector", [*_OWN, *_SHARED], ids=lambda vector: vector.id)
def test_every_vector_gives_its_outputs(
    backend: str,
    renderer_context: RendererContext,
    vector: Vector,
    record_property: Callable[[str, object], None],
) -> None:
    _check(backend, renderer_context, vector, record_property)
