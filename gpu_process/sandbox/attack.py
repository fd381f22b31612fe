"""What a process that has been taken over would try, each with what must become of it.

`run_attempt` is called *inside* the process under test, after `lock_in`, by whatever its host drives it with. A deadly
attempt ends that process, and the host fills in `Outcome.killed`; it therefore gives each one a process of its own:

    for attempt in attempts_for(spec):     # in the host
        outcome = ... run_attempt(attempt.name) in a fresh process, or in one that has survived so far ...
        verdict = attempt.judge(outcome)
"""

from __future__ import annotations

import _thread
import ctypes
import enum
import errno
import mmap
import os
import resource
import signal
import socket
import struct
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypedDict

from gpu_process.sandbox import _kernel
from gpu_process.sandbox.levels import Level, Mode, Role, SandboxSpec
from gpu_process.sandbox.system_calls import NUMBERS

_GPU: Final = frozenset({Role.GPU_PROCESS})
_ALL: Final = frozenset(Role)
_REFUSED: Final = frozenset({"EPERM", "EACCES"})
_HIDDEN: Final = _REFUSED | {"ENOENT", "EROFS", "ESRCH"}
_NO_MEMORY: Final = frozenset({"ENOMEM"})

# Everything that an attempt uses is at hand before the process is shut.
_PAGE: Final = mmap.PAGESIZE
_MAP_NORESERVE: Final = 0x4000  # no name in `mmap` before Python 3.12


class Fate(enum.StrEnum):
    """What became of an attempt."""

    REFUSED = "refused"
    KILLED = "killed"
    SUCCEEDED = "succeeded"


class OutcomeJson(TypedDict):
    """The form of `Outcome.to_json`."""

    name: str
    fate: str
    error: str | None
    detail: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was observed: the fate; the error's name if it was refused; and words for people."""

    name: str
    fate: Fate
    error: str | None
    detail: str

    @classmethod
    def killed(cls, name: str, detail: str) -> Outcome:
        """For the host: the process ended during the attempt; `detail` says how."""
        return cls(name, Fate.KILLED, None, detail)

    @classmethod
    def from_json(cls, values: OutcomeJson) -> Outcome:
        """What `to_json` made."""
        return cls(values["name"], Fate(values["fate"]), values["error"], values["detail"])

    def to_json(self) -> OutcomeJson:
        """For the way from the process under test to its host."""
        return {"name": self.name, "fate": self.fate.value, "error": self.error, "detail": self.detail}


@dataclass(frozen=True, slots=True)
class Attempt:
    """One thing to try.

    Attributes:
        name: its stable name.
        goal: what the attacker would gain.
        act: does it; raises OSError if it is refused.
        errors: the errors that count as refused; empty if it must be deadly.
        roles: the processes in which it must fail.
        levels: the levels at which it must fail.
        jit: whether it must fail even where executable memory is granted.
        memory_group: whether only a `MemoryGroup` makes it fail.
    """

    name: str
    goal: str
    act: Callable[[], object]
    errors: frozenset[str]
    roles: frozenset[Role] = _ALL
    levels: frozenset[Level] = frozenset({Level.STRICT, Level.COMPAT})
    jit: bool = True
    memory_group: bool = False

    @property
    def deadly(self) -> bool:
        """Whether the process must not survive it."""
        return not self.errors

    @property
    def expected(self) -> str:
        """In words."""
        return "killed" if self.deadly else f"refused with {' or '.join(sorted(self.errors))}"

    def judge(self, outcome: Outcome, mode: Mode = Mode.ENFORCE) -> bool:
        """Whether `outcome` is what must become of it; in mode `audit` what would kill is refused."""
        if self.deadly and (self.memory_group or mode is not Mode.AUDIT):
            return outcome.fate is Fate.KILLED
        return outcome.fate is Fate.REFUSED and outcome.error in (self.errors or {"EPERM"})


