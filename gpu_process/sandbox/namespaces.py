"""Namespaces of one's own: users, mounts, processes, network, and a root directory that holds only what is needed.

`enter_namespaces` is called in a forked, single-threaded child and returns in its grandchild:

    launcher ── gate ── init (PID 1 inside) ── the confined process (PID 2 inside)

- The *gate* is the launcher's own child and stays in its PID namespace. It waits, and then ends exactly as the confined
  process did: with the same exit code, or by sending itself the same signal, so that waitpid() in the launcher sees
  SIGSEGV where there was a SIGSEGV.
- The *init* exists because the kernel spares PID 1 of a namespace the default action of signals: a confined process
  that was PID 1 would survive its own abort(). When init ends, the kernel kills everything in the namespace.

Each of the two keeps no descriptors but the pipes to its neighbours. When the launcher's lifeline closes, or the gate
dies of anything at all, the pipe that init watches closes and the namespace ends. Parent-death signals are only a
second line.
"""

from __future__ import annotations

import itertools
import os
import resource
import select
import signal
import socket
import struct
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

from gpu_process.sandbox import _kernel
from gpu_process.sandbox.levels import LEVEL_OPTION, Layer, Level, Role, SandboxError, SandboxSpec
from gpu_process.sandbox.privileges import drop_capabilities, forbid_new_privileges, make_undumpable

_COMPAT_REMEDY: Final = f"ask for less by name with {LEVEL_OPTION}=compat, or let the machine's owner allow it"

# The user namespace comes first: for an ordinary user it is what permits all the others.
_UNSHARE: Final = (
    (Layer.USER_NAMESPACE, 0x10000000),
    (Layer.MOUNT_NAMESPACE, 0x00020000),
    (Layer.PID_NAMESPACE, 0x20000000),
    (Layer.NETWORK_NAMESPACE, 0x40000000),
    (Layer.IPC_NAMESPACE, 0x08000000),
    (Layer.UTS_NAMESPACE, 0x04000000),
    (Layer.CGROUP_NAMESPACE, 0x02000000),
)

_SYSTEM_PATHS: Final = tuple(
    Path(path)
    for path in ("/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/sys/devices/system", "/dev/null", "/dev/urandom")
)

# Covered by the new root while that is being filled; any directory would do, and this one is always there.
_STAGING: Final = b"/proc"

_RENDERER_SCRATCH_BYTES: Final = 64 << 20

_AT_FDCWD: Final = -100
_AT_EMPTY_PATH: Final = 0x1000
_AT_RECURSIVE: Final = 0x8000
_OPEN_TREE_CLONE: Final = 1
_MOVE_MOUNT_F_EMPTY_PATH: Final = 4
_MS_NOSUID_NODEV_NOEXEC: Final = 2 | 4 | 8
_MS_REC_PRIVATE: Final = 0x4000 | 1 << 18
_MNT_DETACH: Final = 2
_ATTR_RDONLY: Final = 1
_ATTR_NOSUID: Final = 2
_ATTR_NODEV: Final = 4
_ATTR_NOEXEC: Final = 8

_STATUS: Final = struct.Struct("i")


def enter_namespaces(spec: SandboxSpec, *, lifeline: int | None = None) -> None:
    """Confines the calling process, a forked and single-threaded one; returns in the confined process.

    At level `strict` that is a grandchild of the caller, PID 2 of its namespace, undumpable, without capabilities,
    whose whole file system is `spec.code_paths`, the libraries and `spec.run_directory`. At `compat` it is the caller
    itself, without capabilities. At `off` nothing happens.

    Args:
        spec: what to apply.
        lifeline: the reading end of a pipe whose writing end only the launcher holds; when it closes, the namespaces
            end.

    Raises:
        SandboxError: a layer cannot be applied. It is raised in the process that would have been confined.
    """
    match spec.level:
        case Level.OFF:
            return
        case Level.COMPAT:
            _die_with_parent(os.getppid())
            drop_capabilities()
            forbid_new_privileges()
        case Level.STRICT:
            forbid_new_privileges()
            mounts = _unshare_all(spec)
            _become_grandchild(lifeline)
            _build_root(spec, mounts)
            drop_capabilities()
            make_undumpable()


