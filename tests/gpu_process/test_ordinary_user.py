"""As an ordinary user: everything works, and others of the same user see nothing. Root becomes one to try it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gpu_process.backends import BACKEND_NAMES
from gpu_process.sandbox import Level, kernel_features
from tests.gpu_process.hosts import PATIENCE

YAMA = Path("/proc/sys/kernel/yama/ptrace_scope")
REPOSITORY = Path(__file__).parents[2]


def as_ordinary_user(module: str, *arguments: str) -> str:
    """What the module prints, run by somebody who is not root."""
    modules = ["tests.gpu_process.sandbox.ordinary_user", module] if os.geteuid() == 0 else [module]
    result = subprocess.run(
        [sys.executable, "-P", "-m", *modules, *arguments],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY), "PYTHONDONTWRITEBYTECODE": "1"},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture
def strict() -> None:
    missing = {it.name: it.detail for it in kernel_features() if not it.available}
    for name in ("namespaces", "landlock", "seccomp-filter"):
        if name in missing:
            pytest.skip(f"{name}: {missing[name]}")


def test_host_launcher_and_gpu_process_cannot_be_read_by_others_of_their_user() -> None:
    if YAMA.exists() and YAMA.read_text().strip() != "0":
        pytest.skip(f"{YAMA} is not 0: nobody reads anybody here")
    looks = json.loads(as_ordinary_user("tests.gpu_process.undumpable_probe"))
    assert looks == {"ordinary process": True, "host": False, "launcher": False, "gpu process": False}


@pytest.mark.usefixtures("strict")
def test_the_demo_runs_in_strict() -> None:
    report = json.loads(as_ordinary_user("scripts.cli", "demo", "--json", "--samples", "1"))
    assert report["accuracy"] >= 0.97
    for layers in (report["sandbox"], report["renderer"]["sandbox"]):
        assert [layer for layer in Level.STRICT.required if not layers[layer]] == []


@pytest.mark.usefixtures("strict")
def test_vectors_pass_in_strict_on_every_backend() -> None:
    """A sample; docs/sandbox.md has the command for all of them."""
    suite = REPOSITORY / "tests/conformance/test_across_processes.py"
    sample = ("-m", "not campaign", "-k", "in_strict or gru_cell or conv2d or softmax")
    told = as_ordinary_user("pytest", str(suite), "-p", "no:cacheprovider", "-q", *sample)
    assert re.search(r"^\d+ passed, \d+ deselected in", told, re.MULTILINE), told
    for backend in BACKEND_NAMES:
        assert f"conformance of {backend} across processes: " in told
