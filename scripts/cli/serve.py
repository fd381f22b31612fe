"""`webnn-sim serve`: a GPU process for several renderers, until it is interrupted."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from gpu_process.backends import DEFAULT_BACKEND
from gpu_process.sandbox import Level
from ipc.processes import python_command, python_environment
from scripts.cli._options import (
    Backend,
    Preload,
    Record,
    Sandbox,
    Socket,
    host_arguments,
)
from scripts.cli._output import JsonFlag, fail
from scripts.recording import recording


def serve(
    socket: Socket,
    backend: Backend = DEFAULT_BACKEND,
    sandbox: Sandbox = Level.STRICT,
    isolate: Annotated[bool, typer.Option("--isolate", help="A GPU process of its own for every renderer.")] = False,
    preload: Preload = None,
    record: Record = None,
    json: JsonFlag = False,
) -> None:
    """Serve renderers at a socket: `python -m renderer --socket PATH demo`, or `ML(socket=PATH)` in a script.

    The socket appears once everything is READY. Other backends are started when a renderer asks for them.
    """
    flags = ["--json"] * json + ["--isolate"] * isolate
    arguments = host_arguments(backend=backend, sandbox=sandbox, preload=preload, extra=flags)
    try:
        with recording(record) as recorder:
            if recorder:
                os.set_inheritable(recorder, True)
                arguments += ["--record-fd", str(recorder)]
            command = python_command("gpu_process", "--socket", str(socket), *arguments)
            os.execve(sys.executable, command, python_environment())
    except OSError as error:
        fail(str(error))
