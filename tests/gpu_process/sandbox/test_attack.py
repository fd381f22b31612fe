"""Every attempt of the list fails, in every role and level, each deadly one in a process of its own."""

from __future__ import annotations

import dataclasses
import os
import uuid
from collections.abc import Callable

import pytest

from gpu_process.sandbox import Level, MemoryGroup, Mode, Role, SandboxSpec, attack
from tests.gpu_process.sandbox.conftest import Confined, Launcher

Confine = Callable[..., Confined]

ROLES = [Role.GPU_PROCESS, Role.RENDERER]


@pytest.mark.parametrize("user", ["self", "nobody"])
@pytest.mark.parametrize("level", [Level.STRICT, Level.COMPAT])
@pytest.mark.parametrize("role", ROLES)
def test_attempts_that_are_refused(
    launchers: Callable[[str, str], Launcher], spec: SandboxSpec, role: Role, level: Level, user: str
) -> None:
    spec = dataclasses.replace(spec, role=role, level=level)
    process = launchers("none", user).fork(spec)
    for attempt in attack.attempts_for(spec):
        if not attempt.deadly:
            outcome = process.attempt(attempt.name)
            assert attempt.judge(outcome), (attempt.expected, outcome)
    assert process.status() == 0


@pytest.mark.parametrize("supervised", [True, False], ids=["supervised", "alone"])
@pytest.mark.parametrize("role", ROLES)
def test_attempts_that_are_deadly(confined: Confine, spec: SandboxSpec, role: Role, supervised: bool) -> None:
    for attempt in attack.attempts_for(dataclasses.replace(spec, role=role)):
        if attempt.deadly:
            process = confined(role=role, fork={"supervised": supervised})
            outcome = process.attempt(attempt.name)
            assert attempt.judge(outcome), (attempt.expected, outcome)
            assert os.WIFSIGNALED(process.status())


def test_attempts_that_are_deadly_are_only_refused_in_audit(confined: Confine, spec: SandboxSpec) -> None:
    process = confined(mode=Mode.AUDIT)
    for attempt in attack.attempts_for(dataclasses.replace(spec, mode=Mode.AUDIT)):
        outcome = process.attempt(attempt.name)
        assert attempt.judge(outcome, Mode.AUDIT), outcome
    assert process.status() == 0


def test_an_unconfined_process_fails_the_examination(launcher: Launcher, spec: SandboxSpec) -> None:
    """Otherwise the attempts would prove nothing."""
    process = launcher.fork(dataclasses.replace(spec, level=Level.OFF), supervised=False)
    harmless = (
        "read-file",
        "list-root",
        "socket-tcp",
        "socket-unix",
        "fork",
        "map-writable-executable",
        "load-library",
    )
    for name in (*harmless, "map-executable", "make-executable", "open-process", "unknown-call", "exhaust-region"):
        assert process.attempt(name).fate is attack.Fate.SUCCEEDED, name
    assert process.status() == 0


def test_shared_memory_is_limited_by_the_memory_group(
    launcher: Launcher, spec: SandboxSpec, refusals: dict[str, str]
) -> None:
    if "memory-group" in refusals:
        pytest.skip(f"memory-group: {refusals['memory-group']}")
    limit = 96 << 20
    spec = dataclasses.replace(spec, memory_limit=limit)
    with MemoryGroup.create(f"webnn-test-{uuid.uuid4().hex}", limit).removed_at_end() as group:
        process = launcher.fork(spec, memory_group=group)
        (attempt,) = (a for a in attack.attempts_for(spec, memory_group=True) if a.memory_group)
        outcome = process.attempt(attempt.name)
        assert attempt.judge(outcome), outcome
        assert os.WTERMSIG(process.status()) == 9
    assert not group.directory.exists()
