"""A GPU process gets from its launcher what it needs, and nothing by accident."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.gpu_process.hosts import OwnedHost, kill, tiny_options

StartHost = Callable[..., OwnedHost]

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can look into undumpable processes")


def descriptors(pid: int) -> Counter[str]:
    """What process `pid` has open, and how often."""
    return Counter(os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir())


def endpoints(pid: int) -> set[str]:
    return {name for name in descriptors(pid) if name.startswith(("socket:", "pipe:"))}


@as_root
def test_a_gpu_process_holds_no_end_of_another_processs_connections(start_host: StartHost) -> None:
    host = start_host(tiny_options(isolate=True))
    first = host.open()
    host.status()
    launcher = host.status()["launchers"][0]["pid"]
    gpu_process = first.gpu_process
    assert not endpoints(gpu_process) & endpoints(launcher)
    assert not {it for it in endpoints(gpu_process) & endpoints(host.process.pid) if it.startswith("socket:")}


@as_root
def test_a_gpu_process_does_not_know_the_users_environment(
    start_host: StartHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    host = start_host(tiny_options(), SECRET_OF_THE_HOST="hunter3")
    pid = host.open().gpu_process
    environment = Path(f"/proc/{pid}/environ").read_bytes()
    assert b"hunter" not in environment
    assert b"GRPC_ENABLE_FORK_SUPPORT=0" in environment


@as_root
def test_sessions_and_crashes_leave_the_hosts_and_launchers_descriptors_where_they_were(start_host: StartHost) -> None:
    host = start_host(tiny_options())

    def round_trip() -> None:
        for _ in range(20):
            host.open().close()
        kill(host.open().gpu_process)
        host.open()

    def counts() -> dict[int, int]:
        launcher = host.status()["launchers"][0]["pid"]
        return {pid: descriptors(pid).total() for pid in (host.process.pid, launcher)}

    round_trip()
    before = counts()
    for _ in range(3):
        round_trip()
    assert counts() == before
