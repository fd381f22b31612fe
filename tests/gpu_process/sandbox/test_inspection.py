"""What is told of a machine and of a process is what the kernel says."""

from __future__ import annotations

import dataclasses
import errno
import json
import subprocess
import sys
import threading
import uuid
from pathlib import Path

import pytest

from gpu_process.sandbox import Layer, Level, SandboxError, SandboxSpec, held_layers, kernel_features, landlock
from gpu_process.sandbox.limits import MemoryGroup, memory_group_limit
from ipc.processes import python_environment
from tests.gpu_process.sandbox.conftest import Launcher

_CLONE_NEWUSER = 0x10000000


def test_every_missing_feature_comes_with_a_remedy() -> None:
    features = kernel_features()
    assert len({feature.name for feature in features}) == len(features)
    for feature in features:
        assert feature.detail
        assert feature.available or feature.remedy or feature.name == "kernel"


def test_a_report_is_ready_for_json(launcher: Launcher, spec: SandboxSpec) -> None:
    process = launcher.fork(spec)
    report = process.start["report"]
    assert json.loads(json.dumps(report)) == report
    assert set(report["layers"]) == set(Layer)
    assert process.status() == 0


def test_the_limits_are_those_that_were_asked_for(launcher: Launcher, spec: SandboxSpec) -> None:
    spec = dataclasses.replace(spec, memory_limit=3 << 30, largest_region=5 << 20, max_descriptors=77)
    process = launcher.fork(spec)
    detail = process.start["report"]["layers"][Layer.RESOURCE_LIMITS]["detail"]
    assert detail == f"core file size 0, data size {3 << 30}, file size {5 << 20}, open files 77"
    assert process.status() == 0


def test_the_layers_of_no_process_are_not_told() -> None:
    with pytest.raises(FileNotFoundError):
        held_layers(1 << 30)


def test_an_error_names_layer_reason_and_option() -> None:
    error = SandboxError(Layer.LANDLOCK, "why", "ask for --sandbox=compat", OSError(errno.EPERM, "no"))
    assert error.errno == errno.EPERM
    assert [part in str(error) for part in ("landlock", "why", "EPERM", "--sandbox=compat")] == [True] * 4


def test_landlock_refuses_to_bind_one_thread_of_many(spec: SandboxSpec) -> None:
    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    try:
        with pytest.raises(SandboxError, match="binds the calling thread only"):
            landlock.restrict_filesystem(spec)
    finally:
        end.set()
        thread.join()


def test_a_memory_group_is_seen_from_outside(refusals: dict[str, str], launcher: Launcher, spec: SandboxSpec) -> None:
    if "memory-group" in refusals:
        pytest.skip(f"memory-group: {refusals['memory-group']}")
    with MemoryGroup.create(f"webnn-test-{uuid.uuid4().hex}", 1 << 30).removed_at_end() as group:
        process = launcher.fork(spec, memory_group=group)
        assert memory_group_limit(process.gate) == 1 << 30
        assert held_layers(process.gate)[Layer.MEMORY_GROUP].held
        assert process.status() == 0


def test_levels_only_ever_ask_for_less() -> None:
    assert Level.STRICT.required > Level.COMPAT.required > Level.OFF.required == frozenset()


def test_the_paths_to_read_are_prefixes_and_our_packages(run_directory: Path) -> None:
    paths = SandboxSpec(run_directory=run_directory).code_paths
    assert {path.name for path in paths} >= {"ipc", "gpu_process"}
    assert Path("/") not in paths


def test_root_of_a_user_namespace_without_nobody_enters_strict_as_itself() -> None:
    """As in a container of one user."""
    program = f"""
import os, sys
from pathlib import Path
uid, gid = os.getuid(), os.getgid()
from gpu_process.sandbox import SandboxSpec, _kernel, kernel_features
try:
    _kernel.system_call("unshare", {_CLONE_NEWUSER})
except OSError as error:
    sys.exit(f"namespaces: {{error}}")
Path("/proc/self/setgroups").write_text("deny")
Path("/proc/self/uid_map").write_text(f"0 {{uid}} 1")
Path("/proc/self/gid_map").write_text(f"0 {{gid}} 1")
feature = next(it for it in kernel_features() if it.name == "namespaces")
print(feature.available, SandboxSpec(run_directory=Path("/tmp")).identity, feature.detail)
"""
    result = subprocess.run(
        [sys.executable, "-P", "-c", program],
        env=python_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    if result.stderr.startswith("namespaces:"):
        pytest.skip(result.stderr.strip())
    assert result.returncode == 0, result.stderr
    assert result.stdout == "True (0, 0) all seven, with a private root\n"
