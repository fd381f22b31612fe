"""Raw system calls, through the C library that is already in the process.

Everything here is loaded at import, so that nothing has to be opened once the sandbox is shut.
"""

from __future__ import annotations

import ctypes
import errno
import os
from typing import Final

from gpu_process.sandbox.system_calls import NUMBERS

PR_SET_PDEATHSIG: Final = 1
PR_GET_DUMPABLE: Final = 3
PR_SET_DUMPABLE: Final = 4
PR_CAPBSET_DROP: Final = 24
PR_SET_NO_NEW_PRIVS: Final = 38
PR_CAP_AMBIENT: Final = 47
PR_CAP_AMBIENT_CLEAR_ALL: Final = 4
PR_SET_MDWE: Final = 65
PR_GET_MDWE: Final = 66
PR_MDWE_REFUSE_EXEC_GAIN: Final = 1

_libc: Final = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
_libc.prctl.restype = ctypes.c_int

Argument = int | bytes | ctypes.Array[ctypes.c_char] | None
"""What a system call takes: a number, the bytes or buffer that it points at, or a null pointer."""


def system_call(call: str | int, *arguments: Argument) -> int:
    """Makes system call `call`, by name or by number, and returns its result.

    Raises:
        OSError: the call failed; `errno` is the kernel's.
    """
    number = NUMBERS[call] if isinstance(call, str) else call
    return _checked(str(call), _libc.syscall(ctypes.c_long(number), *map(_as_register, arguments)))


def prctl(option: int, *arguments: int) -> int:
    """Makes prctl(2) with the unused arguments zero, as newer options demand.

    Raises:
        OSError: the kernel refused the option.
    """
    padded = (*arguments, 0, 0, 0, 0)[:4]
    return _checked(f"prctl({option})", _libc.prctl(ctypes.c_int(option), *map(ctypes.c_ulong, padded)))


def is_missing(error: OSError) -> bool:
    """Whether `error` says that this kernel has no such call or option, rather than that it refuses it."""
    return error.errno in (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP)


def _as_register(argument: Argument) -> object:
    return ctypes.c_long(argument) if isinstance(argument, int) else argument


def _checked(name: str, result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return result
