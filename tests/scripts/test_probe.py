"""The probe sees what the runtimes are known to do, and lives through it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ipc.processes import python_environment
from scripts.probe.findings import plain_kernels, plain_operators
from scripts.probe.isolation import outcomes
from scripts.probe.table import Row, Table, merged

ROOT = Path(__file__).resolve().parents[2]


def test_a_step_that_ends_its_process_is_an_outcome_and_the_next_one_runs() -> None:
    steps = [lambda: 1, lambda: os.kill(os.getpid(), signal.SIGSEGV), lambda: 3, os.abort]
    assert list(outcomes(steps)) == [1, "SIGSEGV", 3, "SIGABRT"]


def test_what_may_have_spoilt_its_process_is_the_last_to_run_there() -> None:
    first, second, third = outcomes([os.getpid] * 3, clean=lambda pid: False)
    assert len({first, second, third, os.getpid()}) == 4
    assert len(set(outcomes([os.getpid] * 3))) == 1


def test_an_error_of_the_probe_itself_is_no_outcome(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError, match="status 1"):
        list(outcomes([lambda: 1 / 0]))
    assert "ZeroDivisionError" in capfd.readouterr().err


def test_known_faults_are_found_and_harmless_kernels_are_not_accused() -> None:
    command = [sys.executable, "-m", "scripts.probe_backends", "onnxruntime", "--operators", "add", "gather"]
    done = subprocess.run(
        command, cwd=ROOT, env=python_environment(), capture_output=True, text=True, check=True, timeout=55
    )
    assert "gather.indices (int32" in done.stdout
    assert "unguarded {'input': 'refused', 'constant': 'refused', 'intermediate': 'refused'}" in done.stdout
    assert "gather.input" not in done.stdout
    assert "add." not in done.stdout
    assert "guarded {'input': 'wrong" not in done.stdout


def _row(operator: str, *kernels: str, racing: str = "plain", hostile: str = "right", kind: str = "int32") -> Row:
    verdicts = dict.fromkeys(("input", "constant", "intermediate"), hostile)
    return Row(operator, "x", (kind,), verdicts, verdicts, racing, "plain", None, False, kernels, True)


def _table(*rows: Row) -> Table:
    return Table("onnxruntime", "1", "cpu", merged(rows))


@pytest.mark.parametrize(
    "fault", [{"racing": "SIGFPE"}, {"racing": "error"}, {"hostile": "refused"}, {"hostile": "leak"}], ids=str
)
def test_a_kernel_is_plain_until_it_is_in_a_graph_that_faults(fault: dict[str, str]) -> None:
    guilty = _row("div", "Cast:int32", "Div:int32", **fault)
    table = _table(_row("add", "Cast:int32", "Add:int32"), guilty)
    assert plain_kernels(table) == {"Cast:int32", "Add:int32"}, "Cast is cleared by the other graph"
    assert plain_operators(table) == {"add"}


def test_rows_that_differ_in_their_types_alone_are_one() -> None:
    table = _table(_row("add", "Add:int32"), _row("add", "Add:int8", kind="int8"), _row("sub", "Sub:int32"))
    assert [row.types for row in table.rows] == [("int32", "int8"), ("int32",)]
    assert table.rows[0].kernels == ("Add:int32", "Add:int8")
    assert Table.loads(table.dumps()) == table
