"""Sealed shared memory: regions that cannot shrink under their readers, and constants that cannot change.

Two kinds of region cross the boundary:

- *pools*, made by the GPU process, which both sides map once; tensors are slots in them. The size is sealed; a pool
  that the renderer may only read is sealed against all writing but through the mapping that the GPU process has;
- *constants*, made by the renderer: written with pwrite(2), then sealed against everything, and mapped private and
  read-only by the GPU process.

Mappings belong to the arrays that show them: memory is unmapped when the last view is gone, never before, and needs no
open descriptor for that.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import math
import mmap
import os
import weakref
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from ipc.verdicts import BadMessage, BadMessageReason

Bytes = npt.NDArray[np.uint8]
"""A one-dimensional array of bytes."""

ALIGNMENT = 64  # a cache line, and what every backend wants of a tensor
PAGE = mmap.PAGESIZE
MAX_REGION_BYTES = 2**40  # far above every quota, far below where arithmetic on addresses could wrap

_F_SEAL_FUTURE_WRITE = 0x10  # linux/fcntl.h; not in CPython 3.11's fcntl
_MFD_NOEXEC_SEAL = 0x8  # linux/memfd.h, Linux 6.3; not in CPython 3.11's os
_MADV_POPULATE_READ, _MADV_POPULATE_WRITE = 22, 23  # linux/mman.h, Linux 5.14
_MAP_FAILED = ctypes.c_void_p(-1).value

POOL_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
READ_ONLY_POOL_SEALS = POOL_SEALS | _F_SEAL_FUTURE_WRITE
CONSTANT_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
_EXEC_SEAL = 0x20  # F_SEAL_EXEC, which MFD_NOEXEC_SEAL sets

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


class Region:
    """A mapped piece of shared memory.

    Attributes:
        size: bytes.
        writable: whether this side may write.
        memory: all of it, as bytes; views of it keep the mapping alive.
    """

    __slots__ = ("__weakref__", "_owner", "memory", "size", "writable")

    def __init__(self, fd: int, size: int, *, writable: bool, private: bool = False) -> None:
        self.size = size
        self.writable = writable
        self._owner = _map(fd, size, writable=writable, private=private)
        self.memory: Bytes = np.frombuffer(memoryview(self._owner), np.uint8)
        self.memory.flags.writeable = writable

    def array(self, offset: int, dtype: np.dtype[Any], shape: tuple[int, ...]) -> npt.NDArray[Any]:
        """The elements at `offset`, which must be within the region and aligned to the element's size.

        Raises:
            ValueError: they are not.
        """
        length = math.prod(shape) * dtype.itemsize
        self._check(offset, length)
        if offset % dtype.itemsize:
            raise ValueError(f"offset {offset} is not aligned to {dtype.itemsize} bytes")
        return self.memory[offset : offset + length].view(dtype).reshape(shape)

    def view(self, offset: int, length: int) -> memoryview:
        """The bytes at `offset`, read-only where the region is.

        Raises:
            ValueError: they are not within the region.
        """
        self._check(offset, length)
        return self.memory.data[offset : offset + length]

    def prefault(self, offset: int, length: int) -> None:
        """Fault the pages in ahead of their use: a first touch costs ten times what copying does."""
        self._check(offset, length)
        start = offset // PAGE * PAGE
        address = self.memory.ctypes.data + start
        advice = _MADV_POPULATE_WRITE if self.writable else _MADV_POPULATE_READ
        if _libc.madvise(address, offset + length - start, advice) != 0:
            number = ctypes.get_errno()
            if number != errno.EINVAL:  # a kernel without it faults the pages in one by one, which is only slower
                raise MemoryError(f"shared memory of {length} bytes: {os.strerror(number)}")

    def when_unmapped(self, callback: Callable[[], object]) -> None:
        """Call `callback` once the last view is gone, in whichever thread lets go of it."""
        weakref.finalize(self._owner, callback).atexit = False

    def _check(self, offset: int, length: int) -> None:
        if offset < 0 or length < 0 or offset + length > self.size:
            raise ValueError(f"{length} bytes at {offset} are not within a region of {self.size}")


def _map(fd: int, size: int, *, writable: bool, private: bool) -> ctypes.Array[ctypes.c_ubyte]:
    """The mapping as an object that unmaps it in the end."""
    protection = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
    sharing = mmap.MAP_PRIVATE if private else mmap.MAP_SHARED
    address = _libc.mmap(None, size, protection, sharing, fd, 0)
    if address == _MAP_FAILED:
        number = ctypes.get_errno()
        if number == errno.ENOMEM:
            raise MemoryError(f"mapping {size} bytes: {os.strerror(number)}")
        raise OSError(number, f"mapping {size} bytes: {os.strerror(number)}")
    owner = (ctypes.c_ubyte * size).from_address(address)
    weakref.finalize(owner, _libc.munmap, address, size).atexit = False
    return owner


def create_pool(size: int, name: str, *, peer_may_write: bool) -> tuple[Region, int]:
    """A region for the slots of tensors, zeroed, and its descriptor: to send to the peer, to `reserve`, and to close.

    Args:
        size: bytes, rounded up to pages.
        name: shown in /proc, for whoever debugs.
        peer_may_write: otherwise the descriptor can be mapped for reading only, whatever its holder tries.

    Raises:
        MemoryError: the system has no memory left, or no descriptors.
    """
    size = -(-size // PAGE) * PAGE
    fd = _memfd(name)
    try:
        os.ftruncate(fd, size)
        region = Region(fd, size, writable=True)
        # Sealed after it is mapped: the mapping stays writable, all later ones are read-only.
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, POOL_SEALS if peer_may_write else READ_ONLY_POOL_SEALS)
    except OSError as error:
        os.close(fd)
        raise MemoryError(f"shared memory of {size} bytes: {error.strerror}") from error
    except BaseException:
        os.close(fd)
        raise
    return region, fd


def reserve(fd: int, offset: int, length: int) -> None:
    """Have the kernel set memory aside for a part of a pool, five times as fast as it is faulted in.

    Whoever touches it afterwards finds zeros, and never that there is no memory left, which would be their end.

    Raises:
        MemoryError: the system has no memory left.
    """
    try:
        os.posix_fallocate(fd, offset, length)
    except OSError as error:
        raise MemoryError(f"shared memory of {length} bytes: {error.strerror}") from error


def map_pool(fd: int, size: int) -> Region:
    """Map a pool that the peer made: for reading and writing, or for reading where it is sealed so.

    The descriptor stays the caller's.

    Raises:
        BadMessage: it is no memfd, can still change its size, or has another size.
    """
    seals = _check_memfd(fd, size, POOL_SEALS)
    return Region(fd, size, writable=not seals & _F_SEAL_FUTURE_WRITE)


class UnsealedConstants:
    """A region of constants in the making.

    Written, not mapped: while a writable mapping lives, the seal against writing is refused.

    Attributes:
        discard: call it to let go of the region at once; it goes with its last reference anyway.
    """

    def __init__(self, name: str) -> None:
        """An empty one; `name` is shown in /proc, for whoever debugs.

        Raises:
            MemoryError: the system has no memory left, or no descriptors.
        """
        self._descriptor = _memfd(name)
        self.discard = weakref.finalize(self, os.close, self._descriptor)
        self.discard.atexit = False

    def write(self, data: memoryview, offset: int) -> None:
        """Copy bytes to `offset`; what was not written before them is zero.

        Raises:
            MemoryError: the system has no memory left.
        """
        view = data.cast("B")
        try:
            while view.nbytes:
                written = os.pwrite(self._descriptor, view, offset)
                view, offset = view[written:], offset + written
        except OSError as error:
            raise MemoryError(f"shared memory for constants: {error.strerror}") from error

    def read(self, offset: int, length: int) -> bytes:
        """Bytes that were written."""
        return os.pread(self._descriptor, length, offset)

    def seal(self) -> int:
        """Seal the region; its descriptor, which is the caller's to close from here on.

        Raises:
            MemoryError: the system has no memory left.
        """
        try:
            fcntl.fcntl(self._descriptor, fcntl.F_ADD_SEALS, CONSTANT_SEALS)
        except OSError as error:
            raise MemoryError(f"shared memory for constants: {error.strerror}") from error
        self.discard.detach()
        return self._descriptor


def seal_constants(chunks: Iterable[bytes | memoryview], name: str) -> int:
    """A sealed region holding `chunks` one after the other; returns its descriptor, which is the caller's to close.

    Raises:
        MemoryError: the system has no memory left.
    """
    region, end = UnsealedConstants(name), 0
    try:
        for chunk in chunks:
            view = memoryview(chunk)
            region.write(view, end)
            end += view.nbytes
        return region.seal()
    except BaseException:
        region.discard()
        raise


def check_constants(fd: int, size: int) -> int:
    """Check a region of constants that the peer handed over, before anything of it is read.

    Returns:
        The bytes that it holds down, to be charged to whoever sent it.

    Raises:
        BadMessage: it is no memfd, can still change, has another size, or has holes, which reading would fill.
    """
    _check_memfd(fd, size, CONSTANT_SEALS)
    allocated = allocated_bytes(fd)
    if allocated < size:
        raise BadMessage(BadMessageReason.REGION_SPARSE, "region_offered.size")
    return allocated


def map_constants(fd: int, size: int) -> Region:
    """Map a region that `check_constants` has passed, private and read-only. The descriptor stays the caller's."""
    return Region(fd, size, writable=False, private=True)


