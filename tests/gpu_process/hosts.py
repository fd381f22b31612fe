"""Real hosts for the tests, and the least that a renderer needs to talk to them."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from ipc.channel import PROTOCOL_VERSION, MessageSocket, pair
from ipc.generated.webnn.v1.session_pb2 import (
    Hello,
    HostReply,
    HostRequest,
    OpenSession,
    SessionEnded,
    SessionMessage,
    StatusRequest,
)
from ipc.options import HostOptions
from ipc.processes import python_command, python_environment

PATIENCE = 30.0
TINY = "tests.gpu_process.tiny_service"


def tiny_options(**options: Any) -> HostOptions:
    """A host whose GPU processes obey single words; outside the sandbox unless asked for otherwise."""
    preload = (TINY, *options.pop("preload", ()))
    return HostOptions(**{"backend": "reference", "sandbox": "off", **options}, preload=preload)


class TinySession:
    """A session with `tests.gpu_process.tiny_service`."""

    def __init__(self, number: int, pid: int, descriptor: int) -> None:
        self.number = number
        self.gpu_process = pid
        self._channel = MessageSocket(socket.socket(fileno=descriptor), SessionMessage, SessionMessage)
        self.granted = self._channel.receive(PATIENCE)[0].granted

    def say(self, word: str) -> None:
        """Has the GPU process do what `word` says."""
        self._channel.send(SessionMessage(hello=Hello(role=word)))

    def obeys(self, word: str) -> None:
        """The same, and waits until it is done."""
        self.say(word)
        self._channel.receive(PATIENCE)

    def close(self) -> None:
        self._channel.close()


class Client:
    """A renderer's end of a control socket."""

    def __init__(self, sock: socket.socket, version: int = PROTOCOL_VERSION) -> None:
        self.channel = MessageSocket(sock, HostReply, HostRequest)
        self.sessions: list[TinySession] = []
        self.channel.send(HostRequest(hello=Hello(protocol_version=version, role="test")))
        assert self.receive().hello.protocol_version == PROTOCOL_VERSION

    @classmethod
    def connect(cls, path: Path) -> Client:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sock.connect(str(path))
        return cls(sock)

    def receive(self) -> HostReply:
        return self.channel.receive(PATIENCE)[0]

    def open(self, backend: str = "") -> TinySession:
        self.channel.send(HostRequest(open_session=OpenSession(backend=backend)))
        while True:
            reply, fds = self.channel.receive(PATIENCE)
            if not reply.HasField("session_ended"):
                break
        assert reply.HasField("session_opened"), reply
        session = TinySession(reply.session_opened.session, reply.session_opened.gpu_process_pid, fds[0])
        self.sessions.append(session)
        return session

    def is_refused(self, backend: str = "") -> str:
        """Asks for a session that it must not get; the reason."""
        self.channel.send(HostRequest(open_session=OpenSession(backend=backend)))
        reply = self.receive()
        assert reply.HasField("session_refused"), reply
        return reply.session_refused.reason

    def ended(self) -> SessionEnded:
        """The next session that the host says has ended."""
        reply = self.receive()
        assert reply.HasField("session_ended"), reply
        return reply.session_ended

    def ask(self, request: HostRequest, fds: Sequence[int] = ()) -> HostReply:
        """The answer to a request; what is pushed meanwhile is lost."""
        self.channel.send(request, fds)
        return self.receive()

    def status(self) -> Any:
        self.channel.send(HostRequest(status=StatusRequest()))
        return json.loads(self.receive().status.json)

    def close(self) -> None:
        for session in self.sessions:
            session.close()
        self.channel.close()


class OwnedHost(Client):
    """A host that is a child of the test, which is its owner and renderer in one."""

    def __init__(
        self, options: HostOptions, *, prepare: str = "", version: int = PROTOCOL_VERSION, **environment: str
    ) -> None:
        ours, theirs = pair()
        with theirs:
            arguments = [f"--control-fd={theirs.fileno()}", f"--options={options.to_json()}"]
            if prepare:
                arguments.append(f"--prepare={prepare}")
            command = python_command("gpu_process.host_process", *arguments)
            self.process = subprocess.Popen(
                command,
                env={**python_environment(), **environment},
                pass_fds=[theirs.fileno()],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        super().__init__(ours, version)

    def stop(self) -> tuple[str, str]:
        """Lets go of the host; what it wrote on standard output and standard error."""
        self.close()
        output, errors = self.process.communicate(timeout=PATIENCE)
        return output.decode(), errors.decode()


class Remains:
    """What there was of a host at one moment, and must be gone later."""

    def __init__(self, host: int, status: Any) -> None:
        processes = [psutil.Process(host), *psutil.Process(host).children(recursive=True)]
        self.launchers = [it["pid"] for it in status["launchers"]]
        self.gpu_processes = [it["pid"] for it in status["gpu_processes"]]
        assert {*self.launchers, *self.gpu_processes} <= {process.pid for process in processes}
        self._processes = {process.pid: os.pidfd_open(process.pid) for process in processes}
        self._directory = Path(status["host"]["run_directory"])
        assert list(self._directory.rglob("*")), "nothing was there that could be left behind"

    def assert_gone(self) -> None:
        """Waits for every process to end; then no file may be left."""
        deadline = time.monotonic() + PATIENCE
        for pid, descriptor in self._processes.items():
            assert ends(descriptor, deadline), f"process {pid} is left"
            os.close(descriptor)
        assert not self._directory.exists(), sorted(self._directory.rglob("*"))
        assert not list(Path("/sys/fs/cgroup").glob(f"**/{self._directory.name}-*")), "a control group is left"

    def gone(self, pid: int) -> bool:
        """Waits until process `pid` has ended."""
        return ends(self._processes[pid], time.monotonic() + PATIENCE)


def ends(descriptor: int, deadline: float) -> bool:
    """Waits for the process behind a pidfd."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(max(0, deadline - time.monotonic()) * 1000))


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
