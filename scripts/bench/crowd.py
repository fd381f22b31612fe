"""Several renderers, each a process of its own, at one GPU process."""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ipc.options import HostOptions
from ipc.processes import python_command, python_environment
from scripts.bench.peer import PeerError, PeerProcess
from scripts.bench.run import samples
from scripts.bench.statistics import Samples


class Crowd:
    """Renderers that do the same at the same time."""

    def __init__(self, members: Sequence[PeerProcess]) -> None:
        self.members = members

    def chain(self, calls: int, interval_ms: float = 0.0) -> Samples:
        """Chains of all members at once; their samples together.

        Raises:
            PeerError: somebody's result is wrong.
        """
        for member in self.members:
            member.begin("chain", calls=calls, interval_ms=interval_ms)
        answers = [member.finish() for member in self.members]
        if any(answer["value"] != calls for answer in answers):
            raise PeerError(f"after {calls} additions of 1 the values are {[answer['value'] for answer in answers]}")
        return np.concatenate([samples(answer) for answer in answers])


@contextlib.contextmanager
def crowd(options: Mapping[str, Any], carrier: str, count: int) -> Iterator[Crowd]:
    """A host with `count` renderers; everything ends with the block.

    Raises:
        PeerError: the host or a renderer does not start.
    """
    with contextlib.ExitStack() as stack:
        socket = stack.enter_context(_host(options))
        members = []
        for _ in range(count):
            member = PeerProcess("scripts.bench.ours")
            stack.callback(member.close)
            members.append(member)
        for member in members:
            member.ask("open", options={"socket": str(socket), "backend": options["backend"]}, carrier=carrier)
        yield Crowd(members)


@contextlib.contextmanager
def _host(options: Mapping[str, Any]) -> Iterator[Path]:
    chosen = HostOptions(**options)
    arguments = ["--backend", chosen.backend, "--sandbox", chosen.sandbox, "--threads", str(chosen.threads)]
    arguments += ["--tensor-memory", chosen.tensor_memory]
    for name, value in chosen.quotas.items():
        arguments += ["--quota", f"{name}={value}"]
    with tempfile.TemporaryDirectory(prefix="webnn-sim.") as directory:
        socket = Path(directory, "broker")
        command = python_command("gpu_process", "--socket", str(socket), "--json", *arguments)
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=python_environment()) as host:
            assert host.stdout is not None
            try:
                ready = json.loads(host.stdout.readline() or "{}")
                if not ready.get("ready"):
                    raise PeerError(ready.get("error", "the host ended"))
                yield socket
            finally:
                host.terminate()
                host.wait()
