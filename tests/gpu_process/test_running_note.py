"""Whom a process worked for when it died can be read by whoever shares its note."""

from __future__ import annotations

import ctypes
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from gpu_process.running_note import RunningNote, Work


@pytest.fixture
def note() -> Iterator[RunningNote]:
    note = RunningNote.create()
    yield note
    note.close()


def in_child(note: RunningNote, work: Callable[[], object]) -> int:
    """Does the work in a process that shares the note, and dies of it; how."""
    child = os.fork()
    if child == 0:
        try:
            note.map()
            work()
        finally:
            os._exit(0)
    return os.waitpid(child, 0)[1]


def sessions(note: RunningNote) -> set[int]:
    return {entry.session for entry in note.read()}


def test_the_note_outlives_the_process_that_wrote_it(note: RunningNote) -> None:
    def work() -> None:
        note.write(1)
        note.write(2)
        os.kill(os.getpid(), signal.SIGKILL)

    assert os.WTERMSIG(in_child(note, work)) == signal.SIGKILL
    assert sessions(note) == {2}
    assert note.crashed_thread() is None


@pytest.mark.parametrize("crash", [lambda: ctypes.string_at(0), os.abort], ids=["segv", "abort"])
def test_of_several_threads_at_work_the_one_that_crashed_is_known(
    note: RunningNote, crash: Callable[[], object]
) -> None:
    def work() -> None:
        innocent = threading.Event()

        def wait() -> None:
            note.write(1)
            innocent.set()
            threading.Event().wait()

        def misbehave() -> None:
            note.write(2)
            crash()

        threading.Thread(target=wait).start()
        innocent.wait()
        threading.Thread(target=misbehave).start()
        threading.Event().wait()

    assert os.WIFSIGNALED(in_child(note, work))
    assert sessions(note) == {1, 2}
    crashed = note.crashed_thread()
    assert [entry.session for entry in note.read() if entry.identity == crashed] == [2]
    assert "misbehave" in note.crash_report()


def test_a_note_names_the_thread_as_the_kernel_does(note: RunningNote) -> None:
    def work() -> None:
        note.write(threading.get_native_id())

    in_child(note, work)
    (entry,) = note.read()
    assert entry.thread == entry.session


def test_only_what_takes_longer_than_its_kind_may_is_overdue(note: RunningNote) -> None:
    before = time.monotonic()

    def work() -> None:
        note.write(1, Work.BUILD)
        os.kill(os.getpid(), signal.SIGKILL)

    in_child(note, work)
    limits = {Work.BUILD: 10.0, Work.COMMANDS: 1.0}
    assert note.overdue(limits, before + 9) is None
    found = note.overdue(limits, before + 21)
    assert found is not None
    assert found.session == 1
    assert note.overdue({Work.BUILD: 0, Work.COMMANDS: 1}, before + 21) is None


def test_the_pages_cannot_be_cut_from_under_their_reader(note: RunningNote) -> None:
    with pytest.raises(PermissionError):
        os.ftruncate(note.descriptor, 0)
