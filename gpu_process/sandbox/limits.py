"""Limits on what a process may use: per process by the kernel's rlimits, with its shared memory by a control group."""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gpu_process.sandbox import _kernel
from gpu_process.sandbox.levels import LEVEL_OPTION, Layer, Level, SandboxError, SandboxSpec

_GROUP_ROOT: Final = Path("/sys/fs/cgroup")


def resource_limits(spec: SandboxSpec) -> dict[int, int]:
    """The limit of each resource that is limited, by its number in `resource`.

    RLIMIT_AS is not among them: runtimes reserve far more addresses than they ever use. RLIMIT_FSIZE bounds memfd
    regions as well. Threads are counted per user, so that they can be limited only in a user namespace of one's own.
    """
    limits = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_DATA: spec.memory_limit,
        resource.RLIMIT_FSIZE: spec.largest_region,
        resource.RLIMIT_NOFILE: spec.max_descriptors,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_MSGQUEUE: 0,
    }
    if spec.level is Level.STRICT:
        limits[resource.RLIMIT_NPROC] = spec.max_threads
    return limits


def apply_resource_limits(spec: SandboxSpec) -> None:
    """Sets `resource_limits` for good: without privileges a hard limit is never raised again.

    Raises:
        SandboxError: the kernel refuses one.
    """
    for number, limit in resource_limits(spec).items():
        _, hard = resource.getrlimit(number)
        allowed = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        try:
            resource.setrlimit(number, (allowed, allowed))
        except (OSError, ValueError) as error:
            raise SandboxError(
                Layer.RESOURCE_LIMITS,
                f"limit {number} cannot be set to {allowed}: {error}",
                f"choose another limit, or ask for {LEVEL_OPTION}=off",
            ) from error


def refuse_executable_memory() -> bool:
    """Has the kernel refuse whatever is or was writable and becomes executable; False if it cannot (before 6.3)."""
    try:
        _kernel.prctl(_kernel.PR_SET_MDWE, _kernel.PR_MDWE_REFUSE_EXEC_GAIN)
    except OSError as error:
        if _kernel.is_missing(error):
            return False
        raise
    return True


@dataclass(frozen=True, slots=True)
class MemoryGroup:
    """A control group that counts all memory of its processes, shared regions and page tables included.

    Made by the host or the launcher, outside; removed by it when the last process in it has ended.
    """

    directory: Path

    @classmethod
    def create(cls, name: str, limit: int) -> MemoryGroup:
        """A new group `name`, holding at most `limit` bytes: below this process's own, or beside it in version 2.

        Raises:
            OSError: this user may not make one here, as is usual for an ordinary user without delegation.
        """
        parent, version = _parent_of_groups()
        group = cls(parent / name)
        group.directory.mkdir()
        try:
            _write(group.directory / ("memory.limit_in_bytes" if version == 1 else "memory.max"), limit)
            for swap in ("memory.memsw.limit_in_bytes", "memory.swap.max"):
                if (group.directory / swap).exists():
                    _write(group.directory / swap, limit if version == 1 else 0)
        except OSError:
            group.directory.rmdir()
            raise
        return group

    @classmethod
    def find(cls, prefix: str) -> list[MemoryGroup]:
        """Those that a process in this one's own group has made, with names that begin so."""
        try:
            parent, _ = _parent_of_groups()
        except OSError:
            return []
        return [cls(directory) for directory in parent.glob(f"{prefix}*")]

    def add(self, pid: int) -> None:
        """Moves process `pid` in, and what it starts from then on. Memory that it has already stays where it was."""
        _write(self.directory / "cgroup.procs", pid)

    def kills(self) -> int:
        """How many of its processes the kernel has killed because their memory reached the limit."""
        for name in ("memory.oom_control", "memory.events"):  # versions 1 and 2
            with contextlib.suppress(OSError):
                for line in (self.directory / name).read_bytes().decode().splitlines():
                    if line.startswith("oom_kill "):
                        return int(line.split()[1])
        return 0

    def remove(self) -> None:
        """Removes the empty group; again is harmless.

        Raises:
            OSError: a process is still in it.
        """
        with contextlib.suppress(FileNotFoundError):
            self.directory.rmdir()

    @contextlib.contextmanager
    def removed_at_end(self) -> Iterator[MemoryGroup]:
        """As a context: removes the group at its end."""
        try:
            yield self
        finally:
            self.remove()


def memory_group_limit(pid: int) -> int | None:
    """The bytes that process `pid` and its group may hold; None without a limit, or where that cannot be read.

    Both versions write a number near 2**63, or the word max, where there is no limit.
    """
    try:
        directory, version = _memory_group(pid)
        name = "memory.limit_in_bytes" if version == 1 else "memory.max"
        text = (directory / name).read_bytes().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() and int(text) < 1 << 62 else None


def _parent_of_groups() -> tuple[Path, int]:
    """Where this process makes groups, and the version.

    Raises:
        FileNotFoundError: no hierarchy with a memory controller is mounted.
    """
    own, version = _memory_group(os.getpid())
    # In version 2 a group that holds processes cannot have limited groups below it.
    return (own if version == 1 or own == _GROUP_ROOT else own.parent), version


def _memory_group(pid: int) -> tuple[Path, int]:
    """Directory and version of the control group that counts the memory of `pid`.

    Raises:
        FileNotFoundError: no hierarchy with a memory controller is mounted.
    """
    unified = ""
    for line in Path(f"/proc/{pid}/cgroup").read_bytes().decode().splitlines():
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            return _GROUP_ROOT / "memory" / path.lstrip("/"), 1
        if not controllers:
            unified = path
    directory = _GROUP_ROOT / unified.lstrip("/")
    controllers_file = directory / "cgroup.controllers"
    if not controllers_file.exists() or b"memory" not in controllers_file.read_bytes().split():
        raise FileNotFoundError(2, "no control group with a memory controller", str(directory))
    return directory, 2


def _write(path: Path, value: int) -> None:
    # One write(2), as the kernel takes a control file; no truncation, which some refuse.
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, str(value).encode())
    finally:
        os.close(descriptor)
