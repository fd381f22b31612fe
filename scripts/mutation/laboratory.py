"""Copies of the tree in which mutants live, and processes in which tests meet them. The tree itself stays as it is.

Importing and collecting the tests takes longer than running the one that notices. It is done once, in a process that
forks for each mutant and puts it into the functions that are there; the file is changed as well, for the processes that
the tests start.
"""

from __future__ import annotations

import compileall
import ctypes
import enum
import os
import pickle
import py_compile
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil
import pytest

import scripts
from scripts.mutation.mutants import Mutant
from scripts.mutation.patching import patch
from scripts.mutation.tracing import Footprints

Line = tuple[str, int]
_ROOMS = ("docs", "gpu_process", "ipc", "protos", "renderer", "scripts", "tests")
_OPTIONS = ("-x", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "-m", "not campaign")
_OUTPUT = "output.txt"
_PR_SET_CHILD_SUBREAPER = 36
_STARTUP = """\
from pathlib import Path
from scripts.mutation.tracing import Footprints
Footprints(Path({file!r}), Path({folder!r}), {modules!r}).follow()
"""


class Outcome(enum.StrEnum):
    KILLED = "killed"
    SURVIVED = "survived"
    HUNG = "hung"  # also noticed: a test did not end
    NOT_IN_PLACE = "not in place"  # it can only be imported


@dataclass(frozen=True)
class Trial:
    """Tests to run with a mutant in place, or with none.

    Attributes:
        tests: in this order; None is all, as they were collected.
        patience: seconds for all of them.
        anew: in a process that imports all that there is, and which is slower.
    """

    mutant: Mutant | None
    tests: Sequence[str] | None
    patience: float
    anew: bool = False


@dataclass(frozen=True)
class Result:
    """How a trial went.

    Attributes:
        test: that noticed.
        output: what the tests have printed.
    """

    outcome: Outcome
    seconds: float
    test: str | None
    output: str


@dataclass
class Survey:
    """What the tests do while nothing is broken.

    Attributes:
        seconds: that each takes, in the order in which they were collected.
        lines: that each runs, in all processes.
        on_import: what runs before any of them.
        failed: those that did not pass: perhaps because they were watched.
    """

    on_import: frozenset[Line]
    seconds: dict[str, float] = field(default_factory=dict)
    lines: dict[str, frozenset[Line]] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)


def work(root: Path, folder: Path, tests: Sequence[str], patience: float, requests: Connection) -> None:
    """A process that answers each `Trial` with a `Result`, until it is sent None.

    Args:
        folder: for its copy of the tree; made here.
        tests: files and folders to collect.
        patience: seconds that one test may take.
    """
    _settle_in(root, folder)
    _collect(folder, [*_OPTIONS, f"--timeout={patience:.0f}", *tests], _Bench(folder, requests))


def survey(root: Path, folder: Path, tests: Sequence[str], modules: list[str], answer: Connection) -> None:
    """Send the `Survey` of these tests over these modules."""
    _settle_in(root, folder)
    file = folder / "footprints"
    # Python imports this first of all, in every process.
    (folder / "sitecustomize.py").write_text(_STARTUP.format(file=str(file), folder=str(folder), modules=modules))
    footprints = Footprints(file, folder, modules)
    footprints.follow()
    _collect(folder, [*_OPTIONS, "--maxfail=1000000", *tests], _Surveyor(footprints, answer))


