"""Confined processes for the tests: one launcher per runtime and user, any number of processes from it."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gpu_process.sandbox import (
    Level,
    MemoryGroup,
    SandboxSpec,
    Supervisor,
    Violation,
    attack,
    kernel_features,
    receive_listener,
)
from tests.gpu_process.sandbox.ordinary_user import NOBODY
from tests.gpu_process.sandbox.zygote import PACKET, to_json

_REPOSITORY = Path(__file__).parents[3]


class Confined:
    """The test's end of a process that the launcher forked: it gives the orders and supervises."""

    def __init__(self, gate: int, control: socket.socket, wait: Callable[[int], int]) -> None:
        self.gate = gate
        self.control = control
        self.start: dict[str, Any] = {}
        self.violations: list[Violation] = []
        self.supervision: threading.Thread | None = None
        self._wait = wait

    def order(self, do: str, **arguments: object) -> dict[str, Any]:
        """Has it do something, and returns its answer.

        Raises:
            ConnectionError: it ended instead.
        """
        self.control.send(json.dumps({"do": do, **arguments}).encode())
        return self.answer()

    def answer(self) -> dict[str, Any]:
        """The next answer."""
        data = self.control.recv(PACKET)
        if not data:
            raise ConnectionResetError("the confined process has ended")
        result: dict[str, Any] = json.loads(data)
        return result

    def attempt(self, name: str, *, in_earlier_thread: bool = False) -> attack.Outcome:
        """Makes it attack, and observes what becomes of it."""
        assert self.start["ready"], self.start
        try:
            answer = self.order("attempt-in-earlier-thread" if in_earlier_thread else "attempt", name=name)
        except ConnectionError:
            return attack.Outcome.killed(name, "the process ended")
        return attack.Outcome(answer["name"], attack.Fate(answer["fate"]), answer["error"], answer["detail"])

    def supervise(self, channel: socket.socket, spec: SandboxSpec) -> None:
        """Takes the listener over and judges every call in a thread."""
        try:
            listener, inner_pid = receive_listener(channel)
        except EOFError:
            return  # it could not be locked in; its answer says why
        supervisor = Supervisor(listener, spec, inner_pid)
        self.supervision = threading.Thread(target=supervisor.run, args=(self.violations.append,))
        self.supervision.start()

    def status(self) -> int:
        """Has no more orders for it, and waits for its end; the wait status that its launcher saw."""
        self.control.close()
        status = self._wait(self.gate)
        if self.supervision is not None:
            self.supervision.join()
        return status


class Launcher:
    """The test's end of `zygote`."""

    def __init__(self, runtime: str, user: str) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        module = "tests.gpu_process.sandbox."
        modules = [module + "ordinary_user", module + "zygote"] if user == "nobody" else [module + "zygote"]
        self.user = user
        self._channel = ours
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", *modules, str(theirs.fileno()), runtime],
            pass_fds=[theirs.fileno()],
            env=os.environ | {"PYTHONPATH": str(_REPOSITORY)},
        )
        theirs.close()

    def identity(self, spec: SandboxSpec) -> tuple[int, int]:
        return (NOBODY, NOBODY) if self.user == "nobody" else spec.identity

    def fork(
        self,
        spec: SandboxSpec,
        *,
        serve: bool = False,
        supervised: bool = True,
        memory_group: MemoryGroup | None = None,
        skip_landlock: bool = False,
    ) -> Confined:
        """A process that has confined itself, or has said why it could not."""
        os.chown(spec.run_directory, *self.identity(spec))
        control, their_control = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        channel, their_channel = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        order = {
            "do": "fork",
            "spec": to_json(spec),
            "serve": serve,
            "memory_group": str(memory_group.directory) if memory_group else None,
            "skip_landlock": skip_landlock,
        }
        descriptors = [their_control.fileno(), *([their_channel.fileno()] if supervised else [])]
        socket.send_fds(self._channel, [json.dumps(order).encode()], descriptors)
        their_control.close()
        their_channel.close()
        confined = Confined(json.loads(self._channel.recv(PACKET))["pid"], control, self._wait)
        with channel:
            if supervised:
                confined.supervise(channel, spec)
        confined.start = confined.answer()
        return confined

    def close(self) -> None:
        """Ends it and, by its lifeline, all that it started."""
        self._channel.close()
        self.process.wait()

    def _wait(self, pid: int) -> int:
        self._channel.send(json.dumps({"do": "wait", "pid": pid}).encode())
        status: int = json.loads(self._channel.recv(PACKET))["status"]
        return status


