"""Which modules guard the boundary, and which tests hold each of them, the quickest first."""

from __future__ import annotations

from pathlib import Path

_MESSAGES = "tests/boundary/test_bad_messages.py"
_GRAPHS = f"{_MESSAGES} -k graph:"
_ACCEPTED = "tests/boundary/test_accepted.py"
_QUOTAS = "tests/boundary/test_quotas.py"
_LIVE = "tests/boundary/test_shared_memory.py"
_SERVICE = "tests/gpu_process/test_service.py"
_SCHEDULER = "tests/gpu_process/test_scheduler.py"
_BOUNDARY = (_ACCEPTED, _QUOTAS, _MESSAGES, "tests/boundary/test_sessions.py", _LIVE)

_TESTS: dict[str, tuple[str, ...]] = {
    "gpu_process/validation.py": ("tests/gpu_process/test_validation.py", _ACCEPTED, _GRAPHS),
    "gpu_process/graph_parts.py": ("tests/gpu_process/test_graph_parts.py", _GRAPHS),
    "gpu_process/estimates.py": ("tests/gpu_process/test_validation.py", "tests/gpu_process/test_estimates.py"),
    "gpu_process/quotas.py": ("tests/gpu_process/test_quotas.py", "tests/gpu_process/test_validation.py", _QUOTAS),
    "gpu_process/constants.py": ("tests/gpu_process/test_constants.py", _SERVICE, *_BOUNDARY),
    "gpu_process/session.py": (_SERVICE, *_BOUNDARY),
    "gpu_process/service.py": (_SERVICE, *_BOUNDARY),
    "gpu_process/calls.py": (_SERVICE, *_BOUNDARY),
    "gpu_process/context.py": (_SCHEDULER, "tests/gpu_process/test_context.py", _SERVICE, *_BOUNDARY),
    "gpu_process/pools.py": ("tests/gpu_process/test_pools.py", _SERVICE, "tests/boundary/test_sessions.py", _LIVE),
    "gpu_process/tensors.py": ("tests/gpu_process/test_tensors.py", _SCHEDULER, "tests/ipc/timeline", _SERVICE),
    "gpu_process/bound_graph.py": (_SCHEDULER, "tests/ipc/timeline", _SERVICE),
    "gpu_process/scheduler.py": (_SCHEDULER, "tests/ipc/timeline", _SERVICE, *_BOUNDARY),
    "gpu_process/timeline.py": ("tests/ipc/timeline", _SCHEDULER, _SERVICE, *_BOUNDARY),
    "gpu_process/ring.py": ("tests/ipc/timeline", *_BOUNDARY),
    "ipc/timeline/ring/commands.py": ("tests/ipc/timeline", f"{_MESSAGES} -k ring:"),
    "ipc/timeline/ring/ends.py": ("tests/ipc/timeline", f"{_MESSAGES} -k ring:", _LIVE),
    "ipc/channel.py": ("tests/ipc/test_channel.py", _SERVICE, f"{_MESSAGES} -k packet:", _LIVE),
    "ipc/shared_memory.py": (
        "tests/ipc/test_shared_memory.py tests/ipc/test_shared_memory_failures.py",
        "tests/gpu_process/test_pools.py",
        f"{_MESSAGES} -k region:",
        _LIVE,
    ),
    "ipc/descriptors.py": ("tests/ipc/test_descriptors.py", "tests/ipc/operators", "tests/ipc/test_codec.py"),
    "ipc/limits.py": ("tests/gpu_process/test_validation.py", "tests/ipc/operators", _MESSAGES),
    "ipc/numbers.py": ("tests/ipc/test_numbers.py", "tests/ipc/operators"),
}
_CODEC = ("tests/ipc/test_codec.py", "tests/gpu_process/test_validation.py", _ACCEPTED, _GRAPHS)
_OPERATORS = ("tests/ipc/operators", "tests/ipc/test_codec.py")


def targets(root: Path) -> dict[str, tuple[str, ...]]:
    """Tests by module: paths, perhaps with options of pytest's."""
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
