"""What the command says to who uses it wrongly, or asks how to use it."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from scripts.cli import main
from scripts.cli._examples import EXAMPLES
from scripts.owned_host import Finished, OwnedHost
from tests.scripts.commands import PATIENCE, script, webnn_sim

Run = Callable[[Sequence[str]], tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command in this process: its exit code, what it printed, and what it complained about, on one line each."""

    def run(arguments: Sequence[str]) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["webnn-sim", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        complaint = " ".join(captured.err.replace("│", " ").split())
        return int(ended.value.code or 0), captured.out, complaint

    monkeypatch.setenv("COLUMNS", "500")
    return run


NOT_JSON = str(Path(__file__))

WRONG = {
    "frob": "No such command 'frob'",
    "demo extra": "unexpected extra argument",
    "demo --backend cuda": "'--backend': 'cuda' is none of reference, onnxruntime, openvino",
    "demo --carrier pigeon": "'--carrier'",
    "demo --samples 0": "'--samples'",
    "demo --trace /no/such/x.json": "'--trace': there is no directory /no/such",
    "demo --record /": "'--record': / is a directory",
    "run": "Missing argument 'SCRIPT",
    "run /no/such.py": "'/no/such.py' does not exist",
    f"run --inject nonsense {NOT_JSON}": "fault 'nonsense'",
    f"run --inject gpu.deny:frobnicate {NOT_JSON}": "'gpu.deny:frobnicate': there is no such system call",
    f"run --read /no/such {NOT_JSON}": "'/no/such' does not exist",
    "serve": "Missing option '--socket'",
    "doctor --backend cuda": "'--backend'",
    "doctor --attack --sandbox off": "--attack needs a sandbox",
    "ops frob": "no operator is called 'frob'",
    f"replay {NOT_JSON}": "is no recording",
    f"replay --backend cuda {NOT_JSON}": "'--backend'",
    "bench ipc --json /no/such/x": "'--json': there is no directory /no/such",
    "bench ipc --html /": "'--html': / is a directory",
    "bench ipc --tensor-memory shared": "--tensor-memory",
    "bench peers --part frob": "--part frob: none of",
    "bench peers --chromium /no/such": "'--chromium'",
    f"bench compare {NOT_JSON} {NOT_JSON}": "test_usage.py",
    "fuzz graph --json /no/such/x": "'--json': there is no directory /no/such",
    "fuzz repro /no/such.json": "'/no/such.json' does not exist",
    f"fuzz repro {NOT_JSON}": "not a case",
    "fuzz coverage /no/such": "'/no/such' does not exist",
}


@pytest.mark.parametrize("arguments", WRONG)
def test_wrong_usage_exits_with_2_and_names_the_mistake_before_anything_runs(run: Run, arguments: str) -> None:
    code, printed, complaint = run(arguments.split())
    assert code == 2
    assert printed == ""
    assert WRONG[arguments] in complaint


@pytest.mark.parametrize("command", EXAMPLES)
def test_help_ends_with_lines_to_copy(run: Run, command: str) -> None:
    code, printed, _ = run([*command.removeprefix("webnn-sim").split(), "--help"])
    assert code == 0
    for line in EXAMPLES[command].splitlines()[1:-1]:
        assert line in printed


def test_version_is_the_installed_one(run: Run) -> None:
    code, printed, _ = run(["--version"])
    assert code == 0
    assert printed.startswith("webnn-sim ")


@pytest.mark.parametrize(
    ("source", "told"),
    [("def f():\n    raise ValueError('mine')\nf()\n", "ValueError: mine"), ("x = (\n", "SyntaxError")],
)
def test_a_scripts_own_mistake_is_told_as_python_tells_it(source: str, told: str) -> None:
    with script(source) as path:
        confined = webnn_sim("run", "--backend", "reference", str(path))
        alone = subprocess.run([sys.executable, path], capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert told in confined.stderr
    assert confined.stderr == alone.stderr
    assert confined.returncode == alone.returncode == 1


@pytest.mark.parametrize("ended", [130, -signal.SIGINT])
def test_a_demo_whose_renderer_was_interrupted_ends_like_it_without_a_word(
    run: Run, monkeypatch: pytest.MonkeyPatch, ended: int
) -> None:
    finished = Finished(pid=1, sandbox={}, exit_code=ended, reason="", output="")
    monkeypatch.setattr(OwnedHost, "run_renderer", lambda *_, **__: finished)
    assert run(["demo", "--backend", "reference"]) == (130, "", "")
