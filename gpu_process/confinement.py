"""From options to the sandbox of one process. Both who starts it and who supervises it need it, and must agree."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from gpu_process.poller_limits import threads_for
from gpu_process.quotas import Quotas
from gpu_process.sandbox import Level, Mode, Role, SandboxSpec
from ipc.faults import Plan
from ipc.options import HostOptions

# Of gRPC, of a backend's pool, and of the sandbox's own processes.
_OTHER_THREADS: Final = 128

# Every mapped region of every session holds one; a session that hands over all it may must not starve the others.
_MAX_DESCRIPTORS: Final = 16_384


def sandbox_spec(options: HostOptions, backends: Sequence[str], run_directory: Path) -> SandboxSpec:
    """The sandbox of a GPU process with `backends`, whose sockets are in `run_directory`; call it outside.

    Raises:
        ValueError: a quota is unknown or negative, or the plan of faults is not of its grammar.
    """
    quotas = Quotas.of(options.quotas)
    return SandboxSpec(
        run_directory=run_directory,
        level=Level(options.sandbox),
        mode=Mode(options.sandbox_mode),
        backends=tuple(backends),
        memory_limit=options.memory_limit,
        max_threads=quotas.sessions
        + quotas.calls_at_once
        + threads_for(quotas.sessions)
        + options.threads
        + _OTHER_THREADS,
        max_descriptors=_MAX_DESCRIPTORS,
        deny=Plan.parse(options.faults).denied,
    )


def renderer_spec(
    options: HostOptions, level: Level, run_directory: Path, read_paths: Sequence[Path] = ()
) -> SandboxSpec:
    """The sandbox of a renderer that finds the sockets of all GPU processes below `run_directory`; call it outside.

    Args:
        read_paths: absolute, what its program may read besides its packages.
    """
    return SandboxSpec(
        role=Role.RENDERER,
        run_directory=run_directory,
        level=level,
        mode=Mode(options.sandbox_mode),
        read_paths=tuple(read_paths),
        memory_limit=options.memory_limit,
    )