def copy_tree(root: Path, folder: Path) -> None:
    """All that tests need."""
    folder.mkdir()
    for room in (it for it in _ROOMS if (root / it).exists()):
        shutil.copytree(root / room, folder / room, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(root / "pyproject.toml", folder)


def _settle_in(root: Path, folder: Path) -> None:
    """Make a copy of the tree, where this process lives from now on."""
    copy_tree(root, folder)
    # What is compiled is compared with its source by content: a mutant may have the length of its original.
    compileall.compile_dir(folder, quiet=2, invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH)
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    sys.dont_write_bytecode = True
    os.chdir(folder)


def _collect(folder: Path, arguments: list[str], plugin: object) -> None:
    """Let pytest collect from the copy, and do there what the plugin says."""
    sys.path[:] = [str(folder), *(entry for entry in sys.path if entry and Path(entry) != folder)]
    for name in [name for name in sys.modules if name.split(".")[0] in _ROOMS]:
        if name != "scripts" and not name.startswith(__package__):
            del sys.modules[name]  # it is the tree's; what runs here is what is asked and answered with, and stays
    scripts.__path__[:] = [str(folder / "scripts")]
    with (folder / _OUTPUT).open("ab") as output:  # appended to: what was read is cut off in between
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    status = pytest.main(arguments, plugins=[plugin])
    sys.stdout.flush()
    os._exit(status)  # whoever it is by now: a fork ends here as well


class _Surveyor:
    def __init__(self, footprints: Footprints, answer: Connection) -> None:
        self._footprints = footprints
        self._answer = answer

    def pytest_collection_finish(self) -> None:
        self._survey = Survey(self._footprints.take())

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        began = time.monotonic()
        answer = yield
        self._survey.seconds[item.nodeid] = time.monotonic() - began
        self._survey.lines[item.nodeid] = self._footprints.take()
        return answer

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._survey.failed.append(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        self._answer.send_bytes(pickle.dumps(self._survey))


class _Bench:
    """Makes pytest's process, when it has collected, one that forks for each trial."""

    def __init__(self, folder: Path, requests: Connection) -> None:
        self._folder = folder
        self._requests = requests
        self._noticed: int | None = None  # in a fork: where to say which test it was

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        while (trial := self._requests.recv()) is not None:
            answer = self._anew(trial) if trial.anew else self._fork(session, trial)
            if answer is None:
                return None  # the fork; pytest goes on to run the tests
            self._requests.send(answer)
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and self._noticed is not None:
            os.write(self._noticed, report.nodeid.encode())

    def _fork(self, session: pytest.Session, trial: Trial) -> Result | None:
        reader, writer = os.pipe()
        with self._changed(trial.mutant) as (filename, before, after):
            began = time.monotonic()
            child = os.fork()
            if child == 0:
                self._noticed = writer
                os.setsid()
                if trial.mutant is not None and not patch(filename, before, after):
                    os._exit(_CANNOT)
                if trial.tests is not None:
                    items = {item.nodeid: item for item in session.items}
                    session.items[:] = [items[test] for test in trial.tests]
                return None
            os.close(writer)
            status = _wait(child, trial.patience)
            seconds = time.monotonic() - began
        with open(reader, "rb") as said:
            test = said.read().decode(errors="replace") or None
        return self._result(status, seconds, test)

    def _anew(self, trial: Trial) -> Result:
        with self._changed(trial.mutant):
            began = time.monotonic()
            command = [sys.executable, "-m", "pytest", *_OPTIONS, *(trial.tests or ())]
            environment = {**os.environ, "PYTHONPATH": str(self._folder)}
            with (self._folder / _OUTPUT).open("ab") as output:
                process = subprocess.Popen(
                    command, cwd=self._folder, env=environment, stdout=output, stderr=output, start_new_session=True
                )
            status = _wait(process.pid, trial.patience)
            process.returncode = status
            return self._result(status, time.monotonic() - began, None)

    def _result(self, status: int | None, seconds: float, test: str | None) -> Result:
        outcomes = {None: Outcome.HUNG, 0: Outcome.SURVIVED, _CANNOT: Outcome.NOT_IN_PLACE}
        printed = output_of(self._folder)
        os.truncate(self._folder / _OUTPUT, 0)
        return Result(outcomes.get(status, Outcome.KILLED), seconds, test, printed)

    @contextmanager
    def _changed(self, mutant: Mutant | None) -> Iterator[tuple[str, bytes, bytes]]:
        """The file with the mutant in it, as name, what it was, and what it is."""
        if mutant is None:
            yield "", b"", b""
            return
        path = self._folder / mutant.path
        before = path.read_bytes()
        after = mutant.apply(before)
        path.write_bytes(after)
        owner = os.getpid()
        try:
            yield str(path), before, after
        finally:
            if os.getpid() == owner:  # a fork leaves it in place
                path.write_bytes(before)


_CANNOT = 99


def _wait(child: int, patience: float) -> int | None:
    """A child's exit status, or None if it does not end. Nothing that it has started is left."""
    status = None
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        ended, raw = os.waitpid(child, os.WNOHANG)
        if ended:
            status = os.waitstatus_to_exitcode(raw)
            break
        time.sleep(0.02)
    _end_children()
    return status


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


def output_of(folder: Path) -> str:
    """What was printed last by the process that lives there."""
    return (folder / _OUTPUT).read_text(errors="replace")


def send(connection: Connection, trial: Trial) -> Result:
    """Ask a process that does `work`."""
    connection.send(trial)
    answer: Any = connection.recv()
    assert isinstance(answer, Result)
    return answer
