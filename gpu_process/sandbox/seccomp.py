"""The system-call filter: installing it, and who hears of what it stops.

With a supervisor, dangerous and unknown calls are handed to it through the kernel's user notification: the calling
thread waits, the supervisor, outside, logs the call and its arguments as the kernel saw them, and answers with an error
or with SIGKILL. It never answers "go on"; without an answer, for it has died, the kernel fails the call with ENOSYS. So
the host learns which call it was, and a process that lies about itself changes nothing. Without a supervisor dangerous
calls make the kernel kill the process at once (SIGSYS in its status), and unknown ones fail with EPERM.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
from typing import Final

from gpu_process.sandbox import _kernel
from gpu_process.sandbox._filter import INSTRUCTION, assemble
from gpu_process.sandbox.levels import LEVEL_OPTION, MODE_OPTION, Layer, Mode, SandboxError, SandboxSpec
from gpu_process.sandbox.policy import Decision, Policy, Verdict, policy_for
from gpu_process.sandbox.privileges import forbid_new_privileges

RET_KILL_PROCESS: Final = 0x80000000
RET_ERRNO: Final = 0x00050000
RET_USER_NOTIF: Final = 0x7FC00000
RET_ALLOW: Final = 0x7FFF0000

SET_MODE_FILTER: Final = 1
GET_ACTION_AVAIL: Final = 2

_FLAG_TSYNC: Final = 1
_FLAG_NEW_LISTENER: Final = 8
_FLAG_TSYNC_ESRCH: Final = 16
_FLAG_WAIT_KILLABLE: Final = 32

_HANDOVER: Final = struct.Struct("i")


def install(spec: SandboxSpec, supervisor: socket.socket | None) -> None:
    """Puts every thread of this process under the policy of `spec`, for good.

    Args:
        spec: what to apply.
        supervisor: the Unix socket, shared with nobody else, over which the listener goes to whom `receive_listener` is
            called by. This process keeps no copy: with one it could answer its own calls.

    Raises:
        SandboxError: the kernel refuses, a thread cannot be bound, or `spec.mode` needs a supervisor and there is none.
    """
    if supervisor is None and spec.mode is not Mode.ENFORCE:
        raise SandboxError(
            Layer.SECCOMP, f"mode {spec.mode} reports to a supervisor, and there is none", f"use {MODE_OPTION}=enforce"
        )
    pid = os.getpid()
    program = filter_program(policy_for(spec, pid), spec.mode, supervised=supervisor is not None)
    forbid_new_privileges()
    try:
        listener = _install(program, listen=supervisor is not None)
        if supervisor is not None:
            try:
                socket.send_fds(supervisor, [_HANDOVER.pack(pid)], [listener])
            finally:
                os.close(listener)
    except OSError as error:
        remedy = f"use Linux 5.19 or later with CONFIG_SECCOMP_FILTER, or ask for {LEVEL_OPTION}=off"
        raise SandboxError(Layer.SECCOMP, "the filter cannot be installed", remedy, error) from error


def receive_listener(channel: socket.socket) -> tuple[int, int]:
    """What `install` sent at the other end of `channel`: the listener, and the process's id in its own namespace.

    Raises:
        EOFError: the other end closed without having sent one: it did not get as far as locking itself in.
    """
    data, descriptors, _, _ = socket.recv_fds(channel, _HANDOVER.size, 1)
    if len(data) != _HANDOVER.size or len(descriptors) != 1:
        for descriptor in descriptors:
            os.close(descriptor)
        raise EOFError("the process ended before it was locked in")
    os.set_inheritable(descriptors[0], False)
    return descriptors[0], _HANDOVER.unpack(data)[0]


def filter_program(policy: Policy, mode: Mode, *, supervised: bool) -> bytes:
    """The filter of `policy` as the kernel takes it."""

    def action(verdict: Verdict) -> int:
        match verdict.decision:
            case Decision.ALLOW:
                return RET_ALLOW
            case Decision.REFUSE if mode is not Mode.AUDIT:
                return RET_ERRNO | verdict.errno
            case _ if supervised:
                return RET_USER_NOTIF
            case Decision.DANGEROUS:
                return RET_KILL_PROCESS
            case _:
                return RET_ERRNO | verdict.errno

    return assemble(policy, action)


def action_available(action: int) -> bool:
    """Whether this kernel knows the action `action` of filters."""
    try:
        _kernel.system_call("seccomp", GET_ACTION_AVAIL, 0, struct.pack("I", action))
    except OSError as error:
        if _kernel.is_missing(error):
            return False
        raise
    return True


def _install(program: bytes, *, listen: bool) -> int:
    """Installs `program` on all threads; returns the listener, or 0."""
    instructions = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HxxxxxxQ", len(program) // INSTRUCTION.size, ctypes.addressof(instructions))
    flags = _FLAG_TSYNC | _FLAG_TSYNC_ESRCH
    if not listen:
        return _kernel.system_call("seccomp", SET_MODE_FILTER, flags, header)
    try:
        # Only a fatal signal takes a waiting thread away from its supervisor.
        return _kernel.system_call("seccomp", SET_MODE_FILTER, flags | _FLAG_NEW_LISTENER | _FLAG_WAIT_KILLABLE, header)
    except OSError as error:
        if not _kernel.is_missing(error):
            raise
        return _kernel.system_call("seccomp", SET_MODE_FILTER, flags | _FLAG_NEW_LISTENER, header)
