"""Host, GPU process and renderers as separate processes: what `webnn-sim` commands run their work on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


class SimulatorError(Exception):
    """A process could not be started, or failed; the message has its own words."""


@dataclass(frozen=True, slots=True)
class Simulator:
    """A running host.

    Attributes:
        socket: of its broker.
        host_pid: of the host process.
    """

    socket: Path
    host_pid: int

    def run_renderer(self, arguments: Sequence[str], *, capture: bool) -> str:
        """Run `python -m renderer` to its end and return its standard output (empty unless captured).

        Raises:
            SimulatorError: it failed.
        """
        command = [sys.executable, "-P", "-m", "renderer", "--socket", str(self.socket), *arguments]
        result = subprocess.run(command, stdout=subprocess.PIPE if capture else None, text=True, check=False)
        if result.returncode != 0:
            raise SimulatorError(f"the renderer ended with status {result.returncode}")
        return result.stdout or ""


@contextmanager
def simulator(arguments: Sequence[str] = ()) -> Iterator[Simulator]:
    """A host with a broker socket in a private directory; it ends with the block.

    Args:
        arguments: of `python -m gpu_process`, beside `--socket`.

    Raises:
        SimulatorError: it did not become READY; the message is its own.
    """
    with tempfile.TemporaryDirectory(prefix="webnn-sim.") as directory:
        socket = Path(directory, "broker")
        command = [sys.executable, "-P", "-m", "gpu_process", "--socket", str(socket), "--json", *arguments]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ)) as host:
            assert host.stdout is not None
            try:
                ready = host.stdout.readline()
                if not ready:
                    raise SimulatorError(f"the host ended with status {host.wait()} before it was ready")
                yield Simulator(socket, json.loads(ready)["host"]["pid"])
            finally:
                host.terminate()
                host.wait()
