"""Hosts start what is asked for, tell how it ended, and leave nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gpu_process.sandbox import kernel_features
from ipc.channel import PROTOCOL_VERSION, ChannelClosed, ChannelError
from ipc.processes import python_environment
from tests.gpu_process.hosts import PATIENCE, OwnedHost, Remains, ends, kill, tiny_options

StartHost = Callable[..., OwnedHost]


@pytest.fixture(scope="module")
def strict_is_possible() -> bool:
    return all(it.available for it in kernel_features() if it.name in ("namespaces", "landlock", "seccomp-filter"))


@pytest.fixture(params=["off", "strict"])
def level(request: pytest.FixtureRequest, strict_is_possible: bool) -> str:
    if request.param == "strict" and not strict_is_possible:
        pytest.skip("this kernel or user cannot have the strict sandbox")
    return str(request.param)


def remains_of(host: OwnedHost) -> Remains:
    return Remains(host.process.pid, host.status())


# --- Sessions ---------------------------------------------------------------------------------------------------------


def test_a_session_is_a_socket_to_a_gpu_process_of_its_own(start_host: StartHost, level: str) -> None:
    host = start_host(tiny_options(sandbox=level))
    session = host.open()
    status = host.status()
    (process,), (launcher,) = status["gpu_processes"], status["launchers"]
    assert len({os.getpid(), host.process.pid, launcher["pid"], process["pid"]}) == 4
    assert session.gpu_process == process["pid"]
    assert Path(session.granted.address.removeprefix("unix:")).is_socket()
    held = {name for name, layer in process["sandbox"]["layers"].items() if layer["held"]}
    assert ("seccomp" in held) == (level == "strict")
    assert (process["service"]["pid_inside"] == process["pid"]) == (level == "off")


def test_sessions_share_a_gpu_process_and_end_alone(start_host: StartHost) -> None:
    host = start_host(tiny_options())
    first, second = host.open(), host.open("reference")
    assert first.gpu_process == second.gpu_process
    assert first.number != second.number
    first.close()
    second.obeys("")
    second.obeys("bad message")
    ended = host.ended()
    assert (ended.session, ended.reason) == (second.number, "bad message: UNKNOWN_TOKEN at dispatch.graph")
    assert host.status()["bad_messages"] == 1
    assert host.status()["sessions"] == 0


def test_requests_sent_at_once_are_answered_in_their_order(start_host: StartHost) -> None:
    from ipc.generated.webnn.v1.session_pb2 import HostRequest, OpenSession, StatusRequest

    host = start_host(tiny_options())
    host.channel.send(HostRequest(open_session=OpenSession()))
    host.channel.send(HostRequest(status=StatusRequest()))
    host.channel.send(HostRequest(open_session=OpenSession(backend="nonsense")))
    kinds = []
    for _ in range(3):
        reply, fds = host.channel.receive(PATIENCE)
        kinds.append(reply.WhichOneof("message"))
        for fd in fds:
            os.close(fd)
    assert kinds == ["session_opened", "status", "session_refused"]


def test_a_backend_that_does_not_exist_is_refused_by_name(start_host: StartHost) -> None:
    assert "'tensorrt' is none of reference" in start_host(tiny_options()).is_refused("tensorrt")


def test_another_protocol_version_is_refused_with_both_versions(start_host: StartHost) -> None:
    host = start_host(tiny_options(), version=PROTOCOL_VERSION + 1)
    reason = host.receive().session_refused.reason
    assert f"version {PROTOCOL_VERSION + 1} was offered, and this host speaks {PROTOCOL_VERSION}" in reason
    assert host.process.wait(PATIENCE) == 0


# --- Standard streams and terminals -----------------------------------------------------------------------------------


def test_the_users_standard_output_stays_clean_and_the_terminal_is_left(start_host: StartHost) -> None:
    host = start_host(tiny_options(log_level="info"))
    session = host.open()
    assert os.getsid(host.process.pid) == host.process.pid
    session.obeys("swear")
    host.status()
    output, errors = host.stop()
    assert output == ""
    assert "warming up" in errors
    assert "\x1b" not in errors
    assert "\\u001b]0;owned" in errors
    assert errors.count("owned") <= 1001


# --- Deaths -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "cause"),
    [
        ("segv", "SIGSEGV, memory-safety"),
        ("abort", "SIGABRT, abort"),
        ("exit", "exit status 3, internal-error"),
        ("hang", "SIGKILL, hang"),
    ],
)
def test_every_death_is_told_by_its_cause_and_the_next_session_works(
    start_host: StartHost, word: str, cause: str
) -> None:
    host = start_host(tiny_options(hang_timeout=0.5 if word == "hang" else 0))
    session, bystander = host.open(), host.open()
    session.say(word)
    ended = [host.ended(), host.ended()]
    assert {it.session for it in ended} == {session.number, bystander.number}
    assert all(f"({cause})" in it.reason for it in ended), ended
    assert host.open().gpu_process != session.gpu_process


def test_a_forbidden_system_call_is_told_by_name(start_host: StartHost, strict_is_possible: bool) -> None:
    if not strict_is_possible:
        pytest.skip("this kernel or user cannot have the strict sandbox")
    host = start_host(tiny_options(sandbox="strict"))
    host.open().say("forbidden")
    assert "(ptrace, sandbox-violation)" in host.ended().reason
    _, errors = host.stop()
    assert "dangerous ptrace(0x0" in errors


def test_a_crash_in_memory_replaces_the_zygote_and_another_end_does_not(start_host: StartHost) -> None:
    host = start_host(tiny_options())
    launchers = []
    for word in ("abort", "segv", ""):
        session = host.open()
        launchers.append(host.status()["launchers"][-1]["pid"])
        session.say(word)
        if word:
            host.ended()
    assert launchers[0] == launchers[1] != launchers[2]


def test_crashes_that_nobody_caused_disable_the_backend(start_host: StartHost) -> None:
    host = start_host(tiny_options(crash_limit=2))
    for _ in range(2):
        host.open().say("abort")
        host.ended()
    assert host.is_refused() == "reference is disabled after 2 recent crashes of its GPU process"
    assert host.status()["deaths"] == {"abort": 2}


def test_a_renderer_whose_commands_crash_twice_gets_no_more_sessions(start_host: StartHost) -> None:
    host = start_host(tiny_options())
    for _ in range(2):
        session = host.open()
        session.obeys("run")
        session.say("abort")
        host.ended()
    assert "this renderer has crashed the GPU process 2 times" in host.is_refused()
    assert host.status()["recent_crashes"] == {}


def test_a_killed_gpu_process_is_replaced_at_once_and_often(start_host: StartHost, level: str) -> None:
    host = start_host(tiny_options(sandbox=level))
    for _ in range(4):
        session = host.open()
        kill(session.gpu_process)
        # Not waiting for the host to notice: a request that meets a dying process is served by the next one.
        assert host.open().gpu_process != session.gpu_process
    remains = remains_of(host)
    host.stop()
    remains.assert_gone()


def test_a_killed_launcher_takes_its_gpu_process_along_and_is_replaced(start_host: StartHost, level: str) -> None:
    host = start_host(tiny_options(sandbox=level))
    session = host.open()
    before = remains_of(host)
    kill(before.launchers[0])
    assert "killed" in host.ended().reason
    assert before.gone(session.gpu_process)
    host.open().obeys("")
    after = remains_of(host)
    assert after.launchers != before.launchers
    host.stop()
    after.assert_gone()
    before.assert_gone()


def test_no_process_outlives_a_killed_host(start_host: StartHost, level: str) -> None:
    host = start_host(tiny_options(sandbox=level))
    host.open()
    remains = remains_of(host)
    kill(host.process.pid)
    remains.assert_gone()
    with pytest.raises((ChannelClosed, ChannelError)):
        host.receive()


def test_a_gpu_process_that_cannot_end_by_itself_ends_with_the_host(start_host: StartHost) -> None:
    host = start_host(tiny_options(hang_timeout=0))
    session = host.open()
    remains = remains_of(host)
    os.kill(session.gpu_process, signal.SIGSTOP)
    kill(host.process.pid)
    remains.assert_gone()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_host_that_is_told_to_stop_stops_and_cleans_up(start_host: StartHost, number: int) -> None:
    host = start_host(tiny_options())
    host.open()
    remains = remains_of(host)
    os.kill(host.process.pid, number)
    remains.assert_gone()
    assert host.process.wait(PATIENCE) == 0


def test_what_is_left_when_all_are_killed_at_once_goes_with_the_next_host(start_host: StartHost) -> None:
    host = start_host(tiny_options())
    host.open()
    remains, directory = remains_of(host), Path(host.status()["host"]["run_directory"])
    os.kill(remains.launchers[0], signal.SIGSTOP)  # so that it cannot clean up before it is killed as well
    for pid in (host.process.pid, remains.launchers[0], remains.gpu_processes[0]):
        kill(pid)
    assert all(remains.gone(pid) for pid in (host.process.pid, remains.launchers[0]))
    assert directory.exists()
    start_host(tiny_options()).open()
    assert not directory.exists()
    remains.assert_gone()


# --- The owner's end --------------------------------------------------------------------------------------------------

_OWNER = """
import json, sys
from tests.gpu_process.hosts import OwnedHost, tiny_options
host = OwnedHost(tiny_options())
host.open()
print(json.dumps({"host": host.process.pid, "status": host.status()}), flush=True)
END
"""


@pytest.mark.parametrize(
    ("end", "interrupt"),
    [
        ("sys.stdin.read()", signal.SIGKILL),
        ("sys.stdin.read()", signal.SIGINT),
        ("raise ValueError('a mistake')", None),
        ("sys.exit(3)", None),
        ("import threading; threading.Thread(target=threading.Event().wait).start(); sys.stdin.read()", signal.SIGKILL),
    ],
)
def test_everything_ends_with_its_owner_however_that_ends(end: str, interrupt: signal.Signals | None) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-P", "-c", _OWNER.replace("END", f"sys.stdin.read(1)\n{end}")],
        env=python_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    with owner:
        assert owner.stdout is not None
        assert owner.stdin is not None
        said = json.loads(owner.stdout.readline())
        remains = Remains(said["host"], said["status"])
        if interrupt is None:
            owner.stdin.write(b"!")
            owner.stdin.flush()
        else:
            os.killpg(owner.pid, interrupt)  # as a terminal does it: the host must not be hit
        remains.assert_gone()


# --- Failures to start ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sabotage", "complaint"),
    [
        ("raise ImportError('libtiny.so.1: cannot open')", "libtiny.so.1: cannot open"),
        ("import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()", "starts threads"),
        ("import os; os.abort()", "the launcher ended with signal SIGABRT"),
        ("tiny.TinyBackend.fault = 'raise'", "ValueError: this backend does not work here"),
        ("tiny.TinyBackend.fault = 'mistake'", "KeyError: 'an internal mistake'"),
        ("tiny.TinyBackend.fault = 'abort'", "native library: cannot go on"),
        ("tiny.TinyBackend.fault = 'hang'", "not ready within 1 s; it said: waiting for a device"),
        ("import time; time.sleep(3600)", "not ready within 1 s"),
    ],
)
def test_a_start_that_fails_is_told_with_the_childs_own_words(
    start_host: StartHost, tmp_path: Path, sabotage: str, complaint: str
) -> None:
    (tmp_path / "saboteur.py").write_text(f"import tests.gpu_process.tiny_service as tiny\n{sabotage}\n")
    path = os.pathsep.join([python_environment()["PYTHONPATH"], str(tmp_path)])
    timeout = 1.0 if "not ready" in complaint else PATIENCE
    host = start_host(tiny_options(preload=("saboteur",), start_timeout=timeout), PYTHONPATH=path)
    assert complaint in host.is_refused()
    assert complaint in host.is_refused()  # and again: the host has lost nothing
    assert host.status()["gpu_processes"] == []
    descriptor = os.pidfd_open(host.process.pid)
    host.stop()
    assert ends(descriptor, 0)
    os.close(descriptor)
