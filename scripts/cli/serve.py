"""`webnn-sim serve`: a GPU process for several renderers, until it is interrupted."""

from __future__ import annotations

import os
import sys

from scripts.cli._options import (
    DEFAULT_BACKEND_NAME,
    Backend,
    Preload,
    Sandbox,
    SandboxLevel,
    Socket,
    host_arguments,
)
from scripts.cli._output import JsonFlag


def serve(
    socket: Socket,
    backend: Backend = DEFAULT_BACKEND_NAME,
    sandbox: Sandbox = SandboxLevel.strict,
    preload: Preload = None,
    json: JsonFlag = False,
) -> None:
    """Serve renderers at a socket: `python -m renderer --socket PATH demo`, or `ML(socket=PATH)` in a script.

    The socket appears once everything is READY. Other backends are started when a renderer asks for them.
    """
    arguments = host_arguments(backend=backend, sandbox=sandbox, preload=preload, extra=["--json"] if json else [])
    os.execv(sys.executable, [sys.executable, "-P", "-m", "gpu_process", "--socket", str(socket), *arguments])
