"""`webnn-sim run`: a script as a renderer of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gpu_process.backends import DEFAULT_BACKEND
from gpu_process.sandbox import Level
from scripts.cli._options import Backend, Preload, Sandbox, Trace, host_arguments
from scripts.cli._output import fail
from scripts.simulator import SimulatorError, simulator
from scripts.trace import tracing


def run(
    context: typer.Context,
    script: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A Python script that uses `renderer`.")],
    backend: Backend = DEFAULT_BACKEND,
    sandbox: Sandbox = Level.STRICT,
    preload: Preload = None,
    trace: Trace = None,
) -> None:
    """Run SCRIPT as a renderer process: its `ML()` attaches to the host that this command starts.

    What follows SCRIPT are its own arguments. Exits with 1 if the script fails.
    """
    try:
        with (
            tracing(trace) as descriptor,
            simulator(host_arguments(backend=backend, sandbox=sandbox, preload=preload), trace=descriptor) as running,
        ):
            running.run_renderer(["run", str(script), *context.args], capture=False)
    except (SimulatorError, OSError) as error:
        fail(str(error))
