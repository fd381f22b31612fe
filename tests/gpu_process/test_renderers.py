"""Renderers that the host starts: confined, supervised, and gone with it."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from gpu_process.sandbox import Level, kernel_features
from ipc.generated.webnn.v1.session_pb2 import AttackSandbox, HostReply, HostRequest, LaunchRenderer, SignalRenderer
from tests.gpu_process.hosts import PATIENCE, OwnedHost, Remains, kill, tiny_options

StartHost = Callable[..., OwnedHost]
Launch = Callable[..., "Launched"]

HELLO = "import os; print(os.getpid(), os.getuid(), flush=True)"
WAIT = "import signal; print('waiting', flush=True); signal.pause()"

needs_strict = pytest.mark.skipif(
    not all(it.available for it in kernel_features() if it.name in ("namespaces", "landlock", "seccomp-filter")),
    reason="this kernel or user cannot have the strict sandbox",
)


class Launched:
    """A renderer that a host has started, with its standard output."""

    def __init__(self, host: OwnedHost, script: Path, source: str, level: str, **details: Any) -> None:
        script.write_text(source)
        reader, writer = os.pipe()
        with open(os.devnull) as null:
            request = LaunchRenderer(
                sandbox=level,
                arguments=["run", str(script)],
                read_paths=[str(script), *details.pop("read_paths", ())],
                directory="/",
                **details,
            )
            self.reply = host.ask(HostRequest(launch_renderer=request), [null.fileno(), writer, 2])
        os.close(writer)
        self.output = os.fdopen(reader)
        self.host = host

    @property
    def pid(self) -> int:
        assert self.reply.HasField("renderer_launched"), self.reply
        return self.reply.renderer_launched.pid

    @property
    def refusal(self) -> str:
        assert self.reply.HasField("launch_refused"), self.reply
        return self.reply.launch_refused.reason

    def ended(self) -> HostReply:
        reply = self.host.receive()
        assert reply.HasField("renderer_ended"), reply
        return reply

    def exit_code(self) -> int:
        return os.waitstatus_to_exitcode(self.ended().renderer_ended.wait_status)


@pytest.fixture
def script() -> Iterator[Path]:
    """A file that every user may read, as pytest's own are not."""
    path = Path(f"/tmp/webnn-script-{os.getpid()}.py")
    path.touch(0o644)
    yield path
    path.unlink()


@pytest.fixture
def launch(start_host: StartHost, script: Path) -> Iterator[Launch]:
    launched: list[Launched] = []

    def start(source: str, level: str = "strict", host: OwnedHost | None = None, **details: Any) -> Launched:
        launched.append(Launched(host or start_host(tiny_options()), script, source, level, **details))
        return launched[-1]

    yield start
    for it in launched:
        it.output.close()


@needs_strict
def test_it_runs_as_nobody_in_namespaces_of_its_own_and_its_end_is_told(launch: Launch) -> None:
    renderer = launch(f"{HELLO}; raise SystemExit(7)")
    inside, user = map(int, renderer.output.readline().split())
    assert inside != renderer.pid
    assert user == (65534 if os.geteuid() == 0 else os.geteuid())
    assert renderer.exit_code() == 7


@needs_strict
def test_every_layer_of_strict_is_reported_as_the_kernel_tells_it(launch: Launch) -> None:
    renderer = launch("pass")
    layers = json.loads(renderer.reply.renderer_launched.status_json)["layers"]
    assert [name for name in Level.STRICT.required if not layers[name]["held"]] == []


@pytest.mark.parametrize("level", ["compat", "off"])
def test_less_than_strict_is_had_by_name(launch: Launch, level: str) -> None:
    renderer = launch(HELLO, level)
    assert int(renderer.output.readline().split()[0]) == renderer.pid
    assert renderer.exit_code() == 0


@pytest.mark.parametrize("level", [pytest.param("strict", marks=needs_strict), "compat", "off"])
def test_an_interrupt_reaches_the_script(launch: Launch, level: str) -> None:
    renderer = launch(WAIT, level)
    renderer.output.readline()
    number = renderer.reply.renderer_launched.renderer
    renderer.host.channel.send(HostRequest(signal_renderer=SignalRenderer(renderer=number, signal=signal.SIGINT)))
    assert renderer.exit_code() == 130


@pytest.mark.parametrize("level", [pytest.param("strict", marks=needs_strict), "compat"])
def test_a_forbidden_call_ends_it_and_is_told_with_its_arguments(launch: Launch, level: str) -> None:
    renderer = launch("import ctypes; ctypes.CDLL(None).ptrace(16, 1, 0, 0)", level)
    ended = renderer.ended().renderer_ended
    assert os.waitstatus_to_exitcode(ended.wait_status) == -signal.SIGKILL
    assert "dangerous ptrace(0x10, 0x1" in ended.reason


