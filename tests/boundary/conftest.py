"""Hosts to attack: one for all tests that leave it as it was, and others with options."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.boundary.hostile_client import HostileRenderer
from tests.boundary.target import Target


@pytest.fixture(scope="session")
def shared_target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    target = Target(tmp_path_factory.mktemp("boundary"))
    yield target
    target.close()


@pytest.fixture
def target(shared_target: Target) -> Iterator[Target]:
    """After each test: the GPU process lives, and has told nobody what is inside."""
    yield shared_target
    shared_target.assert_alive()
    shared_target.assert_silent()
    shared_target.hang_up()


@pytest.fixture
def renderer(target: Target) -> HostileRenderer:
    return target.renderer()


@pytest.fixture
def start_target(tmp_path: Path) -> Iterator[Callable[..., Target]]:
    """Starts hosts with options, which end with the test."""
    targets: list[Target] = []

    def start(*arguments: str) -> Target:
        folder = tmp_path / str(len(targets))
        folder.mkdir()
        targets.append(Target(folder, *arguments))
        return targets[-1]

    yield start
    for target in targets:
        target.assert_alive()
        target.assert_silent()
        target.close()