# --- Who one is -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _DetachedMount:
    """A copy of a piece of the old file system, not yet attached anywhere."""

    target: Path
    descriptor: int
    is_directory: bool


def _unshare_all(spec: SandboxSpec) -> list[_DetachedMount]:
    """Leaves all namespaces of the machine, and brings along the parts of its file system that are wanted inside."""
    uid, gid = spec.identity
    if os.geteuid() == 0:
        # While still root, so that prefixes below a directory that only root may enter can be brought along.
        with _applying(Layer.MOUNT_NAMESPACE, "root may not leave the mount namespace"):
            _kernel.system_call("unshare", dict(_UNSHARE)[Layer.MOUNT_NAMESPACE])
        mounts = _detach_mounts(spec)
        if Path("/proc/self/setgroups").read_text().strip() == "allow":  # not in a user namespace of one user
            os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
        _leave_namespaces(uid, gid)
        return mounts
    _leave_namespaces(uid, gid)
    return _detach_mounts(spec)


def _leave_namespaces(uid: int, gid: int) -> None:
    # A change of uid made the process undumpable, and then the files that hold its maps would belong to root.
    _kernel.prctl(_kernel.PR_SET_DUMPABLE, 1)
    for layer, flag in _UNSHARE:
        with _applying(layer, "the kernel does not let this user create the namespace"):
            _kernel.system_call("unshare", flag)
        if layer is Layer.USER_NAMESPACE:
            with _applying(layer, "the map of users cannot be written"):
                Path("/proc/self/setgroups").write_bytes(b"deny")
                Path("/proc/self/uid_map").write_bytes(f"{uid} {uid} 1".encode())
                Path("/proc/self/gid_map").write_bytes(f"{gid} {gid} 1".encode())
    with _applying(Layer.UTS_NAMESPACE, "the host's name cannot be hidden"):
        socket.sethostname("webnn")


# --- Processes --------------------------------------------------------------------------------------------------------


def _become_grandchild(lifeline: int | None) -> None:
    """Forks init and the confined process, and returns in the latter only."""
    report_reader, report_writer = os.pipe()
    gate_reader, gate_writer = os.pipe()
    if init := os.fork():
        with _never_returning():
            _run_as_gate(init, report_reader, keep=(report_reader, gate_writer), lifeline=lifeline)
    os.close(report_reader)
    os.close(gate_writer)
    _die_with_parent(0)  # as a parent in an outer namespace reads; whether it is still there the pipe will tell
    if child := os.fork():
        with _never_returning():
            _run_as_init(child, report_writer, gate_reader)
    os.close(report_writer)
    os.close(gate_reader)
    if lifeline is not None:
        os.close(lifeline)
    _die_with_parent(1)


def _run_as_gate(init: int, report: int, *, keep: Collection[int], lifeline: int | None) -> NoReturn:
    """Waits for the report of init, or for the end of the launcher, and ends as the confined process did."""
    watched = [report] if lifeline is None else [report, lifeline]
    _become_minimal({*keep, *watched})
    _die_with_parent(os.getppid())
    poll = select.poll()
    for descriptor in watched:
        poll.register(descriptor, select.POLLIN)
    ready = {descriptor for descriptor, _ in poll.poll()}
    status = os.read(report, _STATUS.size) if report in ready else b""
    if len(status) < _STATUS.size:
        # Init is gone without a word, or the launcher is: either way this namespace is at its end.
        status = _STATUS.pack(signal.SIGKILL)
        os.kill(init, signal.SIGKILL)
    os.waitpid(init, 0)  # only when nothing is left inside does the kernel let init end
    _end_as(_STATUS.unpack(status)[0])


