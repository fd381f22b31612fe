"""`python -m gpu_process`: a host by hand, for renderers that come and go, and for people who make mistakes."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ipc.channel import ChannelClosed, ChannelError
from ipc.generated.webnn.v1.session_pb2 import HostRequest, OpenSession
from ipc.processes import python_command, python_environment
from tests.gpu_process.hosts import PATIENCE, TINY, Client, Remains, kill

TINY_OPTIONS = ("--backend=reference", "--sandbox=off", f"--preload={TINY}")


class HandHost:
    """A host in a terminal of its own."""

    def __init__(self, path: Path, *arguments: str) -> None:
        self.path = path
        self.process = subprocess.Popen(
            python_command("gpu_process", f"--socket={path}", *arguments),
            env=python_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def line(self) -> str:
        """The next that it says on standard output."""
        assert self.process.stdout is not None
        assert select.select([self.process.stdout], [], [], PATIENCE)[0]
        return self.process.stdout.readline().decode()

    def status(self) -> Any:
        client = Client.connect(self.path)
        status = client.status()
        client.close()
        return status

    def end(self) -> tuple[int, str, str]:
        """Its exit status, and what it still said."""
        output, errors = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, output.decode(), errors.decode()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., HandHost]]:
    hosts: list[HandHost] = []

    def start(*arguments: str) -> HandHost:
        hosts.append(HandHost(tmp_path / "s", *arguments))
        return hosts[-1]

    yield start
    for host in hosts:
        host.process.kill()
        host.process.communicate()


def test_several_renderers_are_served_and_leave_without_a_trace(serve: Callable[..., HandHost]) -> None:
    host = serve(*TINY_OPTIONS, "--json")
    ready = json.loads(host.line())
    assert ready["ready"]
    assert ready["socket"] == str(host.path)
    assert ready["host"]["pid"] == host.process.pid
    clients = [Client.connect(host.path) for _ in range(3)]
    sessions = [client.open() for client in clients]
    assert {session.gpu_process for session in sessions} == {ready["gpu_processes"][0]["pid"]}
    for client in clients:
        client.close()
    assert host.status()["sessions"] == 0
    assert host.status()["gpu_processes"][0]["sessions"] == 0


def test_the_socket_is_there_once_ready_is_said_and_not_before(serve: Callable[..., HandHost], tmp_path: Path) -> None:
    host = serve(*TINY_OPTIONS)
    assert host.line().startswith(f"READY {host.path} (host {host.process.pid}, GPU process reference in ")
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_however_it_is_stopped(
    serve: Callable[..., HandHost], tmp_path: Path, number: signal.Signals
) -> None:
    host = serve(*TINY_OPTIONS)
    host.line()
    client = Client.connect(host.path)
    client.open()
    remains = Remains(host.process.pid, client.status())
    os.killpg(host.process.pid, number)  # as Ctrl-C in its terminal
    status, _, errors = host.end()
    assert status == (-number if number == signal.SIGKILL else 0)
    assert "Traceback" not in errors
    remains.assert_gone()
    assert not list(tmp_path.iterdir())
    client.close()


def test_each_renderer_may_have_a_gpu_process_of_its_own(serve: Callable[..., HandHost]) -> None:
    host = serve(*TINY_OPTIONS, "--isolate", "--json")
    prepared = json.loads(host.line())["gpu_processes"][0]["pid"]
    first, second = Client.connect(host.path), Client.connect(host.path)
    processes = {client.open().gpu_process for client in (first, second)}
    assert len(processes) == 2
    assert prepared in processes
    exits = os.pidfd_open(first.sessions[0].gpu_process)
    first.close()
    assert select.select([exits], [], [], PATIENCE)[0], "the GPU process of a renderer that is gone is left"
    os.close(exits)
    second.sessions[0].obeys("")
    second.close()


def test_one_renderers_crashes_do_not_lock_the_others_out(serve: Callable[..., HandHost]) -> None:
    host = serve(*TINY_OPTIONS)
    host.line()
    honest = Client.connect(host.path)
    attack = "import sys; from tests.gpu_process.hosts import Client; from pathlib import Path; c = Client.connect("
    attack += "Path(sys.argv[1]))\nfor _ in range(2):\n  s = c.open(); s.obeys('run'); s.say('abort'); c.ended()\n"
    attack += "c.close(); c = Client.connect(Path(sys.argv[1])); print(c.is_refused())"
    refusal = subprocess.check_output(
        [*python_command("x")[:2], "-c", attack, str(host.path)], env=python_environment(), text=True
    )
    assert "this renderer has crashed the GPU process 2 times" in refusal
    honest.open().obeys("")
    honest.close()


@pytest.mark.parametrize(
    "nonsense",
    [b"\xff\xff", b"x" * 100_000, HostRequest(open_session=OpenSession()).SerializeToString()],
    ids=["garbage", "too long", "no greeting"],
)
def test_a_renderer_that_breaks_the_protocol_is_let_go_and_no_other(
    serve: Callable[..., HandHost], nonsense: bytes
) -> None:
    host = serve(*TINY_OPTIONS)
    host.line()
    honest = Client.connect(host.path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as attacker:
        attacker.connect(str(host.path))
        attacker.send(nonsense)
        attacker.settimeout(PATIENCE)
        while attacker.recv(1000):
            pass
    honest.open().obeys("")
    honest.close()


def test_a_renderer_that_floods_or_never_reads_is_let_go(serve: Callable[..., HandHost]) -> None:
    host = serve(*TINY_OPTIONS)
    host.line()
    honest, flooder = Client.connect(host.path), Client.connect(host.path)
    with pytest.raises((ChannelClosed, ChannelError)):
        flood(flooder)
    honest.open().obeys("")
    honest.close()
    flooder.close()


def flood(client: Client) -> None:
    """Ask and never listen, until it is no longer possible."""
    while True:
        client.channel.send(HostRequest(open_session=OpenSession(backend="x" * 1000)), timeout=PATIENCE)


def test_a_second_host_at_the_same_path_gives_way(serve: Callable[..., HandHost]) -> None:
    first = serve(*TINY_OPTIONS)
    first.line()
    status, output, errors = serve(*TINY_OPTIONS, "--json").end()
    assert status == 1
    assert json.loads(output) == {"ready": False, "error": f"another host listens on {first.path}"}
    assert "Traceback" not in errors
    first.status()


def test_the_socket_of_a_dead_host_is_replaced(serve: Callable[..., HandHost], tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as dead:
        dead.bind(str(tmp_path / "s"))
    host = serve(*TINY_OPTIONS)
    host.line()
    host.status()


@pytest.mark.parametrize(
    ("arguments", "status", "complaint"),
    [
        (("--backend=tensorrt",), 2, "invalid choice: 'tensorrt'"),
        (("--quota=graphs",), 2, "--quota graphs: not of the form NAME=NUMBER"),
        (("--quota=wishes=3",), 2, "no such quota: wishes"),
        (("--threads=-1",), 2, "option threads: -1 is negative"),
        (("--socket=/nowhere/s",), 2, "there is no directory /nowhere"),
        (("--socket=/etc/passwd",), 2, "/etc/passwd exists and is no socket"),
        ((*TINY_OPTIONS, "--preload=no_such_module"), 1, "No module named 'no_such_module'"),
    ],
)
def test_a_mistake_is_said_in_words(
    serve: Callable[..., HandHost], tmp_path: Path, arguments: tuple[str, ...], status: int, complaint: str
) -> None:
    observed, output, errors = serve(*arguments).end()
    assert (observed, output) == (status, "")
    assert complaint in errors
    assert "Traceback" not in errors
    assert not list(tmp_path.iterdir())


def test_a_killed_gpu_process_does_not_end_the_host(serve: Callable[..., HandHost]) -> None:
    host = serve(*TINY_OPTIONS, "--json")
    pid = json.loads(host.line())["gpu_processes"][0]["pid"]
    client = Client.connect(host.path)
    client.open()
    kill(pid)
    assert "killed" in client.ended().reason
    assert client.open().gpu_process != pid
    client.close()
