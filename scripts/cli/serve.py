"""`webnn-sim serve`: a GPU process for several renderers, until it is interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
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
    Trace,
    host_arguments,
)
from scripts.cli._output import JsonFlag, fail
from scripts.recording import recording
from scripts.trace import tracing


def serve(
    socket: Socket,
    backend: Backend = DEFAULT_BACKEND,
    sandbox: Sandbox = Level.STRICT,
    isolate: Annotated[bool, typer.Option("--isolate", help="A GPU process of its own for every renderer.")] = False,
    preload: Preload = None,
    trace: Trace = None,
    record: Record = None,
    json: JsonFlag = False,
) -> None:
    """Serve renderers at a socket: `python -m renderer --socket PATH demo`, or `ML(socket=PATH)` in a script.

    The socket appears once everything is READY. Other backends are started when a renderer asks for them.
    """
    flags = ["--json"] * json + ["--isolate"] * isolate
    arguments = host_arguments(backend=backend, sandbox=sandbox, preload=preload, extra=flags)
    try:
        with tracing(trace) as traced, recording(record) as recorder:
            for option, descriptor in (("--trace-fd", traced), ("--record-fd", recorder)):
                if descriptor:
                    os.set_inheritable(descriptor, True)
                    arguments += [option, str(descriptor)]
            command = python_command("gpu_process", "--socket", str(socket), *arguments)
            if not traced:
                os.execve(sys.executable, command, python_environment())
            status = _run(command, python_environment())
    except OSError as error:
        fail(str(error))
    sys.exit(status)


def _run(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run it below this process, which has work to do afterwards; its exit status."""
    process = subprocess.Popen(command, env=environment, close_fds=False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to both
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    return process.wait()
