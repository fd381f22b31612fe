"""Which modules guard the boundary, and which tests hold each of them, the quickest first."""

from __future__ import annotations

from pathlib import Path

_MESSAGES = "tests/boundary/test_bad_messages.py"
_ACCEPTED = "tests/boundary/test_accepted.py"
_SERVICE = "tests/gpu_process/test_service.py"

_TESTS: dict[str, tuple[str, ...]] = {
    "gpu_process/validation.py": ("tests/gpu_process/test_validation.py", _ACCEPTED, _MESSAGES),
    "gpu_process/estimates.py": ("tests/gpu_process/test_validation.py",),
    "gpu_process/quotas.py": ("tests/gpu_process/test_quotas.py", "tests/gpu_process/test_validation.py"),
    "gpu_process/constants.py": (_SERVICE, "tests/boundary"),
    "gpu_process/session.py": (_SERVICE, "tests/boundary"),
    "gpu_process/service.py": (_SERVICE, "tests/boundary"),
    "gpu_process/calls.py": (_SERVICE, "tests/boundary"),
    "gpu_process/context.py": (_SERVICE, "tests/gpu_process/test_scheduler.py", "tests/boundary"),
    "gpu_process/pools.py": ("tests/gpu_process/test_pools.py", _SERVICE, "tests/boundary"),
    "gpu_process/tensors.py": ("tests/gpu_process/test_tensors.py", "tests/gpu_process/test_scheduler.py", _SERVICE),
    "gpu_process/scheduler.py": (
        "tests/gpu_process/test_scheduler.py",
        "tests/ipc/timeline",
        _SERVICE,
        "tests/boundary",
    ),
    "gpu_process/timeline.py": (
        "tests/ipc/timeline",
        "tests/gpu_process/test_scheduler.py",
        _SERVICE,
        "tests/boundary",
    ),
    "ipc/channel.py": ("tests/ipc/test_channel.py", _SERVICE, "tests/boundary"),
    "ipc/shared_memory.py": ("tests/ipc/test_shared_memory.py", "tests/gpu_process/test_pools.py", "tests/boundary"),
    "ipc/descriptors.py": (
        "tests/ipc/test_descriptors.py",
        "tests/ipc/operators",
        "tests/ipc/test_codec.py",
        _MESSAGES,
    ),
    "ipc/limits.py": ("tests/gpu_process/test_validation.py", "tests/ipc/operators", _MESSAGES),
    "ipc/numbers.py": ("tests/ipc/test_numbers.py", "tests/ipc/operators"),
}
_CODEC = ("tests/ipc/test_codec.py", "tests/gpu_process/test_validation.py", _ACCEPTED, _MESSAGES)
_OPERATORS = ("tests/ipc/operators", "tests/ipc/test_codec.py")


def targets(root: Path) -> dict[str, tuple[str, ...]]:
    """Tests by module."""
    found = dict(_TESTS)
    found |= dict.fromkeys(_modules(root, "ipc/codec"), _CODEC)
    found |= dict.fromkeys(_modules(root, "ipc/operators"), _OPERATORS)
    return {path: tests for path, tests in sorted(found.items()) if (root / path).exists()}


def _modules(root: Path, folder: str) -> list[str]:
    return [
        str(path.relative_to(root))
        for path in (root / folder).glob("*.py")
        if path.name not in ("__init__.py", "_docs.py")
    ]
