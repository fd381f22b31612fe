"""Which modules guard the boundary, and which tests hold each of them, the quickest first."""

from __future__ import annotations

from pathlib import Path

_MESSAGES = "tests/boundary/test_bad_messages.py"
_ACCEPTED = "tests/boundary/test_accepted.py"
_QUOTAS = "tests/boundary/test_quotas.py"
_SESSIONS = "tests/boundary/test_sessions.py"
_LIVE = "tests/boundary/test_shared_memory.py"
_LIVE_RING = "tests/boundary/test_ring.py"
_VALIDATION = "tests/gpu_process/test_validation.py"
_SERVICE = "tests/gpu_process/test_service.py"
_SCHEDULER = "tests/gpu_process/test_scheduler.py"
_RING = "tests/gpu_process/test_ring.py"
_POOLS = "tests/gpu_process/test_pools.py"
_TIMELINE = "tests/ipc/timeline"
_BOUNDARY = (_ACCEPTED, _QUOTAS, _SESSIONS, _MESSAGES, _LIVE)

_TESTS: dict[str, tuple[str, ...]] = {
    "gpu_process/validation.py": (_VALIDATION, _ACCEPTED, _MESSAGES),
    "gpu_process/graph_parts.py": ("tests/gpu_process/test_graph_parts.py", _ACCEPTED, _MESSAGES),
    "gpu_process/estimates.py": (_VALIDATION, "tests/gpu_process/test_estimates.py"),
    "gpu_process/quotas.py": ("tests/gpu_process/test_quotas.py", _VALIDATION, _QUOTAS),
    "gpu_process/admission.py": ("tests/gpu_process/test_admission.py", _SERVICE, _QUOTAS),
    "gpu_process/pace.py": ("tests/gpu_process/test_pace.py",),
    "gpu_process/blame.py": ("tests/gpu_process/test_blame.py", "tests/gpu_process/test_deaths.py"),
    "gpu_process/constants.py": ("tests/gpu_process/test_constants.py", _SERVICE, *_BOUNDARY),
    "gpu_process/session.py": ("tests/gpu_process/test_session.py", _SERVICE, _TIMELINE, *_BOUNDARY),
    "gpu_process/service.py": (_SERVICE, *_BOUNDARY),
    "gpu_process/calls.py": (_SERVICE, *_BOUNDARY),
    "gpu_process/context.py": ("tests/gpu_process/test_context.py", _SCHEDULER, _SERVICE, *_BOUNDARY),
    "gpu_process/pools.py": (_POOLS, _SERVICE, _SESSIONS, _LIVE),
    "gpu_process/tensors.py": ("tests/gpu_process/test_tensors.py", _SCHEDULER, _TIMELINE, _SERVICE),
    "gpu_process/bound_graph.py": ("tests/gpu_process/test_bound_graph.py", _SCHEDULER, _TIMELINE, _SERVICE),
    "gpu_process/scheduler.py": (_SCHEDULER, _TIMELINE, _SERVICE, *_BOUNDARY),
    "gpu_process/timeline.py": (_TIMELINE, _SCHEDULER, _SERVICE, *_BOUNDARY),
    "gpu_process/ring.py": (_RING, _TIMELINE, *_BOUNDARY, _LIVE_RING),
    "ipc/timeline/ring/commands.py": (_TIMELINE, _RING, _MESSAGES),
    "ipc/timeline/ring/ends.py": (_TIMELINE, _RING, _MESSAGES, _LIVE, _LIVE_RING),
    "ipc/channel.py": ("tests/ipc/test_channel.py", _SERVICE, _MESSAGES, _LIVE),
    "ipc/shared_memory.py": (
        "tests/ipc/test_shared_memory.py",
        "tests/ipc/test_shared_memory_failures.py",
        _POOLS,
        _MESSAGES,
        _LIVE,
    ),
    "ipc/descriptors.py": ("tests/ipc/test_descriptors.py", "tests/ipc/test_codec.py", "tests/ipc/operators"),
    "ipc/limits.py": (_VALIDATION, _SERVICE, "tests/ipc/operators"),
    "ipc/numbers.py": ("tests/ipc/test_numbers.py", "tests/ipc/operators"),
}
_CODEC = ("tests/ipc/test_codec.py", _VALIDATION, _ACCEPTED, _MESSAGES)
_OPERATORS = ("tests/ipc/operators", "tests/ipc/test_codec.py")


def targets(root: Path) -> dict[str, tuple[str, ...]]:
    """Files and folders of tests by module."""
    found = dict(_TESTS)
    found |= dict.fromkeys(_modules(root, "ipc/codec"), _CODEC)
    found |= dict.fromkeys(_modules(root, "ipc/operators"), _OPERATORS)
    return dict(sorted(found.items()))


def _modules(root: Path, folder: str) -> list[str]:
    return [
        str(path.relative_to(root))
        for path in (root / folder).glob("*.py")
        if path.name not in ("__init__.py", "_docs.py")
    ]
