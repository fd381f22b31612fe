"""What tensors, graphs and contexts have in common: `destroy`, `with`, and an end by garbage collection."""

from __future__ import annotations

import os
import warnings
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

from ipc.errors import InvalidStateError


class Owned(ABC):
    """An object that stands for something in another process and is destroyed explicitly, by `with`, or when forgotten.

    `_destroyed` is what its owner knows; it is set before the other process is told.
    """

    _destroyed = False
    _process = 0  # of an object whose construction failed

    def __init__(self) -> None:
        self._process = os.getpid()

    @abstractmethod
    def destroy(self) -> None:
        """Destroy it; idempotent."""

    @abstractmethod
    def _forget(self) -> None:
        """Destroy it from within garbage collection: no lock may be taken, nothing may be waited for."""

    def _check_process(self) -> None:
        """Raises:
        InvalidStateError: this is a forked child; sockets and threads belong to its parent.
        """
        if os.getpid() != self._process:
            raise InvalidStateError(f"made in process {self._process}, used after fork in {os.getpid()}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.destroy()

    def __del__(self) -> None:
        if self._destroyed or os.getpid() != self._process:
            return
        try:
            warnings.warn(f"forgotten: {self!r}; destroy it, or use `with`", ResourceWarning, stacklevel=2, source=self)
        finally:  # warnings may be errors
            self._forget()
