"""Landlock: the kernel's own list of the files that a thread and its offspring may touch.

It stacks on every other permission, cannot be lifted, and holds inside and outside of namespaces. It binds the calling
thread and what that thread creates, so that it must come before any other thread.

Source: the kernel's ``Documentation/userspace-api/landlock.rst``, to ABI 7.
"""

from __future__ import annotations

import enum
import errno
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from gpu_process.sandbox import _kernel
from gpu_process.sandbox.levels import LEVEL_OPTION, Layer, Level, Role, SandboxError, SandboxSpec
from gpu_process.sandbox.privileges import forbid_new_privileges


class Access(enum.IntFlag):
    """What may be done with a file or below a directory."""

    EXECUTE = 1 << 0
    WRITE_FILE = 1 << 1
    READ_FILE = 1 << 2
    READ_DIR = 1 << 3
    REMOVE_DIR = 1 << 4
    REMOVE_FILE = 1 << 5
    MAKE_CHAR = 1 << 6
    MAKE_DIR = 1 << 7
    MAKE_REG = 1 << 8
    MAKE_SOCK = 1 << 9
    MAKE_FIFO = 1 << 10
    MAKE_BLOCK = 1 << 11
    MAKE_SYM = 1 << 12
    REFER = 1 << 13
    TRUNCATE = 1 << 14
    IOCTL_DEV = 1 << 15


READ: Final = Access.READ_FILE | Access.READ_DIR
SCRATCH: Final = READ | (
    Access.WRITE_FILE
    | Access.REMOVE_DIR
    | Access.REMOVE_FILE
    | Access.MAKE_DIR
    | Access.MAKE_REG
    | Access.REFER
    | Access.TRUNCATE
)

# A rule on something that is not a directory may only carry these.
_FILE_ACCESS: Final = Access.EXECUTE | Access.WRITE_FILE | Access.READ_FILE | Access.TRUNCATE | Access.IOCTL_DEV

# The ABI version with which each later access right came; all others came with the first.
_SINCE: Final = {Access.REFER: 2, Access.TRUNCATE: 3, Access.IOCTL_DEV: 5}
_NETWORK_ABI: Final = 4
_SCOPE_ABI: Final = 6

_BIND_AND_CONNECT_TCP: Final = 1 | 2
_SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS: Final = 1 | 2
_CREATE_RULESET_VERSION: Final = 1
_RULE_PATH_BENEATH: Final = 1


def abi_version() -> int:
    """The version of Landlock that this kernel has; 0 where it has none or it was not enabled at boot."""
    try:
        return _kernel.system_call("landlock_create_ruleset", None, 0, _CREATE_RULESET_VERSION)
    except OSError as error:
        if error.errno in (errno.ENOSYS, errno.EOPNOTSUPP):
            return 0
        raise


def restrict_filesystem(spec: SandboxSpec) -> None:
    """Confines this process, which must still be single-threaded, to the files that `spec` names. Execution is refused.

    Raises:
        SandboxError: there are other threads already, or the kernel has no Landlock.
    """
    if spec.level is Level.OFF:
        return
    threads = len(os.listdir("/proc/self/task"))
    if threads != 1:
        raise SandboxError(
            Layer.LANDLOCK,
            f"it binds the calling thread only, and there are {threads}",
            "apply it before the imports and calls that start threads",
        )
    remedy = f"boot with landlock in the kernel's lsm= list (Linux 5.13 or later), or ask for {LEVEL_OPTION}=off"
    if abi_version() == 0:
        raise SandboxError(Layer.LANDLOCK, "this kernel has it not, or not enabled", remedy)
    try:
        restrict(permissions(spec))
    except OSError as error:
        raise SandboxError(Layer.LANDLOCK, "the kernel refused the rules", remedy, error) from error


def permissions(spec: SandboxSpec) -> Mapping[Path, Access]:
    """What a process of `spec.role` may touch while it starts up, and a renderer afterwards too."""
    system = ("/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/sys/devices/system", "/proc", "/dev/urandom")
    readable = (*map(Path, system), *spec.code_paths)
    rules: dict[Path, Access] = dict.fromkeys((path for path in readable if path.exists()), READ)
    rules[Path("/dev/null")] = Access.READ_FILE | Access.WRITE_FILE
    match spec.role:
        case Role.GPU_PROCESS:
            rules[spec.run_directory] = Access.READ_DIR | Access.MAKE_SOCK | Access.REMOVE_FILE
        case Role.RENDERER:
            rules[spec.run_directory] = READ
            if spec.level is Level.STRICT:  # elsewhere /tmp is not its own
                rules[Path("/tmp")] = SCRATCH
    return rules


def restrict(rules: Mapping[Path, Access]) -> None:
    """Confines the calling thread to `rules`; TCP, and signals and abstract sockets to the outside, are refused too.

    What the kernel's ABI does not know yet is left out; seccomp and the namespaces cover it.

    Raises:
        OSError: the kernel refused.
    """
    abi = abi_version()
    handled = Access(sum(access for access in Access if _SINCE.get(access, 1) <= abi))
    # Each version knows a longer structure, and takes a shorter one.
    attributes = struct.pack("Q", handled)
    if abi >= _NETWORK_ABI:
        attributes += struct.pack("Q", _BIND_AND_CONNECT_TCP)
    if abi >= _SCOPE_ABI:
        attributes += struct.pack("Q", _SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS)
    ruleset = _kernel.system_call("landlock_create_ruleset", attributes, len(attributes), 0)
    try:
        for path, access in rules.items():
            _allow(ruleset, path, access & handled)
        forbid_new_privileges()
        _kernel.system_call("landlock_restrict_self", ruleset, 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: Path, access: Access) -> None:
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        applicable = access if path.is_dir() else access & _FILE_ACCESS
        rule = struct.pack("=Qi", applicable, descriptor)
        _kernel.system_call("landlock_add_rule", ruleset, _RULE_PATH_BENEATH, rule, 0)
    finally:
        os.close(descriptor)
