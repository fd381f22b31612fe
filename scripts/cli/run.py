"""`webnn-sim run`: a script as a renderer of its own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from gpu_process.backends import DEFAULT_BACKEND
from gpu_process.sandbox import Level
from gpu_process.sandbox.system_calls import NUMBERS
from ipc.faults import FaultError, Plan
from ipc.options import HostOptions
from scripts.cli._options import Backend, Preload, Record, RendererSandbox, Sandbox, Trace
from scripts.cli._output import fail, progress, wrong_usage
from scripts.owned_host import owned_host
from scripts.recording import recording
from scripts.simulator import SimulatorError
from scripts.trace import tracing


def run(
    context: typer.Context,
    script: Annotated[
        Path,
        typer.Argument(
            metavar="SCRIPT [ARGUMENTS]...", exists=True, dir_okay=False, help="A Python script that uses `renderer`."
        ),
    ],
    backend: Backend = DEFAULT_BACKEND,
    sandbox: Sandbox = Level.STRICT,
    renderer_sandbox: RendererSandbox = Level.STRICT,
    read: Annotated[
        list[Path] | None, typer.Option(metavar="PATH", exists=True, help="A file or folder that the script may read.")
    ] = None,
    inject: Annotated[
        list[str] | None, typer.Option(metavar="SPEC", help="What is to go wrong; the grammar is in docs/faults.md.")
    ] = None,
    preload: Preload = None,
    trace: Trace = None,
    record: Record = None,
) -> None:
    """Run SCRIPT as a confined renderer: its `ML()` attaches to the host that this command starts.

    It has no network, and reads nothing but itself, its packages and what `--read` names; `/tmp` is its own. What
    follows SCRIPT are its own arguments. Exits as the script does; 128 + N where signal N has ended it.
    """
    try:
        with tracing(trace) as traced, recording(record) as recorded:
            options = HostOptions(
                backend=backend,
                sandbox=sandbox.value,
                preload=tuple(preload or ()),
                faults=_plan(inject or []),
                trace=traced,
                recording=recorded,
            )
            with owned_host(options) as host:
                arguments = ["run", str(script.resolve()), *context.args]
                finished = host.run_renderer(arguments, level=renderer_sandbox, read_paths=[script, *(read or [])])
    except (SimulatorError, OSError) as error:
        fail(str(error))
    if finished.reason:
        progress.print(f"error: the renderer was {finished.reason}", markup=False)
    sys.exit(finished.exit_code if finished.exit_code >= 0 else 128 - finished.exit_code)


def _plan(items: list[str]) -> str:
    plan = ";".join(items)
    try:
        denied = Plan.parse(plan).denied
    except FaultError as error:
        wrong_usage(str(error))
    if unknown := [call for call in denied if call not in NUMBERS]:
        wrong_usage(f"fault 'gpu.deny:{unknown[0]}': there is no such system call")
    return plan
