"""A read under way: waited for in the caller's thread, or settled by whoever hears of its end."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING

from ipc.errors import InvalidStateError
from renderer._arrays import Array
from renderer._promises import Promise

if TYPE_CHECKING:
    from ipc.timeline import ReadHandle


class Read:
    """One read of a tensor.

    Its handle stays among those of the tensor until it is over, so that destroying the tensor can cancel it.
    """

    __slots__ = ("_deliver", "_handle", "_under_way")

    def __init__(self, handle: ReadHandle, under_way: set[ReadHandle], deliver: Callable[[memoryview], Array]) -> None:
        self._handle = handle
        self._under_way = under_way
        self._deliver = deliver
        under_way.add(handle)

    def result(self, timeout: float | None = None) -> Array:
        """What was read. Giving up leaves the tensor usable.

        Raises:
            InvalidStateError: tensor or context were destroyed or lost meanwhile.
            OperationError: a failed dispatch has left no value.
            TimeoutError: it took longer than `timeout` seconds.
        """
        try:
            return self._deliver(self._handle.result(timeout))
        except CancelledError:
            raise InvalidStateError("read_tensor: the tensor was destroyed, or its context lost, meanwhile") from None
        except TimeoutError:
            self._handle.cancel()
            raise
        finally:
            self._under_way.discard(self._handle)

    def promise(self) -> Promise[Array]:
        """The same without waiting: delivered in the thread that hears of the end."""
        promise: Promise[Array] = Promise()

        def settle(_: object) -> None:
            try:
                promise.resolve(self.result(0))
            except Exception as error:
                promise.reject(error)

        self._handle.add_done_callback(settle)
        return promise
