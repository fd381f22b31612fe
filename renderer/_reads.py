"""A read under way: waited for in the caller's thread, or settled by whoever hears of its end."""

from __future__ import annotations

from concurrent.futures import CancelledError
from typing import TYPE_CHECKING

from ipc.descriptors import Descriptor
from ipc.errors import InvalidStateError
from renderer._arrays import Array, read_only
from renderer._promises import Promise

if TYPE_CHECKING:
    from ipc.timeline import ReadHandle


class Read:
    """One read of a tensor.

    Its handle stays among those of the tensor until it is over, so that destroying the tensor can cancel it.
    """

    __slots__ = ("_descriptor", "_handle", "_target", "_under_way")

    def __init__(
        self, handle: ReadHandle, under_way: set[ReadHandle], descriptor: Descriptor, target: Array | None
    ) -> None:
        """
        Args:
            under_way: reads of the same tensor.
            target: the array whose bytes are filled; None where those that the handle brings are shown.
        """
        self._handle = handle
        self._under_way = under_way
        self._descriptor = descriptor
        self._target = target
        under_way.add(handle)

    def result(self, timeout: float | None = None) -> Array:
        """What was read. Giving up leaves the tensor usable.

        Raises:
            InvalidStateError: tensor or context were destroyed or lost meanwhile.
            OperationError: a failed dispatch has left no value.
            TimeoutError: it took longer than `timeout` seconds.
        """
        try:
            data = self._handle.result(timeout)
            return read_only(data, self._descriptor) if self._target is None else self._target
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
