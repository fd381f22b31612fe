"""Which system calls a confined process may make: the whole policy, as data.

A rule names its calls, gives the verdict on them and the reason for it. Where a rule tests arguments, the verdict holds
if every test does; otherwise the call is refused. Tests only ever allow: whatever a later kernel gives a meaning to
stays shut.

- `ALLOW`: what a warm process was seen to need (both backends, gRPC, threads, shared memory), and what is harmless.
- `refuse(...)`: what libraries try and can do without, with the error that they expect.
- `DANGEROUS`: what no part of the process has any business calling; see `Mode` for what happens.
- everything else is *unknown*: refused with EPERM and reported.
"""

from __future__ import annotations

import enum
import errno
import fcntl
import mmap
import socket
import termios
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gpu_process.sandbox.levels import Role, SandboxSpec
from gpu_process.sandbox.system_calls import NAMES, NUMBERS

_WORD: Final = (1 << 64) - 1
_INT: Final = (1 << 32) - 1


class Decision(enum.Enum):
    """What the policy thinks of a call."""

    ALLOW = "allow"
    REFUSE = "refuse"
    DANGEROUS = "dangerous"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A decision; with the error number that the caller sees if the call is refused."""

    decision: Decision
    errno: int = errno.EPERM


ALLOW: Final = Verdict(Decision.ALLOW)
DANGEROUS: Final = Verdict(Decision.DANGEROUS)
UNKNOWN: Final = Verdict(Decision.UNKNOWN)


def refuse(number: int) -> Verdict:
    """Refused with error `number`."""
    return Verdict(Decision.REFUSE, number)


@dataclass(frozen=True, slots=True)
class ArgumentTest:
    """Holds if argument `index`, masked with `mask`, is one of `values`."""

    index: int
    values: tuple[int, ...]
    mask: int

    def holds(self, arguments: Sequence[int]) -> bool:
        """Whether the test holds for a call with these six arguments."""
        return arguments[self.index] & self.mask in self.values


def one_of(index: int, *values: int) -> ArgumentTest:
    """Argument `index`, an int to the kernel, which ignores the upper half of the register, is one of `values`."""
    return ArgumentTest(index, values, _INT)


def none_of(index: int, bits: int) -> ArgumentTest:
    """Argument `index` has none of `bits` set."""
    return ArgumentTest(index, (0,), bits)


def only(index: int, bits: int) -> ArgumentTest:
    """Argument `index`, an int to the kernel, has nothing but `bits` set."""
    return none_of(index, _INT & ~bits)


def null(index: int) -> ArgumentTest:
    """Argument `index`, a pointer, is null."""
    return ArgumentTest(index, (0,), _WORD)


@dataclass(frozen=True, slots=True)
class Rule:
    """The verdict on some calls, with its reason."""

    calls: str
    verdict: Verdict
    reason: str
    tests: tuple[ArgumentTest, ...] = ()
    otherwise: Verdict = Verdict(Decision.REFUSE, errno.EPERM)

    def judge(self, arguments: Sequence[int]) -> Verdict:
        """The verdict on a call with these six arguments."""
        return self.verdict if all(test.holds(arguments) for test in self.tests) else self.otherwise


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules of one process, by the number of the call."""

    rules: Mapping[int, Rule]

    def judge(self, number: int, arguments: Sequence[int]) -> Verdict:
        """The verdict on system call `number` with six arguments, as the filter in the kernel reaches it."""
        rule = self.rules.get(number)
        return UNKNOWN if rule is None else rule.judge(arguments)


def policy_for(spec: SandboxSpec, pid: int) -> Policy:
    """The policy of the process described by `spec`, whose id in its own PID namespace is `pid`.

    Raises:
        ValueError: `spec.deny` names an unknown system call, or the table names one twice.
    """
    rules: dict[int, Rule] = {}
    for rule in _table(spec, pid):
        for call in rule.calls.split():
            if NUMBERS[call] in rules:
                raise ValueError(f"system call {call} has two rules")
            rules[NUMBERS[call]] = rule
    for call in spec.deny:
        if call not in NUMBERS:
            raise ValueError(f"deny: {call!r} is not a system call")
        rules[NUMBERS[call]] = Rule(call, refuse(errno.EPERM), "denied on request, to inject a fault")
    return Policy(rules)


