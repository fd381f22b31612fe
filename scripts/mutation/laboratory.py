"""Copies of the tree in which mutants live, and processes in which tests meet them. The tree itself stays as it is."""

from __future__ import annotations

import compileall
import ctypes
import enum
import importlib
import os
import py_compile
import shlex
import shutil
import signal
import sys
import time
import traceback
from pathlib import Path

import psutil

from scripts.mutation.mutants import Mutant

_ROOMS = ("docs", "gpu_process", "ipc", "protos", "renderer", "scripts", "tests")
_HEAVY = ("pytest", "numpy", "grpc", "google.protobuf", "psutil")
_PR_SET_CHILD_SUBREAPER = 36
_KILLED_BY = 1  # pytest: some tests failed
_BROKEN = 2  # pytest: it was interrupted, as by a module that cannot be imported


class Outcome(enum.StrEnum):
    KILLED = "killed"
    SURVIVED = "survived"
    HUNG = "hung"  # also noticed: a test did not end


class Laboratory:
    """A copy of the tree, used by one process at a time.

    Attributes:
        output: what the last tests have printed.
    """

    def __init__(self, root: Path, folder: Path) -> None:
        self._folder = folder
        self.output = folder / "output.txt"
        folder.mkdir()
        for room in _ROOMS:
            shutil.copytree(root / room, folder / room, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(root / "pyproject.toml", folder)
        # What is compiled is compared with its source by content: a mutant may have the length of its original.
        checked = py_compile.PycInvalidationMode.CHECKED_HASH
        compileall.compile_dir(folder, quiet=2, invalidation_mode=checked)
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
        for name in _HEAVY:  # once, for all processes to come
            importlib.import_module(name)

    def try_out(self, mutant: Mutant | None, tests: str, patience: float) -> tuple[Outcome, float]:
        """Run tests with a mutant in place, or with none; how it went, and the seconds that it took."""
        if mutant is None:
            return self._run(tests, patience)
        path = self._folder / mutant.path
        source = path.read_bytes()
        path.write_bytes(mutant.apply(source))
        try:
            return self._run(tests, patience)
        finally:
            path.write_bytes(source)

    def _run(self, tests: str, patience: float) -> tuple[Outcome, float]:
        began = time.monotonic()
        child = os.fork()
        if child == 0:
            self._be_tested(tests, patience)
        outcome = Outcome.HUNG
        while time.monotonic() < began + patience:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                passed = os.waitstatus_to_exitcode(status) == 0
                outcome = Outcome.SURVIVED if passed else Outcome.KILLED
                break
            time.sleep(0.02)
        _end_children()
        return outcome, time.monotonic() - began

    def _be_tested(self, tests: str, patience: float) -> None:
        """In a process of its own; does not return."""
        status = _BROKEN
        try:
            os.setsid()
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(os.open(self.output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
            os.dup2(1, 2)
            os.chdir(self._folder)
            sys.path[:] = [str(self._folder), *(entry for entry in sys.path if entry and Path(entry) != self._folder)]
            for name in [name for name in sys.modules if name.split(".")[0] in _ROOMS]:
                del sys.modules[name]  # they are those of the tree
            sys.dont_write_bytecode = True
            import pytest

            options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", f"--timeout={patience:.0f}"]
            status = int(pytest.main([*options, "-m", "not campaign", *shlex.split(tests)]))
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)


def _end_children() -> None:
    """Kill what the tests have left running: mutants may forget how to end."""
    for process in psutil.Process().children(recursive=True):
        try:
            process.send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            continue
    while True:
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return
