"""Whom a process worked for when it died can be read by whoever shares its note."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from gpu_process.running_note import RunningNote


def test_the_note_outlives_the_process_that_wrote_it() -> None:
    note = RunningNote.create()
    child = os.fork()
    if child == 0:
        note.map()
        note.write(1)
        note.write(2)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert note.read() == {2}
    note.close()


def test_each_thread_notes_for_itself() -> None:
    note = RunningNote.create()
    note.map()
    note.write(1)
    other = threading.Thread(target=note.write, args=(2,))
    other.start()
    other.join()
    assert note.read() == {1, 2}
    note.write(0)
    assert note.read() == {2}
    note.close()


def test_the_pages_cannot_be_cut_from_under_their_reader() -> None:
    note = RunningNote.create()
    with pytest.raises(PermissionError):
        os.ftruncate(note.descriptor, 0)
    note.close()