def call_name(number: int) -> str:
    """The name of system call `number`, or a description of the number."""
    return NAMES.get(number, f"system call {number}")


def _table(spec: SandboxSpec, pid: int) -> Iterator[Rule]:
    yield from _EVERYWHERE
    yield Rule("tgkill", ALLOW, "a thread signals its own process, as abort() does", (one_of(0, pid),))
    match spec.role:
        case Role.GPU_PROCESS:
            yield from _GPU_PROCESS
            yield _MPROTECT_ANY if spec.executable_memory else _MPROTECT_DATA
        case Role.RENDERER:
            yield from _RENDERER
            yield _MPROTECT_DATA


# --- The table --------------------------------------------------------------------------------------------------------

_CLONE_VM, _CLONE_SIGHAND, _CLONE_THREAD = 0x100, 0x800, 0x10000
_CLONE_OF_A_THREAD: Final = _CLONE_VM | _CLONE_SIGHAND | _CLONE_THREAD
# Time, mount, cgroup, uts, ipc, user, pid and net namespaces; pidfd, ptrace and vfork; a parent or a session of choice.
_CLONE_NEVER: Final = 0x80 | 0x20000 | 0x7E000000 | 0x1000 | 0x2000 | 0x4000 | 0x8000

_AT_EMPTY_PATH: Final = 0x1000
_MFD_CLOEXEC, _MFD_ALLOW_SEALING, _MFD_NOEXEC_SEAL = 1, 2, 8
_O_ASYNC: Final = 0x2000
_PR_SET_NAME, _PR_GET_NAME, _PR_SET_VMA = 15, 16, 0x53564D41
_PR_GET_DUMPABLE, _PR_GET_SECCOMP, _PR_CAPBSET_READ, _PR_GET_NO_NEW_PRIVS, _PR_GET_MDWE = 3, 21, 23, 39, 66
_FUTEX_CALLS: Final = "futex futex_waitv futex_wait futex_wake futex_requeue"
_MADVISE_HARMLESS: Final = (
    *(0, 1, 2, 3, 4),  # normal, random, sequential, will need, don't need
    *(8, 10, 11),  # free; (don't) fork
    *(14, 15, 16, 17),  # (no) huge pages, (don't) dump
    *(18, 19, 20, 21),  # wipe or keep on fork, cold, page out
    *(22, 23, 25),  # populate for reading or writing, collapse
    *(102, 103),  # guard pages of thread stacks
)
# SO_ATTACH_FILTER and its kin are missing on purpose: programs that the kernel compiles are a way to spray code.
_SOCKET_OPTIONS: Final = (
    *(socket.SO_REUSEADDR, socket.SO_TYPE, socket.SO_ERROR, socket.SO_SNDBUF, socket.SO_RCVBUF, socket.SO_KEEPALIVE),
    *(socket.SO_LINGER, socket.SO_REUSEPORT, socket.SO_PASSCRED, socket.SO_PEERCRED, socket.SO_RCVLOWAT),
    *(
        socket.SO_RCVTIMEO,
        socket.SO_SNDTIMEO,
        socket.SO_ACCEPTCONN,
        socket.SO_PROTOCOL,
        socket.SO_DOMAIN,
        60,
    ),  # zero copy
)

_MPROTECT_ANY: Final = Rule(
    "mprotect", ALLOW, "OpenVINO's CPU plugin writes its kernels and then makes them executable, in place"
)
_MPROTECT_DATA: Final = Rule(
    "mprotect", ALLOW, "memory is made readable or writable, never executable", (none_of(2, mmap.PROT_EXEC),)
)

