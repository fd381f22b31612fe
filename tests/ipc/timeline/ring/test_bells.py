"""Bells may ring at any moment, also while the last one is being heard."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from ipc.timeline.ring import RendererBells


@pytest.fixture
def bells() -> Iterator[RendererBells]:
    ours, theirs = socket.socketpair()
    with theirs:
        bells = RendererBells(os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK), ours)
        yield bells
        bells.close()


def test_two_nudges_that_were_heard_as_one_are_two_calls_and_no_error(bells: RendererBells) -> None:
    bells.wake_driver()
    os.eventfd_read(bells.nudge)  # by a call that had begun before this nudge and took it as well
    assert bells.heard()
    bells.wake_driver()
    assert bells.heard()
    with pytest.raises(BlockingIOError):
        os.eventfd_read(bells.nudge)
