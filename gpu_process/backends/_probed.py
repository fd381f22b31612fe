"""Which versions of the native runtimes were probed: only those may work on memory that a renderer changes meanwhile.

`python -m scripts.probe_backends` makes the tables; there is one file per version in `<backend>/probed`.
"""

from __future__ import annotations

from pathlib import Path

_ROOM = Path(__file__).parent


def probed_versions(backend: str) -> frozenset[str]:
    """The versions of its runtime that there is a table of; none for a backend that is no native one."""
    return frozenset(table.stem for table in (_ROOM / backend / "probed").glob("*.json"))


def in_place_note(backend: str, version: str) -> str:
    """Whether tensors may be used where they lie, in shared memory; empty for a backend that never does that."""
    versions = probed_versions(backend)
    if not versions:
        return ""
    if version in versions:
        return f"version {version} was probed: tensors stay in shared memory where its kernels permit it"
    known = ", ".join(sorted(versions))
    return f"version {version} was not probed ({known} was): all tensors are copied to private memory"
