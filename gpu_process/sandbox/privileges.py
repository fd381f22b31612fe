"""Giving up privileges for good: capabilities, set-uid programs, being traced or dumped."""

from __future__ import annotations

import errno
import struct
from typing import Final

from gpu_process.sandbox import _kernel

_CAPABILITY_VERSION_3: Final = 0x20080522


def drop_capabilities() -> None:
    """Empties every set of capabilities of this thread; call it while there is only one.

    Without the right to change the bounding set, which only a privileged process has, that set stays as it is: it
    bounds what a program may gain when it is executed, and `forbid_new_privileges` makes that nothing.
    """
    _kernel.prctl(_kernel.PR_CAP_AMBIENT, _kernel.PR_CAP_AMBIENT_CLEAR_ALL)
    for capability in range(64):
        try:
            _kernel.prctl(_kernel.PR_CAPBSET_DROP, capability)
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.EPERM):  # past the last one; or never privileged
                break
            raise
    header = struct.pack("Ii", _CAPABILITY_VERSION_3, 0)
    _kernel.system_call("capset", header, struct.pack("6I", 0, 0, 0, 0, 0, 0))


def forbid_new_privileges() -> None:
    """No program executed from here on gains privileges; also what lets an ordinary user install filters."""
    _kernel.prctl(_kernel.PR_SET_NO_NEW_PRIVS, 1)


def make_undumpable() -> None:
    """Neither core dumps nor ptrace, nor /proc/<pid>/mem, for anyone of the same user. Lasts until execve."""
    _kernel.prctl(_kernel.PR_SET_DUMPABLE, 0)
