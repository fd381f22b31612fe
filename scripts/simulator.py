"""Host, GPU process and renderers as separate processes: what `webnn-sim` commands run their work on."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from ipc.processes import python_command, python_environment
from renderer import ML


class SimulatorError(Exception):
    """A process could not be started, or failed; the message has its own words."""


@dataclass(frozen=True, slots=True)
class Simulator:
    """A running host.

    Attributes:
        socket: of its broker.
        host_pid: of the host process.
        trace: descriptor that renderers append their trace to; 0 for none.
    """

    socket: Path
    host_pid: int
    trace: int = 0

    def run_renderer(self, arguments: Sequence[str], *, capture: bool) -> str:
        """Run `python -m renderer` to its end and return its standard output (empty unless captured).

        Raises:
            SimulatorError: it failed.
        """
        traced = ("--trace-fd", str(self.trace)) if self.trace else ()
        command = python_command("renderer", "--socket", str(self.socket), *traced, *arguments)
        output = subprocess.PIPE if capture else None
        result = subprocess.run(
            command, stdout=output, text=True, env=python_environment(), pass_fds=_open(self.trace), check=False
        )
        if result.returncode != 0:
            raise SimulatorError(f"the renderer ended with status {result.returncode}")
        return result.stdout or ""

    def status(self) -> dict[str, Any]:
        """What the host tells about itself and its GPU processes."""
        with ML(socket=self.socket) as ml:
            return ml.status()


@contextmanager
def simulator(arguments: Sequence[str] = (), *, stderr: IO[bytes] | None = None, trace: int = 0) -> Iterator[Simulator]:
    """A host with a broker socket in a private directory; it ends with the block.

    Args:
        arguments: of `python -m gpu_process`, beside `--socket`.
        stderr: where the host logs to, instead of our own standard error.
        trace: descriptor that all processes append their trace to; 0 for none.

    Raises:
        SimulatorError: it did not become READY; the message is its own.
    """
    with tempfile.TemporaryDirectory(prefix="webnn-sim.") as directory:
        socket = Path(directory, "broker")
        traced = ("--trace-fd", str(trace)) if trace else ()
        command = python_command("gpu_process", "--socket", str(socket), "--json", *traced, *arguments)
        environment = python_environment()
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=stderr, text=True, env=environment, pass_fds=_open(trace)
        ) as host:
            assert host.stdout is not None
            try:
                ready = json.loads(host.stdout.readline() or "{}")
                if not ready.get("ready"):
                    raise SimulatorError(ready.get("error", f"the host ended with status {host.wait()}"))
                yield Simulator(socket, ready["host"]["pid"], trace)
            finally:
                host.terminate()
                host.wait()


def _open(descriptor: int) -> tuple[int, ...]:
    return (descriptor,) if descriptor else ()
