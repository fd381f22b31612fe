"""Those who are measured, ourselves among them: each is asked to do something, and tells how long it took."""

from __future__ import annotations

import contextlib
import functools
import json
import re
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from ipc.processes import python_command, python_environment
from scripts.bench.chromium import Chromium


class PeerError(Exception):
    """A peer does not run, or could not do what it was asked; the message says why."""


class Peer(Protocol):
    """Someone who can be measured."""

    def ask(self, call: str, **arguments: Any) -> Any:
        """Have it do something; what it answers.

        Raises:
            PeerError: it could not.
        """

    def processes(self) -> Mapping[int, str]:
        """Its processes: role by id."""

    def close(self) -> None: ...


class PeerProcess:
    """A peer that is a Python program of its own."""

    def __init__(self, module: str, *, descriptors: tuple[int, ...] = ()) -> None:
        """Start it; `descriptors` stay open in it."""
        self._name = module.rpartition(".")[2]
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  closed with the process
        self._process = subprocess.Popen(
            python_command(module),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env=_environment(),
            pass_fds=descriptors,
        )

    def ask(self, call: str, **arguments: Any) -> Any:
        self.begin(call, **arguments)
        return self.finish()

    def begin(self, call: str, **arguments: Any) -> None:
        """Ask, and go on at once; `finish` has the answer."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # `finish` tells
            self._process.stdin.write(json.dumps({"call": call, "arguments": arguments}) + "\n")
            self._process.stdin.flush()

    def finish(self) -> Any:
        """The answer to what was asked last.

        Raises:
            PeerError: there is none, or it is an error.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise PeerError(f"{self._name} ended with status {self._process.wait()}{self._said()}")
        answer = json.loads(line)
        if "error" in answer:
            raise PeerError(f"{self._name}: {answer['error']}")
        return answer["result"]

    def processes(self) -> Mapping[int, str]:
        return {self._process.pid: self._name}

    def close(self) -> None:
        self._process.communicate()  # closes its standard input, at which it ends
        self._log.close()

    def _said(self) -> str:
        self._log.seek(0)
        lines = self._log.read()[-4000:].decode(errors="replace").strip().splitlines()
        return f": {lines[-1]}" if lines else ""


def _environment() -> Mapping[str, str]:
    """Modules are compiled once, as in every installation, and not at each start, whatever this process was told."""
    environment = dict(python_environment())
    if environment.pop("PYTHONDONTWRITEBYTECODE", ""):
        environment["PYTHONPYCACHEPREFIX"] = _bytecode().name
    return environment


@functools.cache
def _bytecode() -> tempfile.TemporaryDirectory[str]:
    """Where compiled modules are while this process lives, if they may not be beside their sources."""
    return tempfile.TemporaryDirectory(prefix="webnn-bytecode-")


class Ours(PeerProcess):
    """Our product with chosen options.

    Attributes:
        opened: what it told when it was started: `ms`, `carrier`, `backend`.
    """

    def __init__(self, options: Mapping[str, Any], carrier: str | None) -> None:
        """Start it.

        Raises:
            PeerError: it does not start, or has no such carrier.
        """
        trace = options.get("trace", 0)
        super().__init__("scripts.bench.ours", descriptors=(trace,) if trace else ())
        try:
            self.opened: dict[str, Any] = self.ask("open", options=dict(options), carrier=carrier)
        except PeerError:
            self.close()
            raise

    def processes(self) -> Mapping[int, str]:
        return {pid: role for role, pid in self.ask("processes").items()}


class ChromiumPeer:
    """The same calls in a browser's page."""

    def __init__(self, executable: Path) -> None:
        self.browser = Chromium(executable)

    def ask(self, call: str, **arguments: Any) -> Any:
        name = re.sub(r"_([a-z])", lambda match: match[1].upper(), call)
        return self.browser.call(name, *arguments.values())

    def processes(self) -> Mapping[int, str]:
        return self.browser.processes()

    def close(self) -> None:
        self.browser.close()
