"""The watcher's thread: what it is told to do, it does, and nothing stops it but `close`."""

from __future__ import annotations

import gc
import logging
import os
import threading
import time
from collections.abc import Iterator

import pytest

from renderer._watcher import Watcher


@pytest.fixture
def watcher() -> Iterator[Watcher]:
    watcher = Watcher()
    yield watcher
    watcher.close()


def test_a_job_is_done_in_the_watchers_thread(watcher: Watcher) -> None:
    threads: list[int] = []
    done = threading.Event()
    watcher.soon(lambda: (threads.append(threading.get_ident()), done.set()))
    assert done.wait(5)
    assert threads != [threading.get_ident()]


def test_a_readable_descriptor_is_told(watcher: Watcher) -> None:
    reader, writer = os.pipe()
    done = threading.Event()
    watcher.watch(reader, lambda: (os.read(reader, 1), done.set()))
    os.write(writer, b"x")
    assert done.wait(5)
    closed = threading.Event()
    watcher.unwatch(reader, lambda: (os.close(reader), closed.set()))
    assert closed.wait(5)
    os.close(writer)


def test_timers_come_in_their_order_and_not_early(watcher: Watcher) -> None:
    told: list[str] = []
    done = threading.Event()
    start = time.monotonic()
    watcher.after(0.05, lambda: (told.append("second"), done.set()))
    watcher.after(0.01, lambda: told.append("first"))
    assert done.wait(5)
    assert told == ["first", "second"]
    assert time.monotonic() - start >= 0.05


def test_a_job_that_fails_is_logged_and_the_next_is_done(watcher: Watcher, caplog: pytest.LogCaptureFixture) -> None:
    done = threading.Event()
    with caplog.at_level(logging.ERROR, logger="renderer._watcher"):
        watcher.soon(lambda: 1 / 0)
        watcher.soon(done.set)
        assert done.wait(5)
    assert "ZeroDivisionError" in caplog.text


def test_close_does_what_waits_and_ends_the_thread() -> None:
    before = threading.active_count()
    watcher = Watcher()
    told: list[int] = []
    for number in range(100):
        watcher.soon(lambda number=number: told.append(number))  # type: ignore[misc]
    watcher.close()
    assert told == list(range(100))
    assert threading.active_count() == before


def test_a_late_job_after_close_harms_nobody() -> None:
    watcher = Watcher()
    watcher.close()
    watcher.soon(lambda: None)
    del watcher
    gc.collect()
