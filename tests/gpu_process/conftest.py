"""Fixtures that start real hosts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ipc.options import HostOptions
from tests.gpu_process.hosts import OwnedHost


@pytest.fixture
def start_host() -> Iterator[Callable[..., OwnedHost]]:
    """Starts hosts that end with the test."""
    hosts: list[OwnedHost] = []

    def start(options: HostOptions, **details: Any) -> OwnedHost:
        hosts.append(OwnedHost(options, **details))
        return hosts[-1]

    yield start
    for host in hosts:
        host.close()
        host.process.kill()
        host.process.communicate()
