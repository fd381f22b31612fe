"""`webnn-sim run`: a user's script in a sandbox, as if it ran in the user's terminal."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from ipc.processes import python_command, python_environment
from tests.scripts.commands import PATIENCE, script, webnn_sim

COMPUTES = """
import sys
import numpy as np
from renderer import ML, MLGraphBuilder

with ML() as ml, ml.create_context() as context:
    builder = MLGraphBuilder(context)
    graph = builder.build({"y": builder.neg(builder.input("x", "float32", (2,)))})
    result = context.compute(graph, {"x": np.array([1, 2], np.float32)})["y"]
print(result.tolist(), sys.argv[1:])
print("to standard error", file=sys.stderr)
sys.exit(3)
"""


def test_a_script_computes_and_streams_arguments_and_status_are_its_own() -> None:
    with script(COMPUTES) as path:
        result = webnn_sim("run", "--backend", "reference", str(path), "a", "--flag")
    assert result.stdout == "[-1.0, -2.0] ['a', '--flag']\n"
    assert "to standard error" in result.stderr
    assert result.returncode == 3


def test_a_script_reaches_no_network_and_no_file_that_was_not_given() -> None:
    source = """
import socket, sys, pathlib
for attempt in (
    lambda: socket.create_connection(("127.0.0.1", 1)),
    lambda: pathlib.Path("/etc/passwd").read_text(),
    lambda: pathlib.Path(sys.prefix, "written").write_text("x"),
):
    try:
        print("REACHED", attempt())
    except OSError as error:
        print(type(error).__name__)
print(pathlib.Path(MODEL).read_text())
pathlib.Path("/tmp/scratch").write_text("its own")
"""
    model = Path(f"/tmp/webnn-model-{os.getpid()}")
    model.write_text("weights")
    try:
        with script(source.replace("MODEL", repr(str(model)))) as path:
            result = webnn_sim("run", "--backend", "reference", "--read", str(model), str(path))
    finally:
        model.unlink()
    *refused, weights = result.stdout.split()
    assert "REACHED" not in refused
    assert weights == "weights"
    assert result.returncode == 0, result.stderr
    assert not Path("/tmp/scratch").exists()


def test_who_makes_a_forbidden_call_is_killed_and_the_user_told_which() -> None:
    with script("import ctypes; ctypes.CDLL(None).ptrace(16, 1, 0, 0)") as path:
        result = webnn_sim("run", "--backend", "reference", str(path))
    assert result.returncode == 128 + signal.SIGKILL
    assert "forbids: dangerous ptrace(0x10, 0x1" in " ".join(result.stderr.split())


@pytest.fixture
def waiting_script() -> Iterator[Path]:
    with script("import signal, time\nprint('waiting', flush=True)\nwhile True: signal.pause()") as path:
        yield path


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_ctrl_c_ends_the_script_and_nothing_is_left_however_the_command_ends(
    waiting_script: Path, number: signal.Signals
) -> None:
    with subprocess.Popen(
        python_command("scripts.cli", "run", "--backend", "reference", str(waiting_script)),
        env=python_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as command:
        assert command.stdout is not None
        assert command.stdout.readline() == "waiting\n"
        processes = psutil.Process(command.pid).children(recursive=True)
        assert len(processes) >= 4  # host, launcher or not yet, gate, init and the script
        os.killpg(command.pid, number)  # as a terminal does it
        command.communicate(timeout=PATIENCE)
    assert command.returncode == (130 if number == signal.SIGINT else -number)
    _, alive = psutil.wait_procs(processes, timeout=PATIENCE)
    assert not alive
