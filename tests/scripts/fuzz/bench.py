"""The bench of planted bugs: which mode finds which, and how long it takes.

`python -m tests.scripts.fuzz.bench` prints all as a table; with the name of a bug, what was found of it as JSON.
"""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ipc.processes import python_command, python_environment

SECONDS: Final = 60.0
SEED: Final = 1

_HERE: Final = ("validate", "simulate")
"""Modes without processes of their own."""


@dataclass(frozen=True, slots=True)
class Planted:
    """A bug and who finds it.

    Attributes:
        name: of its module; what comes before the first underscore is the class of the check that is missing.
        in_renderer: whether it is planted on the renderer's side, which is this process.
    """

    name: str
    mode: str
    backend: str = "reference"
    profile: Mapping[str, Any] = field(default_factory=dict)
    in_renderer: bool = False

    @property
    def module(self) -> str:
        return f"tests.scripts.fuzz.planted.{self.name}"


_DIVISIONS: Final = {"operators": ("div",), "hostile": 1.0}
_INDICES: Final = {"operators": ("gather", "gather_elements"), "hostile": 1.0}

BUGS: Final = (
    Planted("validator_concat", "validate"),
    Planted("validator_conv2d", "validate"),
    Planted("validator_reduction", "validate"),
    Planted("validator_limits", "validate"),
    Planted("codec_labels", "validate"),
    Planted("codec_signs", "validate"),
    Planted("codec_lists", "validate"),
    Planted("codec_shapes", "validate"),
    Planted("codec_strictness", "wire"),
    Planted("codec_tokens", "wire"),
    Planted("ring_slots", "ring"),
    Planted("ring_wake_up", "simulate"),
    Planted("ring_early_result", "simulate"),
    Planted("ring_spare_in_use", "simulate"),
    Planted("ring_sleeping_driver", "simulate"),
    Planted("quota_tensors", "simulate"),
    Planted("quota_tensor_count", "simulate"),
    Planted("quota_builds", "simulate"),
    Planted("quota_contexts", "simulate"),
    Planted("life_end_in_a_turn", "simulate"),
    Planted("life_late_graph", "simulate"),
    Planted("life_old_bytes", "simulate"),
    Planted("life_poison", "simulate"),
    Planted("life_early_write", "simulate"),
    Planted("life_unfetched_output", "simulate"),
    Planted("life_unheard_region", "simulate"),
    Planted("life_stale_copy", "simulate"),
    Planted("life_destroyed_tensor", "api", in_renderer=True),
    Planted("kernel_reverse", "graph"),
    Planted("kernel_transpose", "graph"),
    Planted("kernel_gather", "graph"),
    Planted("kernel_less", "graph"),
    Planted("guard_division", "graph", "onnxruntime", _DIVISIONS),
    Planted("guard_indices", "graph", "onnxruntime", _INDICES),
)


def search(bug: Planted, *, control: int = 0) -> dict[str, Any]:
    """Fuzz with a bug, in a process of its own; what was found first, after how many cases and seconds.

    Args:
        control: run so many cases without the bug instead.
    """
    command = python_command("tests.scripts.fuzz.bench", bug.name, f"--control={control}")
    result = subprocess.run(
        command, capture_output=True, text=True, env=python_environment(), check=False, timeout=3 * SECONDS
    )
    assert result.returncode == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def main() -> None:
    """Tell what is found of one bug as JSON, or of all as the table of docs/fuzzing.md."""
    parser = argparse.ArgumentParser(prog="python -m tests.scripts.fuzz.bench", description=main.__doc__)
    parser.add_argument("name", nargs="?", choices=[bug.name for bug in BUGS], metavar="NAME")
    parser.add_argument("--control", type=int, default=0, help="run so many cases without the bug")
    arguments = parser.parse_args()
    if arguments.name is None:
        _tell_all()
    else:
        bug = next(bug for bug in BUGS if bug.name == arguments.name)
        print(json.dumps(_searched(bug, arguments.control)))


def _tell_all() -> None:
    print("| bug | mode | executions | seconds | found as |\n| --- | --- | --- | --- | --- |")
    for bug in BUGS:
        told = search(bug)
        found = told["found"].replace("|", "\\|")
        cells = (bug.name, bug.mode, f"{told['executions']:,}", told["seconds"], f"`{found}`" if found else "not found")
        print("|", " | ".join(map(str, cells)), "|", flush=True)


def _searched(bug: Planted, control: int) -> dict[str, Any]:
    is_here = bug.mode in _HERE or bug.in_renderer
    if is_here and not control:
        importlib.import_module(bug.module)
    from scripts.fuzz.engine import RunOptions, run
    from scripts.fuzz.mode import ModeOptions

    preload = () if is_here or control else (bug.module,)
    options = ModeOptions(backend=bug.backend, profile=bug.profile, preload=preload)
    seconds = 0.0 if control else SECONDS
    began = time.monotonic()
    result = run(
        RunOptions(
            mode=bug.mode,
            seconds=seconds,
            executions=control,
            seed=SEED,
            reduce=False,
            stop_at_first=True,
            options=options,
        )
    )
    problems = [stored.problem for stored, _ in result.findings if stored.problem is not None]
    return {
        "found": problems[0].signature if problems else "",
        "executions": result.statistics.executions,
        "seconds": round(time.monotonic() - began, 1),
    }


if __name__ == "__main__":
    main()
