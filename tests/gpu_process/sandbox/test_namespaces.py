"""Where a confined process is, and how it ends."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from gpu_process.sandbox import Layer, Level, SandboxSpec, confined_pid, held_layers
from tests.gpu_process.sandbox.conftest import Confined, Launcher

Confine = Callable[..., Confined]


def _wait_for_end(pidfd: int) -> bool:
    """Whether the process ends in time."""
    try:
        return bool(select.select([pidfd], [], [], 10)[0])
    finally:
        os.close(pidfd)


@pytest.mark.parametrize("code", [0, 7, 255])
def test_the_exit_code_reaches_the_launcher(confined: Confine, code: int) -> None:
    process = confined()
    with pytest.raises(ConnectionError):
        process.order("exit", code=code)
    assert os.waitstatus_to_exitcode(process.status()) == code


@pytest.mark.parametrize(("order", "number"), [("abort", signal.SIGABRT), ("crash", signal.SIGSEGV)])
def test_the_signal_that_ended_it_reaches_the_launcher(confined: Confine, order: str, number: signal.Signals) -> None:
    process = confined()
    with pytest.raises(ConnectionError):
        process.order(order)
    status = process.status()
    assert os.WIFSIGNALED(status)
    assert os.WTERMSIG(status) == number


def test_a_violation_without_a_supervisor_reaches_the_launcher_as_sigsys(confined: Confine) -> None:
    process = confined(fork={"supervised": False})
    with pytest.raises(ConnectionError):
        process.order("attempt", name="ptrace")
    assert os.WTERMSIG(process.status()) == signal.SIGSYS


def test_a_killed_gate_takes_its_namespace_along(confined: Confine) -> None:
    process = confined()
    inner = os.pidfd_open(confined_pid(process.gate))
    os.kill(process.gate, signal.SIGKILL)
    assert _wait_for_end(inner)
    assert os.WTERMSIG(process.status()) == signal.SIGKILL


def test_a_killed_init_takes_its_namespace_along(confined: Confine) -> None:
    process = confined()
    inner = confined_pid(process.gate)
    status = Path(f"/proc/{inner}/status").read_text()
    init = int(next(line for line in status.splitlines() if line.startswith("PPid")).split()[1])
    pidfd = os.pidfd_open(inner)
    os.kill(init, signal.SIGKILL)
    assert _wait_for_end(pidfd)
    assert os.WTERMSIG(process.status()) == signal.SIGKILL


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_outlives_a_killed_launcher(spec: SandboxSpec, number: signal.Signals) -> None:
    launcher = Launcher("none", "self")
    process = launcher.fork(spec)
    pidfds = [os.pidfd_open(pid) for pid in (process.gate, confined_pid(process.gate))]
    launcher.process.send_signal(number)
    for pidfd in pidfds:
        assert _wait_for_end(pidfd)
    launcher.close()
    process.control.close()
    assert process.supervision is not None
    process.supervision.join()


def test_gate_and_init_hold_no_descriptors_but_their_pipes(confined: Confine) -> None:
    process = confined()
    if os.geteuid() != 0:
        pytest.skip("the kernel shows the descriptors of undumpable processes to root only")
    init = Path(f"/proc/{process.gate}/task/{process.gate}/children").read_text().split()[0]
    for pid, least in ((process.gate, 3), (int(init), 2)):
        targets = [os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()]
        assert len(targets) == least + (pid == int(init)), targets
        assert all(target.startswith(("pipe:", "anon_inode:[pidfd]", "pidfd:")) for target in targets), targets


def test_the_confined_process_is_not_the_first_of_its_namespace(confined: Confine) -> None:
    status = Path(f"/proc/{confined_pid(confined().gate)}/status").read_text()
    numbers = next(line for line in status.splitlines() if line.startswith("NSpid")).split()
    assert numbers[-1] == "2"


def test_all_that_is_mounted_is_read_only_but_the_run_directory(confined: Confine, spec: SandboxSpec) -> None:
    mounts = Path(f"/proc/{confined_pid(confined().gate)}/mountinfo").read_text().splitlines()
    options = {line.split()[4]: set(line.split()[5].split(",")) for line in mounts}
    assert {place for place in options if "rw" in options[place]} == {"/proc", str(spec.run_directory)}
    assert all("nosuid" in each for each in options.values())
    assert "noexec" in options[str(spec.run_directory)]


def test_what_root_starts_is_nobody(confined: Confine, spec: SandboxSpec) -> None:
    if os.geteuid() != 0:
        pytest.skip("not root: the process keeps the ordinary user's uid, in a namespace that knows no other")
    status = Path(f"/proc/{confined_pid(confined().gate)}/status").read_text()
    assert next(line for line in status.splitlines() if line.startswith("Uid")).split()[1:] == ["65534"] * 4


def test_a_missing_path_stops_the_start_by_name(confined: Confine) -> None:
    answer = confined(read_paths=(Path("/nonexistent/model"),)).start
    assert answer["ready"] is False
    assert answer["layer"] == Layer.PRIVATE_ROOT
    assert "/nonexistent/model does not exist" in answer["error"]


def test_an_unwritable_run_directory_stops_the_start_by_name(confined: Confine, tmp_path: Path) -> None:
    directory = tmp_path / "run"
    directory.mkdir(mode=0o500)
    answer = confined(run_directory=directory).start
    assert answer["layer"] == Layer.PRIVATE_ROOT
    assert f"may not write the run directory {directory}" in answer["error"]


@pytest.mark.parametrize("user", ["self", "nobody"])
def test_compat_has_every_layer_but_the_namespaces(
    launchers: Callable[[str, str], Launcher], compat_spec: SandboxSpec, user: str
) -> None:
    process = launchers("none", user).fork(compat_spec)
    layers = process.start["report"]["layers"]
    assert [name for name in Level.COMPAT.required if not layers[name]["held"]] == []
    assert not layers[Layer.USER_NAMESPACE]["held"]
    assert not layers[Layer.PRIVATE_ROOT]["held"]
    assert process.status() == 0


def test_off_holds_nothing_and_says_so(launcher: Launcher, run_directory: Path) -> None:
    process = launcher.fork(SandboxSpec(run_directory=run_directory, level=Level.OFF), supervised=False)
    layers = process.start["report"]["layers"]
    assert not any(layers[name]["held"] for name in (Layer.SECCOMP, Layer.LANDLOCK, Layer.USER_NAMESPACE))
    assert process.status() == 0


def test_a_step_left_out_is_noticed_at_lock_in(launcher: Launcher, spec: SandboxSpec) -> None:
    process = launcher.fork(spec, skip_landlock=True)
    assert process.start["ready"] is False
    assert process.start["layer"] == Layer.LANDLOCK
    assert os.waitstatus_to_exitcode(process.status()) == 3


def test_an_unconfined_process_is_reported_as_unconfined() -> None:
    held = held_layers()
    assert not any(held[layer].held for layer in (Layer.USER_NAMESPACE, Layer.PRIVATE_ROOT, Layer.LANDLOCK))
