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

    def status(self) -> dict[str, Any]:
        """What the host tells about itself and its GPU processes."""
        with ML(socket=self.socket) as ml:
            return ml.status()


@contextmanager
def simulator(
    arguments: Sequence[str] = (), *, stderr: IO[bytes] | None = None, trace: int = 0, record: int = 0
) -> Iterator[Simulator]:
    """A host with a broker socket in a private directory; it ends with the block.

    Args:
        arguments: of `python -m gpu_process`, beside `--socket`.
        stderr: where the host logs to, instead of our own standard error.
        trace: descriptor that all processes append their trace to; 0 for none.
        record: descriptor that GPU processes append what crosses the boundary to; 0 for none.

    Raises:
        SimulatorError: it did not become READY; the message is its own.
    """
    with tempfile.TemporaryDirectory(prefix="webnn-sim.") as directory:
        socket = Path(directory, "broker")
        traced = ("--trace-fd", str(trace)) if trace else ()
        recorded = ("--record-fd", str(record)) if record else ()
        command = python_command("gpu_process", "--socket", str(socket), "--json", *traced, *recorded, *arguments)
        environment = python_environment()
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=stderr, text=True, env=environment, pass_fds=_open(trace, record)
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


def _open(*descriptors: int) -> tuple[int, ...]:
    return tuple(filter(None, descriptors))
