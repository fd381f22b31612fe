"""The host's program: what it does before anybody asks."""

from __future__ import annotations

from collections.abc import Callable

from tests.gpu_process.hosts import OwnedHost, tiny_options

StartHost = Callable[..., OwnedHost]


def test_the_gpu_process_that_will_be_wanted_is_on_its_way_before_anybody_asks(start_host: StartHost) -> None:
    host = start_host(tiny_options(), prepare="reference")
    before = host.status()
    assert len(before["launchers"]) == len(before["gpu_processes"]) == 1
    session = host.open()
    after = host.status()
    assert after["launchers"] == before["launchers"]
    assert [it["pid"] for it in after["gpu_processes"]] == [session.gpu_process]


def test_a_host_that_was_not_told_starts_nothing(start_host: StartHost) -> None:
    status = start_host(tiny_options()).status()
    assert status["launchers"] == status["gpu_processes"] == []