_EVERYWHERE: Final = (
    # Memory
    Rule("brk munmap mremap msync mseal", ALLOW, "the heap and its mappings; none of them adds a permission"),
    Rule("madvise", ALLOW, "advice that changes no content of a shared file", (one_of(2, *_MADVISE_HARMLESS),)),
    Rule("membarrier", ALLOW, "barriers between threads"),
    Rule(
        "memfd_create",
        ALLOW,
        "shared regions; never huge pages, never a file to execute",
        (only(1, _MFD_CLOEXEC | _MFD_ALLOW_SEALING | _MFD_NOEXEC_SEAL),),
    ),
    Rule(
        "mbind set_mempolicy get_mempolicy", refuse(errno.EPERM), "NUMA hints of TBB and oneDNN, who ignore the error"
    ),
    Rule("mlock mlock2 mlockall munlock munlockall", refuse(errno.EPERM), "pinned memory is the machine's loss"),
    Rule("remap_file_pages pkey_mprotect", refuse(errno.EPERM), "old and new ways around the rule on mprotect"),
    # Threads
    Rule(
        "clone",
        ALLOW,
        "a thread, never a process, never a namespace",
        (ArgumentTest(0, (_CLONE_OF_A_THREAD,), _CLONE_OF_A_THREAD | _CLONE_NEVER),),
    ),
    Rule("clone3", refuse(errno.ENOSYS), "its flags lie behind a pointer; the C library then uses clone"),
    Rule("fork vfork", refuse(errno.EPERM), "no process is ever needed"),
    Rule("wait4 waitid", refuse(errno.EPERM), "there are no children"),
    Rule("exit exit_group set_robust_list rseq set_tid_address", ALLOW, "the life of threads"),
    Rule(_FUTEX_CALLS, ALLOW, "locks"),
    Rule("sched_yield getcpu", ALLOW, "spinning politely"),
    Rule("sched_getaffinity sched_setaffinity", ALLOW, "thread pools pin their own threads; there is no other process"),
    Rule(
        "sched_getparam sched_getscheduler sched_get_priority_max sched_get_priority_min", ALLOW, "read by thread pools"
    ),
    Rule("sched_setparam sched_setscheduler sched_setattr setpriority ioprio_set", refuse(errno.EPERM), "no favours"),
    Rule(
        "gettid getpid getppid getpgrp getpgid getsid getuid geteuid getgid getegid getgroups",
        ALLOW,
        "its own identity",
    ),
    Rule("getresuid getresgid", ALLOW, "its own identity"),
    # Signals
    Rule("rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigsuspend", ALLOW, "its own handlers and masks"),
    Rule("rt_sigtimedwait sigaltstack restart_syscall pause", ALLOW, "waiting for its own signals"),
    Rule("kill tkill rt_sigqueueinfo rt_tgsigqueueinfo pidfd_send_signal", refuse(errno.EPERM), "signals to others"),
    # Time
    Rule("clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday time times", ALLOW, "clocks, reading only"),
    Rule("timerfd_create timerfd_settime timerfd_gettime", ALLOW, "timers that are descriptors"),
    # Descriptors
    Rule(
        "read write readv writev pread64 pwrite64 preadv pwritev lseek close close_range", ALLOW, "what is open already"
    ),
    Rule("dup dup2 dup3 pipe pipe2 eventfd eventfd2", ALLOW, "descriptors that lead nowhere outside"),
    Rule("epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2", ALLOW, "gRPC waits"),
    Rule("poll ppoll select pselect6", ALLOW, "Python waits"),
    Rule("fstat ftruncate", ALLOW, "size of what is open already"),
    Rule("fallocate", ALLOW, "memory committed ahead, no holes punched", (one_of(1, 0),)),
    Rule(
        "fcntl",
        ALLOW,
        "flags and seals; none that would have the kernel signal somebody",
        (
            one_of(
                1,
                *(fcntl.F_DUPFD, fcntl.F_DUPFD_CLOEXEC, fcntl.F_GETFD, fcntl.F_SETFD, fcntl.F_GETFL, fcntl.F_SETFL),
                *(fcntl.F_ADD_SEALS, fcntl.F_GET_SEALS),
            ),
            none_of(2, _O_ASYNC),
        ),
    ),
    Rule(
        "ioctl",
        ALLOW,
        "blocking or not, closed on exec or not, bytes waiting; drivers are not spoken to",
        (one_of(1, termios.FIONBIO, termios.FIONREAD, termios.FIOCLEX, termios.FIONCLEX),),
        otherwise=refuse(errno.ENOTTY),
    ),
    # Sockets
    Rule("recvfrom recvmsg recvmmsg sendmsg sendmmsg shutdown", ALLOW, "connections that exist, descriptors over them"),
    Rule("sendto", ALLOW, "to the connected peer only", (null(4),)),
    Rule("getsockname getpeername", ALLOW, "who is at the other end"),
    Rule("getsockopt", ALLOW, "asked by gRPC"),
    Rule(
        "setsockopt",
        ALLOW,
        "plain options; no filter programs",
        (one_of(1, socket.SOL_SOCKET), one_of(2, *_SOCKET_OPTIONS)),
    ),
    Rule("socketpair", ALLOW, "both ends are here", (one_of(0, socket.AF_UNIX),)),
    # The machine
    Rule("uname sysinfo getrusage getrandom getrlimit", ALLOW, "reading only; the names are the namespace's"),
    Rule("prlimit64", ALLOW, "its own limits, reading only", (one_of(0, 0), null(2))),
    Rule("setrlimit", refuse(errno.EPERM), "limits stay"),
    Rule(
        "prctl",
        ALLOW,
        "names of threads and mappings; reading back what is locked",
        (
            one_of(
                0,
                *(_PR_SET_NAME, _PR_GET_NAME, _PR_SET_VMA),
                *(_PR_GET_DUMPABLE, _PR_GET_SECCOMP, _PR_CAPBSET_READ, _PR_GET_NO_NEW_PRIVS, _PR_GET_MDWE),
            ),
        ),
    ),
    Rule("capget", ALLOW, "reading back what is locked"),
    Rule("arch_prctl", refuse(errno.EPERM), "segment bases are set when threads are made"),
    Rule("map_shadow_stack", refuse(errno.ENOSYS), "not available"),
    Rule("seccomp landlock_create_ruleset landlock_add_rule landlock_restrict_self", refuse(errno.EPERM), "it is shut"),
    # Ways out
    Rule("execve execveat", DANGEROUS, "another program"),
    Rule(
        "ptrace process_vm_readv process_vm_writev process_madvise process_mrelease kcmp", DANGEROUS, "other processes"
    ),
    Rule("pidfd_getfd", DANGEROUS, "descriptors of other processes"),
    Rule("pidfd_open", refuse(errno.ENOSYS), "tried by libraries, who then do without"),
    Rule("unshare setns", DANGEROUS, "capabilities by way of a new user namespace"),
    Rule("mount umount2 pivot_root chroot", DANGEROUS, "another file system"),
    Rule(
        "open_tree open_tree_attr move_mount fsopen fsconfig fsmount fspick mount_setattr", DANGEROUS, "the same, newer"
    ),
    Rule("name_to_handle_at open_by_handle_at", DANGEROUS, "files without paths"),
    Rule("bpf perf_event_open userfaultfd", DANGEROUS, "favourite tools of kernel exploits"),
    Rule("io_uring_enter io_uring_register", DANGEROUS, "calls that no filter sees"),
    Rule("io_uring_setup", refuse(errno.ENOSYS), "tried by libraries, who then do without"),
    Rule("io_setup io_submit io_destroy io_cancel io_getevents io_pgetevents", DANGEROUS, "another path to files"),
    Rule("add_key request_key keyctl", DANGEROUS, "keyrings are not in any namespace"),
    Rule(
        "setuid setgid setreuid setregid setresuid setresgid setgroups setfsuid setfsgid capset",
        DANGEROUS,
        "privileges",
    ),
    Rule("personality", DANGEROUS, "READ_IMPLIES_EXEC would undo the rule on executable memory"),
    Rule("modify_ldt iopl ioperm", DANGEROUS, "the processor itself"),
    Rule("memfd_secret", DANGEROUS, "memory that not even the kernel accounts for in the usual way"),
    Rule("migrate_pages move_pages", DANGEROUS, "memory of other processes"),
    Rule(
        "init_module finit_module delete_module create_module kexec_load kexec_file_load reboot",
        DANGEROUS,
        "the kernel",
    ),
    Rule("swapon swapoff acct quotactl quotactl_fd syslog vhangup uselib", DANGEROUS, "administration"),
    Rule("settimeofday clock_settime clock_adjtime adjtimex sethostname setdomainname", DANGEROUS, "administration"),
    Rule("fanotify_init fanotify_mark lookup_dcookie", DANGEROUS, "watching others' files"),
)

