"""What a sandbox is made of, how much of it is asked for, and what happens when some of it cannot be had.

Levels are asked for by name only. Nothing is ever left out silently: a layer that the level demands and the kernel
refuses stops the start with `SandboxError`.
"""

from __future__ import annotations

import enum
import errno
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

GIB: Final = 1 << 30

LEVEL_OPTION: Final = "--sandbox"
"""The option by which a user asks for a `Level`."""

MODE_OPTION: Final = "--sandbox-mode"
"""The option by which a user asks for a `Mode`."""

NOBODY: Final = 65534
"""The user that owns nothing. What root starts becomes it, so that an escape is an escape into nobody."""

_NAMESPACE_DIRECTORY: Final = Path("/proc/self/ns")


class Layer(enum.StrEnum):
    """One independent part of the sandbox."""

    USER_NAMESPACE = "user-namespace"
    MOUNT_NAMESPACE = "mount-namespace"
    PID_NAMESPACE = "pid-namespace"
    NETWORK_NAMESPACE = "network-namespace"
    IPC_NAMESPACE = "ipc-namespace"
    UTS_NAMESPACE = "uts-namespace"
    CGROUP_NAMESPACE = "cgroup-namespace"
    PRIVATE_ROOT = "private-root"
    CAPABILITIES = "capabilities"
    NO_NEW_PRIVILEGES = "no-new-privileges"
    LANDLOCK = "landlock"
    RESOURCE_LIMITS = "resource-limits"
    MEMORY_GROUP = "memory-group"
    UNDUMPABLE = "undumpable"
    WRITE_XOR_EXECUTE = "write-xor-execute"
    SECCOMP = "seccomp"


NAMESPACES: Final[Mapping[Layer, str]] = {
    Layer.USER_NAMESPACE: "user",
    Layer.MOUNT_NAMESPACE: "mnt",
    Layer.PID_NAMESPACE: "pid",
    Layer.NETWORK_NAMESPACE: "net",
    Layer.IPC_NAMESPACE: "ipc",
    Layer.UTS_NAMESPACE: "uts",
    Layer.CGROUP_NAMESPACE: "cgroup",
}
"""The layers that are namespaces, and the kernel's name of each under /proc/<pid>/ns."""

# Wanted wherever they can be had, and never a reason to stop: seccomp refuses executable memory on its own, and whether
# a memory group may be made is the machine owner's decision, not the user's.
_OPTIONAL: Final = frozenset({Layer.MEMORY_GROUP, Layer.WRITE_XOR_EXECUTE})


class Level(enum.StrEnum):
    """How much of the sandbox is demanded."""

    STRICT = "strict"
    """Every layer."""

    COMPAT = "compat"
    """Every layer but the namespaces: for machines where an ordinary user may not create them."""

    OFF = "off"
    """None, for debugging. No security is claimed."""

    @property
    def required(self) -> frozenset[Layer]:
        """The layers without which a process at this level does not start."""
        match self:
            case Level.STRICT:
                return frozenset(Layer) - _OPTIONAL
            case Level.COMPAT:
                return frozenset(Layer) - _OPTIONAL - NAMESPACES.keys() - {Layer.PRIVATE_ROOT}
            case Level.OFF:
                return frozenset()


class Mode(enum.StrEnum):
    """What becomes of a system call that the policy does not allow."""

    ENFORCE = "enforce"
    """Dangerous calls kill; unknown ones fail with EPERM and are counted."""

    REPORT = "report"
    """As `ENFORCE`, but unknown calls kill too: for fuzzing, where each of them is a finding."""

    AUDIT = "audit"
    """Everything that is not allowed is logged and fails: for growing the policy. Nothing is let through."""


class Role(enum.StrEnum):
    """Which process is confined."""

    GPU_PROCESS = "gpu-process"
    """Computes. After lock-in it opens nothing and connects to nothing."""

    RENDERER = "renderer"
    """Runs a user's script: reads and imports what it was given, and connects to Unix sockets in the run directory."""


