"""Constants on their way: all of a builder's share one region, each at an aligned place."""

from __future__ import annotations

from ipc.shared_memory import ALIGNMENT, UnsealedConstants

REGION_NAME = "webnn-constants"

_SMALL_BYTES = 4 << 10  # of a constant that is not worth a system call of its own
_GATHERED_BYTES = 64 << 10


class Constants:
    """The bytes of a builder's constants, copied once: to where the GPU process will read them.

    Small ones are gathered first, so that a builder with some numbers has no descriptor open until it builds. What the
    outputs turn out not to need stays in the region: such constants are rare, and a second copy would be for everybody.
    """

    def __init__(self) -> None:
        self._region: UnsealedConstants | None = None
        self._gathered = bytearray()
        self._written = 0  # bytes that are in the region

    def add(self, data: memoryview) -> int:
        """Take a copy of the bytes; their offset in the region.

        Raises:
            MemoryError: the system has no memory left.
        """
        end = self._written + len(self._gathered)
        gap = -end % ALIGNMENT
        if data.nbytes < _SMALL_BYTES:
            self._gathered += bytes(gap)
            self._gathered += data
            if len(self._gathered) >= _GATHERED_BYTES:
                self._flush()
        else:
            self._flush()
            self._open().write(data, end + gap)
            self._written = end + gap + data.nbytes
        return end + gap

    def read(self, offset: int, length: int) -> bytes:
        """What was added, for tools that look at a recording."""
        self._flush()
        return self._open().read(offset, length)

    def seal(self) -> int:
        """The descriptor of the sealed region, which is the caller's to close. Nothing can be added any more.

        Raises:
            MemoryError: the system has no memory left.
        """
        self._flush()
        return self._open().seal()

    def _flush(self) -> None:
        if self._gathered:
            self._open().write(memoryview(self._gathered), self._written)
            self._written += len(self._gathered)
            self._gathered = bytearray()

    def _open(self) -> UnsealedConstants:
        if self._region is None:
            self._region = UnsealedConstants(REGION_NAME)
        return self._region
