"""One renderer attacks with all there is; the others lose contexts at most, and go on at once."""

from __future__ import annotations

import itertools
import json
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from gpu_process.sandbox import kernel_features
from ipc.processes import python_command, python_environment
from tests.gpu_process.hosts import Client, Remains
from tests.gpu_process.siege import ATTACKS, CRASHES

HOST = (
    "--backend=reference",
    "--preload=tests.gpu_process.siege_backend",
    "--quota=command_seconds=1",
    "--quota=tensor_bytes=67108864",
    "--log-level=error",
    "--json",
)


def start(module: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        python_command(module, *map(str, arguments)),
        env=python_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def besiege(
    folder: Path, *, renderers: int, dispatches: int, rounds: Callable[[float], bool], kinds: Sequence[str]
) -> Any:
    """Attacks as long as `rounds` says so, given the seconds since the beginning; the host's status in the end."""
    strict = all(it.available for it in kernel_features() if it.name in ("namespaces", "landlock", "seccomp-filter"))
    level = "--sandbox=strict" if strict else "--sandbox=off"
    with start("gpu_process", f"--socket={folder / 's'}", level, *HOST) as host:
        try:
            assert host.stdout is not None
            ready = json.loads(host.stdout.readline())
            assert ready["ready"], ready
            honest = [start("tests.gpu_process.siege", "honest", folder / "s", dispatches) for _ in range(renderers)]
            began = time.monotonic()
            for seed in itertools.count():
                if not rounds(time.monotonic() - began):
                    break
                with start("tests.gpu_process.siege", "attack", folder / "s", seed, ",".join(kinds)) as attacker:
                    attacker.communicate()
            recreated = 0
            for renderer in honest:
                output, errors = renderer.communicate()
                assert renderer.returncode == 0, errors
                result = json.loads(output)
                assert result["done"] == dispatches
                recreated += result["recreated"]
            client = Client.connect(folder / "s")
            client.open()
            status = {"recreated": recreated, **client.status()}
            remains = Remains(host.pid, status)
            client.close()
        finally:
            host.terminate()
            host.communicate()
    remains.assert_gone()
    assert not list(folder.iterdir())
    return status


@pytest.mark.timeout(180)
def test_honest_renderers_finish_under_attack(tmp_path: Path) -> None:
    rounds = iter([True])
    status = besiege(
        tmp_path,
        renderers=2,
        dispatches=150,
        rounds=lambda _: next(rounds, False),
        kinds=["abort", "bad-messages", "flood", "abort"],
    )
    assert status["deaths"].get("abort", 0) >= 1
    assert status["recent_crashes"] == {}, "a crash was charged to nobody"
    assert status["disabled"] == []


@pytest.mark.campaign
@pytest.mark.timeout(1200)
def test_nine_honest_renderers_finish_a_thousand_dispatches_each_under_a_minute_of_attacks(tmp_path: Path) -> None:
    number = itertools.count(1)
    status = besiege(
        tmp_path,
        renderers=9,
        dispatches=1000,
        rounds=lambda seconds: next(number) <= 6 or seconds < 60,  # a busy machine does not get far in a minute
        kinds=[*ATTACKS, *CRASHES],
    )
    assert status["recreated"] >= 3, "no crash has hit anybody"
    assert sum(status["deaths"].values()) >= 3
    assert status["bad_messages"] >= 3
    assert status["recent_crashes"] == {}, "a crash was charged to nobody"
    assert status["disabled"] == []