def allocated_bytes(fd: int) -> int:
    """Bytes of memory that a file really holds, holes not counted."""
    return os.fstat(fd).st_blocks * 512  # stat(2): st_blocks is in units of 512 bytes, whatever the block size


def seals_of(fd: int) -> int:
    """The seals of a memfd, without the one against execution.

    Raises:
        OSError: it is not a memfd.
    """
    return fcntl.fcntl(fd, fcntl.F_GET_SEALS) & ~_EXEC_SEAL


def _check_memfd(fd: int, size: int, wanted: int) -> int:
    try:
        seals = seals_of(fd)
    except OSError as error:  # seals exist on memfds only: a file, a device or a socket has none
        raise BadMessage(BadMessageReason.REGION_KIND, "region_offered") from error
    if seals & wanted != wanted:
        raise BadMessage(BadMessageReason.REGION_SEALS, "region_offered")
    if not 0 < size <= MAX_REGION_BYTES or os.fstat(fd).st_size != size:
        raise BadMessage(BadMessageReason.REGION_SIZE, "region_offered.size")
    return seals


def _memfd(name: str) -> int:
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    try:
        return os.memfd_create(name, flags | _MFD_NOEXEC_SEAL)
    except OSError as error:
        if error.errno == errno.EINVAL:  # before Linux 6.3
            return os.memfd_create(name, flags)
        raise MemoryError(f"shared memory: {error.strerror}") from error
