"""Pages faulted in behind the back of whoever waits.

The first touch of shared memory takes the kernel 0.4 ms for each MiB, which is ten times what a copy takes. It needs
neither Python's lock nor anybody's answer, so it is done while the renderer goes on. Who comes first, this thread or
whoever uses the memory, makes no difference to what is in it.
"""

from __future__ import annotations

import logging
import queue
import threading
import weakref

from ipc.shared_memory import Region

_PIECE = 4 << 20  # bytes; the kernel keeps the address space locked while it works on one

_logger = logging.getLogger(__name__)


class Faulter:
    """One thread, started when it is first needed. Thread-safe."""

    def __init__(self) -> None:
        self._ranges: queue.SimpleQueue[tuple[weakref.ref[Region], int, int]] = queue.SimpleQueue()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def soon(self, region: Region, offset: int, length: int) -> None:
        """Fault these bytes in, unless the region is gone by then: nothing lives longer for it.

        Each stretch of memory should be asked for once: then no renderer can have more waiting than it may use.
        """
        for start in range(offset, offset + length, _PIECE):
            self._ranges.put((weakref.ref(region), start, min(_PIECE, offset + length - start)))
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="webnn-faulter", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            reference, offset, length = self._ranges.get()
            region = reference()
            if region is not None:
                try:
                    region.prefault(offset, length)
                except MemoryError as error:
                    _logger.warning("pages are not faulted in ahead: %s", error)
            del region