def _run_as_init(child: int, report: int, gate: int) -> NoReturn:
    """Waits for the confined process and reports its status; ends, and with it the namespace, when the gate is gone."""
    child_exit = os.pidfd_open(child)
    _become_minimal({report, gate, child_exit})
    poll = select.poll()
    poll.register(child_exit, select.POLLIN)
    poll.register(gate, select.POLLIN)
    if child_exit in {descriptor for descriptor, _ in poll.poll()}:
        os.write(report, _STATUS.pack(os.waitpid(child, 0)[1]))
    os._exit(0)


@contextmanager
def _never_returning() -> Iterator[None]:
    """Ends the process, and with it the namespace, where an error would carry it into its caller's code."""
    try:
        yield
    finally:
        os._exit(os.EX_OSERR)


def _become_minimal(keep: Collection[int]) -> None:
    """Gives up all that a process which only waits does not need."""
    # Ctrl-C reaches the whole foreground group; what it means is decided by the confined process alone.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    drop_capabilities()
    make_undumpable()
    edges = [-1, *sorted(keep), os.sysconf("SC_OPEN_MAX")]
    for below, above in itertools.pairwise(edges):
        os.closerange(below + 1, above)


def _end_as(status: int) -> NoReturn:
    """Ends this process with wait status `status`."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [number])
        os.kill(os.getpid(), number)
    os._exit(os.waitstatus_to_exitcode(status))


def _die_with_parent(parent: int) -> None:
    _kernel.prctl(_kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before it could be tied to
        os._exit(1)


# --- Files ------------------------------------------------------------------------------------------------------------


def _detach_mounts(spec: SandboxSpec) -> list[_DetachedMount]:
    """Copies of all that is wanted inside, in the order in which they must be attached."""
    with _applying(Layer.MOUNT_NAMESPACE, "mounts cannot be made private"):
        _kernel.system_call("mount", None, b"/", None, _MS_REC_PRIVATE, None)
    readable = [path for path in _SYSTEM_PATHS if path.exists()]
    for path in spec.code_paths:
        if not path.exists():
            raise SandboxError(Layer.PRIVATE_ROOT, f"{path} does not exist", "leave it out of the paths to read")
        readable += {path, path.resolve()}
    mounts = [_detach(path, _attributes(path, read_only=True)) for path in _outermost(readable)]
    run_directory = spec.run_directory.absolute()
    attributes = _attributes(run_directory, read_only=spec.role is Role.RENDERER) | _ATTR_NOEXEC
    return [*mounts, _detach(run_directory, attributes)]


def _outermost(paths: Collection[Path]) -> list[Path]:
    """`paths` without those that lie in another one of them."""
    distinct = set(paths)
    return sorted(path for path in distinct if distinct.isdisjoint(path.parents))


def _attributes(path: Path, *, read_only: bool) -> int:
    device = path.is_char_device()
    return _ATTR_NOSUID | (_ATTR_RDONLY if read_only else 0) | (_ATTR_NOEXEC if device else _ATTR_NODEV)


def _detach(path: Path, attributes: int) -> _DetachedMount:
    with _applying(Layer.PRIVATE_ROOT, f"{path} cannot be brought along"):
        descriptor = _kernel.system_call(
            "open_tree", _AT_FDCWD, os.fsencode(path), _OPEN_TREE_CLONE | _AT_RECURSIVE | os.O_CLOEXEC
        )
        _set_attributes(descriptor, attributes, _AT_RECURSIVE)
    return _DetachedMount(path, descriptor, path.is_dir())


def _set_attributes(mount: int, attributes: int, flags: int = 0) -> None:
    packed = struct.pack("QQQQ", attributes, 0, 0, 0)
    _kernel.system_call("mount_setattr", mount, b"", _AT_EMPTY_PATH | flags, packed, len(packed))


def _build_root(spec: SandboxSpec, mounts: list[_DetachedMount]) -> None:
    """Makes a file system of `mounts` and /proc, and moves into it for good."""
    # Of all processes here this is the one to go when memory runs out.
    Path("/proc/self/oom_score_adj").write_bytes(b"1000")
    previous_mask = os.umask(0o022)
    with _applying(Layer.PRIVATE_ROOT, "a private root cannot be mounted"):
        _mount(b"tmpfs", _STAGING, b"size=1m,mode=755")
        root = os.open(_STAGING, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        os.fchdir(root)
    if spec.role is Role.RENDERER:
        # Before the others, some of which may lie in it.
        with _applying(Layer.PRIVATE_ROOT, "a scratch directory cannot be mounted"):
            os.mkdir("tmp")
            _mount(b"tmpfs", b"tmp", b"size=%d,mode=1777" % _RENDERER_SCRATCH_BYTES)
    for mount in mounts:
        with _applying(Layer.PRIVATE_ROOT, f"{mount.target} cannot be attached"):
            target = _make_mount_point(mount)
            _kernel.system_call(
                "move_mount", mount.descriptor, b"", _AT_FDCWD, os.fsencode(target), _MOVE_MOUNT_F_EMPTY_PATH
            )
            os.close(mount.descriptor)
    with _applying(
        Layer.PRIVATE_ROOT, "a /proc of its own cannot be mounted (a container may have masked the outer one)"
    ):
        os.mkdir("proc")
        _mount(b"proc", b"proc", None)
    with _applying(Layer.PRIVATE_ROOT, "the old root cannot be left"):
        _set_attributes(root, _ATTR_RDONLY | _ATTR_NOSUID | _ATTR_NODEV)
        # Old and new root in one place: the old one is then on top, to be detached without a directory of its own.
        _kernel.system_call("pivot_root", b".", b".")
        _kernel.system_call("umount2", b".", _MNT_DETACH)
        os.chdir("/")
        os.close(root)
    os.umask(previous_mask)
    _check_access(spec)


def _mount(kind: bytes, target: bytes, options: bytes | None) -> None:
    _kernel.system_call("mount", kind, target, kind, _MS_NOSUID_NODEV_NOEXEC, options)


def _make_mount_point(mount: _DetachedMount) -> Path:
    """The place of `mount` in the new root, relative to it; made unless a mount above brings it along."""
    target = mount.target.relative_to("/")
    if not target.exists():
        (target if mount.is_directory else target.parent).mkdir(parents=True, exist_ok=True)
        if not mount.is_directory:
            target.touch()
    return target


def _check_access(spec: SandboxSpec) -> None:
    """Says in plain words what would otherwise surface as an import error much later."""
    for path in spec.code_paths:
        if not os.access(path, os.R_OK | (os.X_OK if path.is_dir() else 0)):
            raise SandboxError(
                Layer.PRIVATE_ROOT,
                f"uid {os.getuid()} may not read {path}",
                "make it readable for everyone, or start as the user who owns it",
            )
    if spec.role is Role.GPU_PROCESS and not os.access(spec.run_directory, os.W_OK | os.X_OK):
        raise SandboxError(
            Layer.PRIVATE_ROOT,
            f"uid {os.getuid()} may not write the run directory {spec.run_directory}",
            "its maker must give it to `SandboxSpec.identity`",
        )


@contextmanager
def _applying(layer: Layer, failure: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SandboxError(layer, failure, _remedy(layer), error) from error


def _remedy(layer: Layer) -> str:
    """What to do: the kernel's switch that is known to forbid it, if it is set, or the weaker level."""
    switches = {
        "kernel/unprivileged_userns_clone": "0",
        "kernel/apparmor_restrict_unprivileged_userns": "1",
        "user/max_user_namespaces": "0",
    }
    if layer not in (Layer.USER_NAMESPACE, Layer.MOUNT_NAMESPACE, Layer.PRIVATE_ROOT):
        return _COMPAT_REMEDY
    for name, forbidding in switches.items():
        path = Path("/proc/sys") / name
        if path.exists() and path.read_bytes().strip().decode() == forbidding:
            return f"{path} is {forbidding}, which forbids it; {_COMPAT_REMEDY}"
    return _COMPAT_REMEDY
