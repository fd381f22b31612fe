"""Run directories are private, short, and gone with the last who holds them."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from gpu_process import run_directory
from gpu_process.run_directory import MAX_SOCKET_PATH, RunDirectory


@pytest.fixture(autouse=True)
def base(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path_factory.mktemp("r")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(path))
    return path


def test_it_is_private_and_in_the_runtime_directory(base: Path) -> None:
    directory = RunDirectory.choose()
    assert directory.path.parent == base
    assert not directory.path.exists()
    directory.hold(os.geteuid())
    made = directory.make("1", os.geteuid(), os.getegid())
    for path in (directory.path, made):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    directory.remove()
    assert not directory.path.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_what_another_user_needs_he_may_pass_through_to_but_not_look_around_for() -> None:
    directory = RunDirectory.choose()
    directory.hold(65534)
    made = directory.make("1", 65534, 65534)
    assert stat.S_IMODE(directory.path.stat().st_mode) == 0o711
    assert made.stat().st_uid == 65534
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    directory.remove()


@pytest.mark.parametrize("runtime", ["", "relative", "/nowhere", "/tmp/" + "x" * 80])
def test_an_unusable_runtime_directory_is_passed_over(monkeypatch: pytest.MonkeyPatch, runtime: str) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
    monkeypatch.setattr("tempfile.tempdir", "/tmp")
    path = RunDirectory.choose().path
    assert path.parent == Path("/tmp")
    assert len(os.fsencode(path / "18446744073709551615" / "webnn")) <= MAX_SOCKET_PATH


def test_only_a_directory_that_nobody_holds_is_swept_away(base: Path) -> None:
    held, other_holder = RunDirectory.choose(), None
    held.hold(os.geteuid())
    abandoned = base / "webnn-sim-0000dead"
    (abandoned / "1").mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(abandoned / "1" / "socket"))
    (base / "webnn-sim-00001111").symlink_to(base)
    other_holder = RunDirectory(held.path)
    other_holder.hold(os.geteuid())
    run_directory.sweep()
    assert not abandoned.exists()
    assert held.path.exists()
    assert base.exists()
    other_holder.remove()
    held.remove()


@pytest.mark.parametrize("name", ["webnn-sim-ci.VFAnXi", "webnn-sim-0123abcd", "webnn-sim-notes"])
def test_what_a_user_keeps_under_such_a_name_is_not_swept_away(base: Path, name: str) -> None:
    theirs = [base / name / "notes.txt", base / name / "1" / "results.txt", base / name / "sources" / "main.py"]
    for path in theirs:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("a user's work")
    run_directory.sweep()
    assert all(path.exists() for path in theirs)


def test_an_end_removes_nothing_but_sockets(base: Path) -> None:
    directory = RunDirectory.choose()
    directory.hold(os.geteuid())
    directory.make("1", os.geteuid(), os.getegid())
    kept = directory.path / "1" / "core"
    kept.write_text("of a crash")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(directory.path / "1" / "gpu.sock"))
    directory.remove()
    assert kept.exists()
    assert not (directory.path / "1" / "gpu.sock").exists()
    kept.unlink()
    directory.remove()
    assert not directory.path.exists()
