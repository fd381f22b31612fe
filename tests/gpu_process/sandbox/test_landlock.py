"""Landlock on its own, in a process that nothing else confines: what it refuses, no other layer refused."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gpu_process.sandbox import Level, Role, SandboxSpec, landlock
from tests.gpu_process.sandbox.conftest import Launcher

_REPOSITORY = Path(__file__).parents[3]

_ATTEMPTS = {
    "read": "os.close(os.open('/etc/hostname', os.O_RDONLY))",
    "list": "os.listdir('/')",
    "read-given": "os.close(os.open(given + '/file', os.O_RDONLY))",
    "write-given": "os.close(os.open(given + '/file', os.O_WRONLY))",
    "truncate-given": "os.truncate(given + '/file', 0)",
    "make-given": "os.close(os.open(given + '/new', os.O_CREAT | os.O_WRONLY))",
    "execute": "os.execv('/bin/true', ['true'])",
    "tcp-connect": "socket.socket().connect(('127.0.0.1', 9))",
    "tcp-bind": "socket.socket().bind(('127.0.0.1', 0))",
    "abstract": "socket.socket(socket.AF_UNIX).connect(abstract)",
    "signal": "os.kill(os.getppid(), 0)",
}

_PROGRAM = """
import json, os, socket, sys
from pathlib import Path
from gpu_process.sandbox import landlock
given, abstract, attempts = sys.argv[1], "\\0" + sys.argv[2], json.loads(sys.argv[3])
landlock.restrict({Path(given): landlock.READ})
results = {}
for name, code in attempts.items():
    try:
        exec(code)
        results[name] = None
    except OSError as error:
        results[name] = type(error).__name__
print(json.dumps(results))
"""


@pytest.fixture
def abi(refusals: dict[str, str]) -> int:
    if "landlock" in refusals:
        pytest.skip(f"landlock: {refusals['landlock']}")
    return landlock.abi_version()


def test_everything_is_refused_but_what_was_given(abi: int, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("given")
    name = f"webnn-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("\0" + name)
        server.listen()
        completed = subprocess.run(
            [sys.executable, "-P", "-W", "ignore", "-c", _PROGRAM, str(tmp_path), name, json.dumps(_ATTEMPTS)],
            env=os.environ | {"PYTHONPATH": str(_REPOSITORY)},
            capture_output=True,
            text=True,
            check=True,
        )
    observed = json.loads(completed.stdout)
    expected = dict.fromkeys(_ATTEMPTS, "PermissionError") | {"read-given": None}
    since = {"truncate-given": 3, "tcp-connect": 4, "tcp-bind": 4, "abstract": 6, "signal": 6}
    for attempt in _ATTEMPTS:
        if since.get(attempt, 1) <= abi:
            assert observed[attempt] == expected[attempt], attempt


@pytest.mark.parametrize("role", list(Role))
def test_the_rules_of_a_role_make_no_files_beside_sockets(role: Role, run_directory: Path) -> None:
    rules = landlock.permissions(SandboxSpec(run_directory=run_directory, role=role))
    making = landlock.Access.WRITE_FILE | landlock.Access.MAKE_REG | landlock.Access.MAKE_DIR | landlock.Access.EXECUTE
    writable = {path for path, access in rules.items() if access & making}
    assert writable == {Path("/dev/null")} | ({Path("/tmp")} if role is Role.RENDERER else set())


def test_a_renderer_without_a_private_root_cannot_write_the_run_directory(
    launchers: Callable[..., Launcher], compat_spec: SandboxSpec, tmp_path: Path
) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "try:\n"
        f"    result = open({str(compat_spec.run_directory / 'new')!r}, 'w').close()\n"
        "except OSError as error:\n"
        "    result = type(error).__name__\n"
    )
    spec = SandboxSpec(
        run_directory=compat_spec.run_directory, role=Role.RENDERER, level=Level.COMPAT, read_paths=(script,)
    )
    process = launchers("renderer").fork(spec)
    assert process.order("script", path=str(script))["result"] == "PermissionError"
    assert process.status() == 0
