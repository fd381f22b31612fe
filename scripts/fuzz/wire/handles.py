"""Descriptors to send: the right one, and those that a hostile renderer would try."""

from __future__ import annotations

import fcntl
import os
import socket
import tempfile
from collections.abc import Callable, Mapping

from ipc.shared_memory import seal_constants

_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
_HUGE = 2**31


def _right(size: int) -> list[int]:
    return [seal_constants([bytes(size)], "fuzz")]


def _none(_: int) -> list[int]:
    return []


def _two(size: int) -> list[int]:
    return _right(size) + _right(size)


def _many(size: int) -> list[int]:
    return [descriptor for _ in range(12) for descriptor in _right(size)]


def _short(size: int) -> list[int]:
    return _right(max(1, size - 1))


def _long(size: int) -> list[int]:
    return _right(size + 4096)


def _memfd(size: int) -> int:
    descriptor = os.memfd_create("fuzz", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(descriptor, size)
    return descriptor


def _unsealed(size: int) -> list[int]:
    descriptor = _memfd(size)
    os.pwrite(descriptor, bytes(size), 0)
    return [descriptor]


def _partly_sealed(size: int) -> list[int]:
    (descriptor,) = _unsealed(size)
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
    return [descriptor]


def _hole(_: int) -> list[int]:
    """Sealed, and nothing in it: reading it would commit memory at the reader's expense."""
    descriptor = _memfd(_HUGE)
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
    return [descriptor]


def _sparse(size: int) -> list[int]:
    """The same, as small as it says that it is."""
    descriptor = _memfd(size)
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
    return [descriptor]


def _file(size: int) -> list[int]:
    with tempfile.TemporaryFile() as file:
        file.write(bytes(size))
        file.flush()
        return [os.dup(file.fileno())]


def _device(_: int) -> list[int]:
    return [os.open("/dev/zero", os.O_RDWR | os.O_CLOEXEC)]


def _directory(_: int) -> list[int]:
    return [os.open("/", os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)]


def _pipe(_: int) -> list[int]:
    reading, writing = os.pipe()
    os.close(writing)
    return [reading]


def _socket(_: int) -> list[int]:
    ours, theirs = socket.socketpair()
    theirs.close()
    return [ours.detach()]


def _read_only(size: int) -> list[int]:
    (descriptor,) = _right(size)
    again = os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY | os.O_CLOEXEC)
    os.close(descriptor)
    return [again]


HANDLES: Mapping[str, Callable[[int], list[int]]] = {
    "right": _right,
    "none": _none,
    "two": _two,
    "many": _many,
    "short": _short,
    "long": _long,
    "unsealed": _unsealed,
    "partly sealed": _partly_sealed,
    "hole": _hole,
    "sparse": _sparse,
    "file": _file,
    "device": _device,
    "directory": _directory,
    "pipe": _pipe,
    "socket": _socket,
    "read-only": _read_only,
}
"""By name: makes descriptors for a region of a size; whoever calls it closes them."""