def attempts_for(spec: SandboxSpec, *, memory_group: bool = False) -> tuple[Attempt, ...]:
    """All attempts that must fail in a process of `spec`; with `memory_group`, in one that is in a `MemoryGroup` too.

    The latter writes `spec.memory_limit` bytes before it fails, so that the limit should be a small one.
    """
    return tuple(
        attempt
        for attempt in _ATTEMPTS.values()
        if spec.role in attempt.roles
        and spec.level in attempt.levels
        and (attempt.jit or not spec.executable_memory)
        and (memory_group or not attempt.memory_group)
    )


def run_attempt(name: str) -> Outcome:
    """Makes attempt `name` in this very process, and cleans up after it.

    Raises:
        KeyError: there is no such attempt.
    """
    attempt = _ATTEMPTS[name]
    try:
        result = attempt.act()
    except OSError as error:
        return Outcome(name, Fate.REFUSED, errno.errorcode.get(error.errno or 0), str(error))
    return Outcome(name, Fate.SUCCEEDED, None, f"it went through: {result!r}")


# --- The attempts -----------------------------------------------------------------------------------------------------


def _call(name: str, *arguments: _kernel.Argument) -> Callable[[], int]:
    return lambda: _kernel.system_call(name, *arguments)


def _open(path: str, flags: int) -> Callable[[], None]:
    return lambda: os.close(os.open(path, flags, 0o600))


def _connect(family: int, address: object) -> Callable[[], None]:
    def act() -> None:
        with socket.socket(family, socket.SOCK_STREAM) as client:
            client.settimeout(1)
            client.connect(address)  # type: ignore[arg-type]  # typeshed has no type for an address of any family

    return act


def _make_file() -> None:
    path = Path(sys.prefix) / "webnn-attack"
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    path.unlink()


def _load_library() -> None:
    try:
        ctypes.CDLL("libanl.so.1")
    except OSError as error:
        # The loader reports in words; what stopped it was the first call that it made.
        raise OSError(errno.EACCES, str(error)) from error


def _map(flags: int, protection: int, size: int = _PAGE) -> Callable[[], None]:
    return lambda: mmap.mmap(-1, size, flags=flags, prot=protection).close()


