"""The console command, as a user runs it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ipc.processes import python_command, python_environment

PATIENCE = 50.0


def webnn_sim(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The console command with these arguments, run to its end."""
    command = python_command("scripts.cli", *arguments)
    return subprocess.run(
        command, capture_output=True, text=True, env=python_environment(), check=False, timeout=PATIENCE
    )


def json_of(*arguments: str) -> dict[str, Any]:
    """What it prints as JSON; it must succeed."""
    result = webnn_sim(*arguments)
    assert result.returncode == 0, result.stderr
    printed: dict[str, Any] = json.loads(result.stdout)
    return printed


@contextmanager
def script(source: str) -> Iterator[Path]:
    """A script where every user may read it, as pytest's own folders are not."""
    path = Path(f"/tmp/webnn-script-{os.getpid()}.py")
    path.write_text(source)
    path.chmod(0o644)
    try:
        yield path
    finally:
        path.unlink()