@pytest.mark.parametrize("level", [pytest.param("strict", marks=needs_strict), "compat", "off"])
def test_it_ends_with_its_host_however_that_ends(launch: Launch, level: str) -> None:
    renderer = launch(WAIT, level)
    renderer.host.open()
    renderer.output.readline()
    remains = Remains(renderer.host.process.pid, renderer.host.status())
    assert renderer.pid in {process.pid for process in psutil.process_iter()}
    kill(renderer.host.process.pid)
    remains.assert_gone()


def test_it_is_gone_after_its_owner_let_go_of_the_host(launch: Launch) -> None:
    renderer = launch(WAIT, "compat")
    renderer.host.open()
    renderer.output.readline()
    remains = Remains(renderer.host.process.pid, renderer.host.status())
    renderer.host.stop()
    remains.assert_gone()


@needs_strict
def test_who_sends_a_bad_message_is_killed(launch: Launch, start_host: StartHost) -> None:
    source = (
        "import sys, socket\n"
        "from ipc.channel import *\n"
        "from ipc.generated.webnn.v1.session_pb2 import *\n"
        "path = next(it for it in sys.orig_argv if 'run-directory' in it).partition('=')[2] + '/host'\n"
        "sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
        "sock.connect(path)\n"
        "host = MessageSocket(sock, HostReply, HostRequest)\n"
        "host.send(HostRequest(hello=Hello(protocol_version=1)))\n"
        "host.send(HostRequest(open_session=OpenSession()))\n"
        "host.receive()\n"
        "_, fds = host.receive()\n"
        "session = MessageSocket(socket.socket(fileno=fds[0]), SessionMessage, SessionMessage)\n"
        "session.receive()\n"
        "session.send(SessionMessage(hello=Hello(role='bad message')))\n"
        "host.receive(); host.receive()\n"
    )
    renderer = launch(source)
    ended = renderer.ended().renderer_ended
    assert ended.reason == "killed for a bad message: UNKNOWN_TOKEN at dispatch.graph"
    assert os.waitstatus_to_exitcode(ended.wait_status) == -signal.SIGKILL


@pytest.mark.parametrize(
    ("details", "level", "complaint"),
    [
        ({}, "lax", "'lax' is not a valid Level"),
        ({"read_paths": ["relative"]}, "compat", "relative is not an absolute path"),
        pytest.param({"read_paths": ["/no/such"]}, "strict", "/no/such does not exist", marks=needs_strict),
    ],
)
def test_what_cannot_be_had_is_refused_with_the_reason(
    launch: Launch, details: dict[str, Any], level: str, complaint: str
) -> None:
    renderer = launch("pass", level, **details)
    assert complaint in renderer.refusal
    renderer.host.open().obeys("")


def test_what_is_not_the_owner_starts_nothing(start_host: StartHost, launch: Launch) -> None:
    """A confined renderer could otherwise ask the host for an unconfined one."""
    source = (
        "import sys, socket\n"
        "from ipc.channel import *\n"
        "from ipc.generated.webnn.v1.session_pb2 import *\n"
        "path = next(it for it in sys.orig_argv if 'run-directory' in it).partition('=')[2] + '/host'\n"
        "for request, fds in (\n"
        "    (HostRequest(launch_renderer=LaunchRenderer(sandbox='off')), (0, 1, 2)),\n"
        "    (HostRequest(attack_sandbox=AttackSandbox(backend='reference')), ()),\n"
        "    (HostRequest(signal_renderer=SignalRenderer(renderer=1, signal=9)), ()),\n"
        "):\n"
        "    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
        "    sock.connect(path)\n"
        "    host = MessageSocket(sock, HostReply, HostRequest)\n"
        "    host.send(HostRequest(hello=Hello(protocol_version=1)))\n"
        "    host.receive()\n"
        "    host.send(request, fds)\n"
        "    try:\n"
        "        host.receive()\n"
        "    except ChannelClosed:\n"
        "        print('refused', flush=True)\n"
    )
    renderer = launch(source, "compat")
    assert renderer.exit_code() == 0
    assert renderer.output.read().split() == ["refused"] * 3


def test_only_launched_renderers_are_let_in_at_their_door(launch: Launch) -> None:
    renderer = launch(WAIT, "compat")
    renderer.output.readline()
    door = Path(renderer.host.status()["host"]["run_directory"], "host")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as stranger:
        stranger.connect(str(door))
        stranger.settimeout(PATIENCE)
        assert stranger.recv(1000) == b""


def test_attacks_are_made_in_a_process_of_their_own_and_charged_to_nobody(start_host: StartHost) -> None:
    host = start_host(tiny_options(sandbox="compat"))
    session = host.open()
    attack = AttackSandbox(backend="reference", attempts=["fork", "keyring", "bpf"])
    reply = host.ask(HostRequest(attack_sandbox=attack))
    outcomes = json.loads(reply.attacked.json)["outcomes"]
    assert [(it["name"], it["fate"]) for it in outcomes] == [("fork", "refused"), ("keyring", "killed")]
    assert "keyctl(0x0" in outcomes[1]["detail"]
    session.obeys("")
    status = host.status()
    assert status["deaths"] == {}
    assert len(status["gpu_processes"]) == 1
