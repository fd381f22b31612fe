"""What nobody waits for at a start is not imported before what everybody waits for."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ipc.processes import python_environment


@pytest.mark.parametrize(
    ("statement", "unwanted"),
    [
        # The GPU process is on its way while gRPC is imported.
        ("import renderer", {"grpc", "asyncio"}),
        # The launcher is, while the rest of the host is.
        ("import gpu_process.host_process", {"gpu_process.host", "gpu_process.sandbox", "google.protobuf.reflection"}),
        # Of this package one generated module is needed, and nothing that it depends on.
        ("from gpu_process.backends import import_runtime as load; load('onnxruntime')", {"onnx", "ml_dtypes", "grpc"}),
    ],
    ids=["renderer", "host", "onnxruntime"],
)
def test_a_start_waits_for_no_import_that_can_come_later(statement: str, unwanted: set[str]) -> None:
    code = f"import sys; {statement}; print(*sorted({unwanted!r} & sys.modules.keys()))"
    told = subprocess.run(
        [sys.executable, "-P", "-c", code], env=python_environment(), capture_output=True, text=True, check=True
    )
    assert told.stdout.split() == []
