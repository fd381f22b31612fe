"""One host with the reference backend for all tests of the renderer, and a context of its own for each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from renderer import ML, MLContext, MLGraphBuilder


@pytest.fixture(scope="session")
def ml() -> Iterator[ML]:
    with ML(backend="reference") as ml:
        yield ml


@pytest.fixture
def context(ml: ML) -> Iterator[MLContext]:
    with ml.create_context() as context:
        yield context


@pytest.fixture
def other_context(ml: ML) -> Iterator[MLContext]:
    with ml.create_context() as context:
        yield context


@pytest.fixture
def builder(context: MLContext) -> MLGraphBuilder:
    return MLGraphBuilder(context)
