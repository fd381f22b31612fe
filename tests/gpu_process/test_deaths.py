"""Whoever causes a death is charged with it, everyone else goes on, and the host can tell what happened."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import pytest

from gpu_process.sandbox import kernel_features
from tests.gpu_process.hosts import OwnedHost, TinySession, tiny_options

StartHost = Callable[..., OwnedHost]

FEATURES = {feature.name: feature for feature in kernel_features()}


@pytest.fixture
def strict() -> None:
    for name in ("namespaces", "landlock", "seccomp-filter", "seccomp-notification"):
        if not FEATURES[name].available:
            pytest.skip(f"{name}: {FEATURES[name].detail}")


def deaths_of(host: OwnedHost) -> list[dict[str, Any]]:
    deaths: list[dict[str, Any]] = host.status()["recent_deaths"]
    return deaths


def several_at_work(host: OwnedHost) -> tuple[TinySession, TinySession]:
    """Two sessions whose commands run at the same time."""
    guilty, innocent = host.open(), host.open()
    for session in (guilty, innocent):
        session.obeys("run")
    return guilty, innocent


@pytest.mark.parametrize(("word", "cause"), [("segv", "memory-safety"), ("abort", "abort")])
def test_of_several_sessions_at_work_the_one_whose_thread_crashed_is_charged(
    start_host: StartHost, word: str, cause: str
) -> None:
    host = start_host(tiny_options())
    guilty, innocent = several_at_work(host)
    guilty.say(word)
    reasons = {ended.session: ended.reason for ended in (host.ended(), host.ended())}
    assert reasons[guilty.number].endswith("; it worked for this session")
    assert reasons[innocent.number].endswith(f"{cause})")
    assert deaths_of(host)[0]["charged_to"] is not None
    assert host.status()["recent_crashes"] == {}


def test_a_librarys_thread_that_crashes_is_charged_to_the_only_session_at_work(start_host: StartHost) -> None:
    host = start_host(tiny_options())
    guilty, idle = host.open(), host.open()
    guilty.obeys("run")
    guilty.say("native")
    reasons = {ended.session: ended.reason for ended in (host.ended(), host.ended())}
    assert reasons[guilty.number].endswith("memory-safety); it worked for this session")
    assert reasons[idle.number].endswith("memory-safety)")
    assert host.status()["recent_crashes"] == {}


def test_a_librarys_thread_that_crashes_is_charged_to_the_renderer_of_all_sessions_at_work(
    start_host: StartHost,
) -> None:
    """It does not help a renderer to have several."""
    host = start_host(tiny_options())
    guilty, _ = several_at_work(host)
    guilty.say("native")
    for ended in (host.ended(), host.ended()):
        assert ended.reason.endswith("memory-safety); it worked for this renderer")
    assert deaths_of(host)[0]["charged_to"] == os.getpid()
    assert host.status()["recent_crashes"] == {}


def test_whoever_hangs_up_before_the_crash_is_charged_all_the_same(start_host: StartHost) -> None:
    host = start_host(tiny_options())
    guilty, idle = host.open(), host.open()
    guilty.obeys("segv when it is gone")
    guilty.close()
    ended = host.ended()
    assert (ended.session, ended.reason[-14:]) == (idle.number, "memory-safety)")
    assert deaths_of(host)[0]["charged_to"] == os.getpid()
    assert host.status()["recent_crashes"] == {}


@pytest.mark.usefixtures("strict")
def test_a_forbidden_call_is_charged_to_the_thread_that_made_it(start_host: StartHost) -> None:
    host = start_host(tiny_options(sandbox="strict"))
    guilty, innocent = several_at_work(host)
    guilty.say("forbidden")
    reasons = {ended.session: ended.reason for ended in (host.ended(), host.ended())}
    assert reasons[guilty.number].endswith("(ptrace, sandbox-violation); it worked for this session")
    assert reasons[innocent.number].endswith("(ptrace, sandbox-violation)")


def test_a_command_that_takes_too_long_ends_the_process_and_is_charged(start_host: StartHost) -> None:
    host = start_host(tiny_options(quotas={"command_seconds": 1}))
    guilty, innocent = host.open(), host.open()
    start = time.monotonic()
    guilty.say("work")
    reasons = {ended.session: ended.reason for ended in (host.ended(), host.ended())}
    assert 1 <= time.monotonic() - start < 3
    assert "did not come to an end (commands took longer than 1 s, hang)" in reasons[guilty.number]
    assert reasons[guilty.number].endswith("; it worked for this session")
    assert not reasons[innocent.number].endswith("; it worked for this session")
    assert host.open().gpu_process != guilty.gpu_process


def test_nobody_is_charged_where_nobodys_command_ran(start_host: StartHost) -> None:
    host = start_host(tiny_options())
    host.open().say("segv")
    assert "worked for" not in host.ended().reason
    assert deaths_of(host)[0]["charged_to"] is None
    assert host.status()["recent_crashes"] == {"reference": 1}


def test_memory_that_runs_out_is_told_from_other_ends(start_host: StartHost) -> None:
    if not FEATURES["memory-group"].available:
        pytest.skip(f"memory-group: {FEATURES['memory-group'].detail}")
    host = start_host(tiny_options(sandbox="compat", memory_limit=256 << 20))
    host.open().say("memory")
    assert "because memory ran out (SIGKILL, out-of-memory)" in host.ended().reason
    assert host.status()["deaths"] == {"out-of-memory": 1}
    host.open().obeys("")


# --- Violations in each mode ------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("strict")
@pytest.mark.parametrize(("mode", "is_killed"), [("enforce", False), ("report", True), ("audit", False)])
def test_an_unknown_call_reaches_the_status_with_its_arguments(
    start_host: StartHost, mode: str, is_killed: bool
) -> None:
    host = start_host(tiny_options(sandbox="strict", sandbox_mode=mode))
    session = host.open()
    if is_killed:
        session.say("unknown")
        assert "(setpgid, sandbox-violation)" in host.ended().reason
        (seen,) = deaths_of(host)
    else:
        session.obeys("unknown")
        (seen,) = host.status()["gpu_processes"]
    assert seen["violations"]["setpgid"] == 1
    (violation,) = (it for it in seen["recent_violations"] if it["call"] == "setpgid")
    assert violation["arguments"][:2] == ["0x0", "0x0"]
    assert (violation["decision"], violation["outcome"]) == ("unknown", "killed" if is_killed else "refused")


@pytest.mark.usefixtures("strict")
def test_a_dangerous_call_fails_in_audit_and_is_told(start_host: StartHost) -> None:
    host = start_host(tiny_options(sandbox="strict", sandbox_mode="audit"))
    host.open().obeys("forbidden")
    assert host.status()["gpu_processes"][0]["violations"]["ptrace"] == 1