class SandboxError(Exception):
    """A layer that was asked for cannot be applied. The process must not start.

    Attributes:
        layer: the layer.
        errno: the kernel's reason, or None where it was found by other means.
        remedy: what to do, with the exact option.
    """

    def __init__(self, layer: Layer, why: str, remedy: str, error: OSError | None = None) -> None:
        self.layer = layer
        self.errno = error.errno if error is not None else None
        self.remedy = remedy
        reason = f" ({_errno_name(error.errno)}: {error})" if error is not None and error.errno is not None else ""
        super().__init__(f"sandbox layer {layer} cannot be applied: {why}{reason}; {remedy}")


def read_namespaces() -> Mapping[str, int]:
    """The namespaces of this process, by the kernel's name, as the inode numbers that tell them apart."""
    return {name: (_NAMESPACE_DIRECTORY / name).stat().st_ino for name in NAMESPACES.values()}


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxSpec:
    """One process's sandbox, as data. Made by the process that starts it, outside.

    Attributes:
        run_directory: the one directory that is shared with the outside; the GPU process may make sockets in it, a
            renderer may connect to them. It must exist and, for the GPU process, be writable by `identity`.
        role: which process is confined.
        level: how much of the sandbox is demanded.
        mode: what becomes of system calls that are not allowed.
        backends: names of the backends in the process; memory that is executable is granted to OpenVINO only.
        read_paths: what may be read besides the interpreter, the libraries and this product: preloaded modules, a
            model.
        memory_limit: bytes of private writable memory (RLIMIT_DATA), and of all memory where a memory group may be
            made.
        largest_region: bytes of the largest file or shared region that the process may create (RLIMIT_FSIZE).
        max_descriptors: open descriptors; each mapping made by Python's `mmap` holds one.
        max_threads: threads of the process and its init together, counted per user namespace, so at level `strict`
            only.
        deny: names of allowed system calls to be refused with EPERM all the same, for fault injection.
        outside: the namespaces of the process that made this, against which "held" is judged.
    """

    run_directory: Path
    role: Role = Role.GPU_PROCESS
    level: Level = Level.STRICT
    mode: Mode = Mode.ENFORCE
    backends: tuple[str, ...] = ()
    read_paths: tuple[Path, ...] = ()
    memory_limit: int = 8 * GIB  # Chromium's limit for its GPU process on a machine of up to 16 GiB
    largest_region: int = 4 * GIB
    max_descriptors: int = 1024
    max_threads: int = 256
    deny: tuple[str, ...] = ()
    outside: Mapping[str, int] = field(default_factory=read_namespaces)

    @property
    def executable_memory(self) -> bool:
        """Whether the process may make memory executable: OpenVINO's CPU plugin generates its kernels at run time."""
        return self.role is Role.GPU_PROCESS and "openvino" in self.backends

    @property
    def identity(self) -> tuple[int, int]:
        """The uid and gid, in the maker's eyes, of the process: nobody where root starts it in `strict`.

        Without a private root the uid stays: nobody may be unable to read the interpreter that it runs.
        Root of a user namespace without that user is an ordinary user in all but name, and stays who it is.
        """
        if os.geteuid() == 0 and self.level is Level.STRICT and all(map(_maps_nobody, ("uid", "gid"))):
            return NOBODY, NOBODY
        return os.geteuid(), os.getegid()

    @property
    def code_paths(self) -> tuple[Path, ...]:
        """What the process must read to run Python: prefixes, packages, this product, and `read_paths`."""
        product = Path(__file__).parents[2]
        ours = ("ipc", "renderer") if self.role is Role.RENDERER else ("ipc", "gpu_process")
        candidates = (
            Path(sys.prefix),
            Path(sys.base_prefix),
            Path(sys.exec_prefix),
            Path(sys.base_exec_prefix),
            *(Path(entry) for entry in sys.path if Path(entry).name in ("site-packages", "dist-packages")),
            *(product / package for package in ours),
        )
        return tuple(dict.fromkeys(path.absolute() for path in candidates if path.exists())) + self.read_paths


def _maps_nobody(kind: str) -> bool:
    """Whether nobody's uid or gid exists in the user namespace of this process; a container may have one user alone."""
    lines = Path(f"/proc/self/{kind}_map").read_text().splitlines()
    runs = [(int(first), int(length)) for first, _, length in map(str.split, lines)]
    return any(first <= NOBODY < first + length for first, length in runs)


def _errno_name(number: int) -> str:
    return errno.errorcode.get(number, str(number))
