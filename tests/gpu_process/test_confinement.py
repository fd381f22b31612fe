"""What decides on a sandbox must be light: it is imported by processes that still have to enter one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from gpu_process.confinement import sandbox_spec
from gpu_process.poller_limits import threads_for
from gpu_process.quotas import Quotas
from ipc.options import HostOptions
from ipc.processes import python_environment

_LOADED = """
import sys
import gpu_process.confinement, gpu_process.host
print(*sorted({"grpc", "numpy", "onnxruntime", "openvino"} & sys.modules.keys()))
"""


def test_neither_the_host_nor_a_sandbox_to_be_loads_what_starts_threads() -> None:
    """With a second thread, the kernel refuses a process its user namespace."""
    told = subprocess.run(
        [sys.executable, "-c", _LOADED], env=python_environment(), capture_output=True, text=True, check=True
    )
    assert told.stdout.split() == []


def test_there_is_room_for_all_threads_that_may_serve_rings(tmp_path: Path) -> None:

    spec = sandbox_spec(HostOptions(), ["reference"], tmp_path)
    assert spec.max_threads > threads_for(Quotas().sessions) + Quotas().calls_at_once