def _make_executable() -> None:
    with mmap.mmap(-1, _PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        anchor = ctypes.c_char.from_buffer(memory)
        try:
            _kernel.system_call("mprotect", ctypes.addressof(anchor), _PAGE, mmap.PROT_READ | mmap.PROT_EXEC)
        finally:
            del anchor


def _exhaust_memory() -> None:
    limit, _ = resource.getrlimit(resource.RLIMIT_DATA)
    if limit == resource.RLIM_INFINITY:
        return
    _map(mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE, mmap.PROT_READ | mmap.PROT_WRITE, limit)()


def _exhaust_region() -> None:
    limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    descriptor = os.memfd_create("attack", os.MFD_CLOEXEC)
    try:
        os.ftruncate(descriptor, min(limit, (1 << 62)) + _PAGE)
    finally:
        os.close(descriptor)


def _exhaust_descriptors() -> None:
    opened: list[int] = []
    try:
        for _ in range(1 << 16):
            opened.append(os.dup(2))
    finally:
        for descriptor in opened:
            os.close(descriptor)


def _exhaust_threads() -> None:
    limit, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    end = threading.Event()
    started = threading.Semaphore(0)
    finished = threading.Semaphore(0)

    def wait() -> None:
        started.release()
        end.wait()
        finished.release()

    count = 0
    previous_size = threading.stack_size(1 << 16)
    try:
        for _ in range(min(limit, 4096) + 1):
            try:
                _thread.start_new_thread(wait, ())
            except RuntimeError as error:
                raise OSError(errno.EAGAIN, f"after {count} threads: {error}") from error
            count += 1
            started.acquire()
    finally:
        threading.stack_size(previous_size)
        end.set()
        for _ in range(count):
            finished.acquire()


def _exhaust_shared_memory() -> None:
    limit, _ = resource.getrlimit(resource.RLIMIT_DATA)
    regions: list[mmap.mmap] = []
    chunk = min(limit, 64 << 20)
    for _ in range(2 * limit // chunk):
        descriptor = os.memfd_create("attack", os.MFD_CLOEXEC)
        os.ftruncate(descriptor, chunk)
        regions.append(mmap.mmap(descriptor, chunk))
        os.close(descriptor)
        for offset in range(0, chunk, _PAGE):
            regions[-1][offset] = 1


def _spawn(start: Callable[[], int]) -> Callable[[], int]:
    def act() -> int:
        child = start()
        if child == 0:
            os._exit(0)
        return os.waitpid(child, 0)[0]

    return act


def _signal_every_process() -> None:
    os.kill(-1, 0)


def _enter_by_the_x32_door() -> int:
    # The number of getpid in the x32 table: harmless in itself, if the door were open.
    return _kernel.system_call(0x40000000 | NUMBERS["getpid"])


def _raise_limit() -> None:
    # Not by `resource`, which makes a ValueError of the refusal.
    _kernel.system_call("prlimit64", 0, resource.RLIMIT_CORE, struct.pack("QQ", 1, 1), None)


def _attach_program() -> None:
    left, right = socket.socketpair()
    with left, right:
        left.setsockopt(socket.SOL_SOCKET, 26, struct.pack("HxxxxxxQ", 0, 0))  # SO_ATTACH_FILTER


def _listen_for_signals_of_files() -> None:
    reader, writer = os.pipe()
    try:
        _kernel.system_call("fcntl", reader, 8, 1)  # F_SETOWN: the kernel would signal process 1
    finally:
        os.close(reader)
        os.close(writer)


_READ_WRITE_EXECUTE: Final = mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC
_PRIVATE: Final = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
_CLONE_NEWUSER: Final = 0x10000000
_STRICT: Final = frozenset({Level.STRICT})


def _deadly(name: str, goal: str, call: str, *arguments: _kernel.Argument) -> Attempt:
    return Attempt(name, goal, _call(call, *arguments), frozenset())


_ATTEMPTS: Final = {
    attempt.name: attempt
    for attempt in (
        # Files
        Attempt("read-file", "the users of the machine", _open("/etc/passwd", os.O_RDONLY), _HIDDEN),
        Attempt("read-home", "the owner's keys", _open(os.path.expanduser("~"), os.O_RDONLY), _HIDDEN),
        Attempt("list-root", "the lie of the land", _open("/", os.O_RDONLY | os.O_DIRECTORY), _REFUSED),
        Attempt("write-file", "code that others will run", _make_file, _HIDDEN),
        Attempt("create-file", "files for others to stumble over", _open("attack", os.O_CREAT | os.O_WRONLY), _HIDDEN),
        Attempt("read-memory-file", "its own secrets through /proc", _open("/proc/self/mem", os.O_RDWR), _HIDDEN),
        Attempt("read-init-memory", "memory of another process", _open("/proc/1/mem", os.O_RDONLY), _HIDDEN),
        Attempt("read-init-environment", "secrets of another process", _open("/proc/1/environ", os.O_RDONLY), _HIDDEN),
        # Network
        Attempt("socket-tcp", "a way out", lambda: socket.socket(socket.AF_INET).close(), _REFUSED),
        Attempt("socket-unix", "a local service", lambda: socket.socket(socket.AF_UNIX).close(), _REFUSED, _GPU),
        Attempt(
            "socket-netlink", "the kernel's largest attack surface", lambda: socket.socket(16, 3).close(), _REFUSED
        ),
        Attempt("socket-packet", "others' traffic", lambda: socket.socket(17, 3).close(), _REFUSED),
        Attempt(
            "connect-abstract",
            "a local service without a path",
            _connect(socket.AF_UNIX, "\0webnn-attack"),
            _REFUSED | {"ECONNREFUSED"},
        ),
        Attempt("attach-socket-filter", "a program that the kernel compiles", _attach_program, _REFUSED),
        # Processes
        Attempt("fork", "a process that nobody watches", _spawn(os.fork), _REFUSED),
        Attempt(
            "clone-new-user",
            "capabilities",
            _spawn(_call("clone", _CLONE_NEWUSER | signal.SIGCHLD, 0, 0, 0, 0)),
            _REFUSED,
        ),
        Attempt("signal-init", "an end of its supervision", lambda: os.kill(1, signal.SIGKILL), _REFUSED),
        Attempt("signal-everybody", "an end of everything", _signal_every_process, _REFUSED),
        Attempt("signal-by-file", "signals sent by the kernel", _listen_for_signals_of_files, _REFUSED),
        Attempt("open-process", "a handle on another process", lambda: os.pidfd_open(1), frozenset({"ENOSYS"})),
        _deadly("exec", "another program", "execve", b"/bin/true", None, None),
        _deadly("ptrace", "control over another process", "ptrace", 16, 1, 0, 0),
        _deadly("read-process", "memory of another process", "process_vm_readv", 1, None, 0, None, 0, 0),
        _deadly("write-process", "memory of another process", "process_vm_writev", 1, None, 0, None, 0, 0),
        _deadly("steal-descriptor", "a file of another process", "pidfd_getfd", 0, 0, 0),
        # Memory and code
        Attempt("load-library", "code that was not there", _load_library, _REFUSED, _GPU),
        Attempt("map-writable-executable", "code of its own", _map(_PRIVATE, _READ_WRITE_EXECUTE), _REFUSED),
        Attempt("map-executable", "code of its own", _map(_PRIVATE, mmap.PROT_READ | mmap.PROT_EXEC), _REFUSED, _GPU),
        Attempt("make-executable", "code of its own", _make_executable, _REFUSED, jit=False),
        Attempt("exhaust-memory", "the machine's end", _exhaust_memory, _NO_MEMORY),
        Attempt("exhaust-region", "the machine's end, in shared memory", _exhaust_region, frozenset({"EFBIG"})),
        Attempt("exhaust-descriptors", "the machine's end, in files", _exhaust_descriptors, frozenset({"EMFILE"})),
        Attempt(
            "exhaust-threads", "the machine's end, in threads", _exhaust_threads, frozenset({"EAGAIN"}), levels=_STRICT
        ),
        Attempt(
            "exhaust-shared-memory",
            "the machine's end, where private memory is not counted",
            _exhaust_shared_memory,
            frozenset(),
            memory_group=True,
        ),
        # The kernel
        _deadly("unshare-user", "capabilities", "unshare", _CLONE_NEWUSER),
        _deadly("join-namespace", "another namespace", "setns", 0, 0),
        _deadly("mount", "another file system", "mount", b"none", b"/", b"tmpfs", 0, None),
        _deadly("change-root", "another file system", "chroot", b"/"),
        _deadly("bpf", "a program in the kernel", "bpf", 0, None, 0),
        _deadly("perf", "the kernel's counters", "perf_event_open", None, 0, -1, -1, 0),
        _deadly("userfaultfd", "a stopped kernel", "userfaultfd", 0),
        Attempt("io-uring", "calls that no filter sees", _call("io_uring_setup", 1, None), frozenset({"ENOSYS"})),
        _deadly("io-uring-enter", "calls that no filter sees", "io_uring_enter", 0, 0, 0, 0, None, 0),
        _deadly("keyring", "keys of the user", "keyctl", 0, -4, 0, 0, 0),
        _deadly("become-root", "privileges", "setuid", 0),
        _deadly("personality", "executable data", "personality", 0x0400000),
        _deadly("load-module", "the kernel itself", "init_module", None, 0, b""),
        _deadly("file-handle", "files without paths", "open_by_handle_at", -1, None, 0),
        Attempt("x32-entry", "calls by other numbers", _enter_by_the_x32_door, frozenset()),
        Attempt("unknown-call", "what the policy forgot", lambda: os.setpgid(0, 0), _REFUSED),
        Attempt("raise-limits", "no limits", _raise_limit, _REFUSED),
    )
}
