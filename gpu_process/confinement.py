"""From options to the sandbox of one GPU process. The host and the launcher both need it, and must agree."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gpu_process.sandbox import Level, Mode, SandboxSpec
from ipc.options import HostOptions


def sandbox_spec(options: HostOptions, backends: Sequence[str], run_directory: Path) -> SandboxSpec:
    """The sandbox of a GPU process with `backends`, whose sockets are in `run_directory`; call it outside."""
    return SandboxSpec(
        run_directory=run_directory,
        level=Level(options.sandbox),
        mode=Mode(options.sandbox_mode),
        backends=tuple(backends),
    )
