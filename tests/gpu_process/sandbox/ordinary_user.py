"""Runs a module as an ordinary user, in a view of the machine where the interpreter is within that user's reach.

Started by root: `python -P -m tests.gpu_process.sandbox.ordinary_user MODULE ARGUMENTS...`. A test machine may keep its
interpreter below a home directory that only root may enter; here such directories are replaced by passable ones.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from gpu_process.sandbox import _kernel

NOBODY = 65534
_CLONE_NEWNS = 0x20000
_REC_PRIVATE = 0x4000 | 1 << 18


def main() -> None:
    """Becomes nobody, for good, and executes the module."""
    _kernel.system_call("unshare", _CLONE_NEWNS)
    _kernel.system_call("mount", None, b"/", None, _REC_PRIVATE, None)
    for path in {Path(sys.prefix), Path(sys.base_prefix), Path(__file__).parents[3]}:
        _make_reachable(path.resolve())
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    os.execv(sys.executable, [sys.executable, "-P", "-m", *sys.argv[1:]])


def _make_reachable(path: Path) -> None:
    closed = next((parent for parent in reversed(path.parents) if not parent.stat().st_mode & 0o001), None)
    if closed is None:
        return
    tree = _kernel.system_call("open_tree", -100, os.fsencode(path), 1 | 0x8000 | os.O_CLOEXEC)
    _kernel.system_call("mount", b"tmpfs", os.fsencode(closed), b"tmpfs", 0, b"mode=755")
    path.mkdir(parents=True)
    _kernel.system_call("move_mount", tree, b"", -100, os.fsencode(path), 4)


if __name__ == "__main__":
    main()