@pytest.fixture(scope="session")
def launchers() -> Iterator[Callable[[str, str], Launcher]]:
    """Launchers by runtime and user ("self" or "nobody"), started on demand."""
    started: dict[tuple[str, str], Launcher] = {}

    def launcher(runtime: str, user: str = "self") -> Launcher:
        if user == "nobody" and os.geteuid() != 0:
            pytest.skip("only root can become uid 65534; as an ordinary user the other half of this test says the same")
        if (runtime, user) not in started:
            started[runtime, user] = Launcher(runtime, user)
        return started[runtime, user]

    yield launcher
    for each in started.values():
        each.close()


@pytest.fixture(scope="session")
def launcher(launchers: Callable[..., Launcher]) -> Launcher:
    """A launcher without any runtime."""
    return launchers("none")


@pytest.fixture(scope="session")
def refusals() -> dict[str, str]:
    """What this machine does not have, by the name of the feature, with the reason that `kernel_features` gives.

    Namespaces count as missing only if a probe that shares no code with the product is refused them too: a product that
    is broken must fail its tests, not skip them.
    """
    missing = {feature.name: feature.detail for feature in kernel_features() if not feature.available}
    if "namespaces" in missing and _kernel_allows_namespaces():
        del missing["namespaces"]
    return missing


def _kernel_allows_namespaces() -> bool:
    """Whether this user may have namespaces of all kinds, and mount in them."""
    command = [
        "unshare",
        "--user",
        "--map-root-user",
        "--mount",
        "--pid",
        "--fork",
        "--net",
        "--ipc",
        "--uts",
        "--cgroup",
    ]
    probe = "mount -t proc none /proc && mount -t tmpfs none /proc"
    return (
        shutil.which("unshare") is None
        or subprocess.run([*command, "sh", "-c", probe], check=False, capture_output=True).returncode == 0
    )


@pytest.fixture
def run_directory() -> Iterator[Path]:
    """A directory with a short path (a socket's is limited) that only its owner may enter."""
    directory = Path(tempfile.mkdtemp(prefix="webnn-"))
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def spec(run_directory: Path, refusals: dict[str, str]) -> SandboxSpec:
    """The default sandbox. Skips where the kernel cannot give it, with the kernel's reason."""
    for name in ("namespaces", "landlock", "seccomp-filter", "seccomp-notification"):
        if name in refusals:
            pytest.skip(f"{name}: {refusals[name]}")
    return SandboxSpec(run_directory=run_directory)


@pytest.fixture
def compat_spec(run_directory: Path, refusals: dict[str, str]) -> SandboxSpec:
    """The sandbox without namespaces."""
    for name in ("landlock", "seccomp-filter", "seccomp-notification"):
        if name in refusals:
            pytest.skip(f"{name}: {refusals[name]}")
    return SandboxSpec(run_directory=run_directory, level=Level.COMPAT)


@pytest.fixture
def confined(launcher: Launcher, spec: SandboxSpec) -> Iterator[Callable[..., Confined]]:
    """Makes confined processes without a runtime, whose specification differs from the default as given."""
    started: list[Confined] = []

    def make(launcher: Launcher = launcher, fork: dict[str, Any] | None = None, **changes: object) -> Confined:
        process = launcher.fork(dataclasses.replace(spec, **changes), **fork or {})  # type: ignore[arg-type]
        started.append(process)
        return process

    yield make
    for process in started:
        if process.control.fileno() >= 0:
            process.status()