_FILES_BY_PATH: Final = (
    "open openat openat2 creat access faccessat faccessat2 stat lstat readlink readlinkat getcwd chdir fchdir "
    "statfs fstatfs getdents getdents64 unlink unlinkat rename renameat renameat2 mkdir mkdirat rmdir "
    "link linkat symlink symlinkat "
    "truncate utimensat utime utimes futimesat flock fsync fdatasync fadvise64 umask"
)
_PERMISSIONS_OF_FILES: Final = (
    "chmod fchmod fchmodat fchmodat2 chown fchown fchownat lchown mknod mknodat "
    "inotify_init inotify_init1 inotify_add_watch "
    "getxattr lgetxattr fgetxattr setxattr lsetxattr fsetxattr listxattr llistxattr flistxattr "
    "removexattr lremovexattr fremovexattr sync syncfs sync_file_range"
)
_COPIES: Final = "sendfile copy_file_range splice tee vmsplice"
_SYSTEM_V: Final = (
    "shmget shmat shmctl shmdt semget semop semtimedop semctl msgget msgsnd msgrcv msgctl "
    "mq_open mq_unlink mq_timedsend mq_timedreceive mq_notify mq_getsetattr"
)

_GPU_PROCESS: Final = (
    Rule("mmap", ALLOW, "data only: no library is loaded any more", (none_of(2, mmap.PROT_EXEC),)),
    Rule("accept4 accept", ALLOW, "renderers connect to the socket that was bound before"),
    Rule("socket bind listen connect", refuse(errno.EPERM), "no new sockets"),
    Rule(
        "newfstatat",
        ALLOW,
        "size of what is open already",
        (one_of(3, _AT_EMPTY_PATH),),
        otherwise=refuse(errno.EACCES),
    ),
    Rule("statx", refuse(errno.ENOSYS), "the C library then uses newfstatat"),
    Rule(_FILES_BY_PATH, refuse(errno.EACCES), "all files were opened before; libraries expect this error"),
    Rule(_PERMISSIONS_OF_FILES, refuse(errno.EACCES), "the same"),
    Rule(_COPIES, refuse(errno.EPERM), "bytes are moved by reading and writing"),
    Rule(_SYSTEM_V, refuse(errno.EPERM), "shared memory is sealed files here"),
)

_RENDERER: Final = (
    Rule(
        "mmap",
        ALLOW,
        "libraries that the script imports, but never writable and executable at once",
        (ArgumentTest(2, (0, mmap.PROT_WRITE, mmap.PROT_EXEC), mmap.PROT_WRITE | mmap.PROT_EXEC),),
    ),
    Rule("socket", ALLOW, "the channel to the GPU process", (one_of(0, socket.AF_UNIX),)),
    Rule("connect", ALLOW, "network and mount namespaces leave nothing but the run directory's sockets"),
    Rule("bind listen accept accept4", refuse(errno.EPERM), "a renderer serves nobody"),
    Rule("newfstatat statx", ALLOW, "what exists is what was given to it"),
    Rule(_FILES_BY_PATH, ALLOW, "the private root and Landlock decide"),
    Rule(_PERMISSIONS_OF_FILES, refuse(errno.EACCES), "it owns no file"),
    Rule(_COPIES, refuse(errno.EPERM), "bytes are moved by reading and writing"),
    Rule(_SYSTEM_V, refuse(errno.EPERM), "shared memory is sealed files here"),
)
