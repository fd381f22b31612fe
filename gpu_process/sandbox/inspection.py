"""What holds, read back from the kernel; and what this kernel could hold.

Nothing here trusts that a step was taken because it was called: each layer is judged by what the kernel says of the
process.
"""

from __future__ import annotations

import errno
import os
import platform
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from gpu_process.sandbox import _kernel, landlock, limits, seccomp
from gpu_process.sandbox.levels import (
    LEVEL_OPTION,
    NAMESPACES,
    Layer,
    Level,
    SandboxError,
    SandboxSpec,
    read_namespaces,
)
from gpu_process.sandbox.namespaces import enter_namespaces

_LIMITED: Final = ("Max data size", "Max file size", "Max open files")


class Evidence(NamedTuple):
    """Whether a layer holds, None where that cannot be seen from here; and what the kernel said."""

    held: bool | None
    detail: str


class Witness:
    """Reads the layers of one process. What can change is read at each `testify`, through files opened at the start: a
    process can so read itself after it has lost the right to open anything."""

    def __init__(self, pid: int | None = None, outside: Mapping[str, int] | None = None) -> None:
        """Looks at process `pid`, or at the caller itself.

        Args:
            pid: as numbered in the caller's PID namespace.
            outside: namespaces to compare with, for a look at oneself; otherwise the caller's own are.

        Raises:
            FileNotFoundError: there is no such process.
        """
        self._is_self = pid is None
        self._directory = Path("/proc") / ("self" if pid is None else str(pid))
        self._status = os.open(self._directory / "status", os.O_RDONLY | os.O_CLOEXEC)
        self._limits = os.open(self._directory / "limits", os.O_RDONLY | os.O_CLOEXEC)
        self._fixed = self._namespaces(outside if outside is not None else read_namespaces())
        self._fixed[Layer.PRIVATE_ROOT] = self._root()
        self._fixed[Layer.LANDLOCK] = self._landlock()
        self._fixed[Layer.MEMORY_GROUP] = self._memory_group(os.getpid() if pid is None else pid)

    def testify(self) -> dict[Layer, Evidence]:
        """Every layer, as it is now."""
        status = _fields(self._status)
        held = {
            **self._fixed,
            Layer.CAPABILITIES: _capabilities(status),
            Layer.NO_NEW_PRIVILEGES: Evidence(status["NoNewPrivs"] == "1", f"NoNewPrivs {status['NoNewPrivs']}"),
            Layer.SECCOMP: Evidence(
                status["Seccomp"] == "2",
                f"mode {status['Seccomp']}, filters {status.get('Seccomp_filters', 'unknown')}",
            ),
            Layer.RESOURCE_LIMITS: self._resource_limits(),
            Layer.UNDUMPABLE: self._undumpable(status),
            Layer.WRITE_XOR_EXECUTE: self._write_xor_execute(),
        }
        return {layer: held[layer] for layer in Layer}

    def close(self) -> None:
        """Closes the files behind it."""
        os.close(self._status)
        os.close(self._limits)

    def _namespaces(self, outside: Mapping[str, int]) -> dict[Layer, Evidence]:
        evidence = {}
        for layer, name in NAMESPACES.items():
            try:
                inode = (self._directory / "ns" / name).stat().st_ino
            except PermissionError:
                evidence[layer] = self._namespace_by_other_means(layer)
            else:
                evidence[layer] = Evidence(
                    inode != outside[name], f"{name}:[{inode}], outside {name}:[{outside[name]}]"
                )
        return evidence

    def _namespace_by_other_means(self, layer: Layer) -> Evidence:
        """For an undumpable process of the same ordinary user, whose links the kernel does not show."""
        match layer:
            case Layer.PID_NAMESPACE:
                numbers = _fields(self._status).get("NSpid", "").split()
                return Evidence(len(numbers) > 1, f"numbers in nested namespaces: {' '.join(numbers)}")
            case Layer.USER_NAMESPACE:
                theirs, ours = ((p / "uid_map").read_bytes() for p in (self._directory, Path("/proc/self")))
                return Evidence(theirs != ours, f"uid_map {' '.join(theirs.decode().split())}")
            case _:
                return Evidence(None, "the kernel does not show this user the namespaces of an undumpable process")

    def _root(self) -> Evidence:
        for line in (self._directory / "mountinfo").read_bytes().decode().splitlines():
            place, options, *rest = line.split()[4:]
            if place == "/":
                kind = rest[rest.index("-") + 1]
                return Evidence(kind == "tmpfs" and "ro" in options.split(","), f"/ is {kind}, {options}")
        return Evidence(False, "no / among the mounts")

    def _landlock(self) -> Evidence:
        if not self._is_self:
            return Evidence(None, "only the process itself can tell")
        try:
            os.close(os.open("/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        except PermissionError as error:
            # Its permissions let everyone read it, so that the refusal is Landlock's.
            return Evidence(bool(os.stat("/").st_mode & 0o004), f"opening / is refused ({error.strerror})")
        return Evidence(False, "/ can be opened")

    def _memory_group(self, pid: int) -> Evidence:
        limit = limits.memory_group_limit(pid)
        if limit is not None:
            return Evidence(True, f"{limit} bytes")
        if self._is_self and self._fixed[Layer.CGROUP_NAMESPACE].held:
            return Evidence(None, "control groups cannot be seen from inside")
        return Evidence(False, "no limit")

    def _resource_limits(self) -> Evidence:
        text = os.pread(self._limits, 1 << 16, 0).decode()
        soft = {line[:26].strip(): line[26:].split()[0] for line in text.splitlines()[1:]}
        held = soft["Max core file size"] == "0" and all(soft[name] != "unlimited" for name in _LIMITED)
        return Evidence(held, ", ".join(f"{name[4:]} {soft[name]}" for name in ("Max core file size", *_LIMITED)))

    def _undumpable(self, status: Mapping[str, str]) -> Evidence:
        if self._is_self:
            dumpable = _kernel.prctl(_kernel.PR_GET_DUMPABLE)
            return Evidence(dumpable != 1, f"dumpable {dumpable}")
        owner = os.fstat(self._status).st_uid
        uid = int(status["Uid"].split()[1])
        if uid == 0:
            return Evidence(None, "cannot be told from outside for a process of root")
        return Evidence(owner != uid, f"its files under /proc belong to uid {owner}, itself has {uid}")

    def _write_xor_execute(self) -> Evidence:
        if not self._is_self:
            return Evidence(None, "only the process itself can tell")
        try:
            flags = _kernel.prctl(_kernel.PR_GET_MDWE)
        except OSError as error:
            return Evidence(False, f"this kernel cannot say ({error.strerror})")
        return Evidence(bool(flags & _kernel.PR_MDWE_REFUSE_EXEC_GAIN), f"memory-deny-write-execute flags {flags}")


def held_layers(pid: int | None = None) -> dict[Layer, Evidence]:
    """Every layer of process `pid`, or of the caller, compared with the namespaces of the caller.

    Raises:
        FileNotFoundError: there is no such process.
    """
    witness = Witness(pid)
    try:
        return witness.testify()
    finally:
        witness.close()


def confined_pid(gate: int) -> int:
    """The confined process behind the launcher's child `gate`: the gate itself unless it entered namespaces.

    Raises:
        ProcessLookupError: it has not got that far, or is gone.
    """
    pid = gate
    for _ in ("init", "confined process"):
        children = Path(f"/proc/{pid}/task/{pid}/children").read_bytes().split()
        if not children:
            break
        pid = int(children[0])
    depth = len(_status_of(pid).get("NSpid", "").split())
    own_depth = len(_status_of(os.getpid()).get("NSpid", "").split())
    if pid != gate and depth == own_depth:
        raise ProcessLookupError(errno.ESRCH, f"process {gate} has children, but none in a namespace of its own")
    return pid


class Feature(NamedTuple):
    """Something that the sandbox would use; what to do about it is empty where it is available."""

    name: str
    available: bool
    detail: str
    remedy: str


def kernel_features() -> tuple[Feature, ...]:
    """What this kernel and this user's rights make possible, found by trying each thing in a child process."""
    abi = landlock.abi_version()
    filters = seccomp.action_available(seccomp.RET_KILL_PROCESS)
    notification = filters and seccomp.action_available(seccomp.RET_USER_NOTIF)
    without_mdwe = _failure_in_child(lambda: None if limits.refuse_executable_memory() else "before Linux 6.3")
    return (
        Feature("kernel", platform.system() == "Linux" and platform.machine() == "x86_64", platform.platform(), ""),
        _strict_feature(),
        Feature(
            "landlock",
            abi > 0,
            f"ABI {abi}" + ("" if abi >= 6 else ": no scoping of signals and abstract sockets before ABI 6"),
            "" if abi else "boot with landlock in the kernel's lsm= list",
        ),
        Feature(
            "seccomp-filter",
            filters,
            "filters can kill" if filters else "no filters",
            "" if filters else f"use a kernel with CONFIG_SECCOMP_FILTER, or {LEVEL_OPTION}=off",
        ),
        Feature(
            "seccomp-notification",
            notification,
            "violations are told by the kernel" if notification else "violations are known by their signal only",
            "" if notification else "use Linux 5.7 or later",
        ),
        Feature(
            "write-xor-execute",
            without_mdwe is None,
            without_mdwe or "enforced for memory in general",
            "" if without_mdwe is None else "none needed: seccomp refuses executable memory all the same",
        ),
        _memory_group_feature(),
    )


def _strict_feature() -> Feature:
    def enter() -> str | None:
        try:
            enter_namespaces(spec)
        except SandboxError as error:
            return str(error)
        return None

    with tempfile.TemporaryDirectory(prefix="webnn-probe-") as directory:
        spec = SandboxSpec(run_directory=Path(directory), level=Level.STRICT)
        os.chown(directory, *spec.identity)
        failure = _failure_in_child(enter)
    return Feature(
        "namespaces",
        failure is None,
        failure or "all seven, with a private root",
        "" if failure is None else f"as said, or {LEVEL_OPTION}={Level.COMPAT}",
    )


def _memory_group_feature() -> Feature:
    try:
        with limits.MemoryGroup.create(f"webnn-probe-{os.getpid()}", 1 << 30).removed_at_end():
            return Feature("memory-group", True, "shared memory is limited together with private memory", "")
    except OSError as error:
        return Feature(
            "memory-group", False, str(error), "start under `systemd-run --user --scope`, or as root, to have it too"
        )


def _failure_in_child(attempt: Callable[[], str | None]) -> str | None:
    """What `attempt` says, made in a child process that it may ruin."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        message = b"the attempt itself failed"
        try:
            message = (attempt() or "").encode()
        finally:
            os.write(writer, message)
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        message = pipe.read()
    _, status = os.waitpid(child, 0)
    if status:
        return f"the child that tried it ended with {os.waitstatus_to_exitcode(status)}"
    return message.decode() or None


def _status_of(pid: int) -> dict[str, str]:
    descriptor = os.open(f"/proc/{pid}/status", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return _fields(descriptor)
    finally:
        os.close(descriptor)


def _fields(status: int) -> dict[str, str]:
    lines = os.pread(status, 1 << 16, 0).decode().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _capabilities(status: Mapping[str, str]) -> Evidence:
    sets = {name: int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}
    bounded = sets.pop("CapBnd") == 0 or status["NoNewPrivs"] == "1"
    return Evidence(
        bounded and not any(sets.values()), ", ".join(f"{name} {status[name]}" for name in (*sets, "CapBnd"))
    )
