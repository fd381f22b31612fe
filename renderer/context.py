"""The context of the blocking API."""

from __future__ import annotations

import concurrent.futures
import time
from collections.abc import Iterable, Mapping
from typing import overload

from ipc.descriptors import Descriptor
from renderer._arrays import Array, Buffer
from renderer._context import ContextCore
from renderer._context_state import LostInfo
from renderer._conversions import DataTypeLike
from renderer._promises import start, wait
from renderer.graph import MLGraph
from renderer.tensor import MLTensor


class MLContext(ContextCore):
    """A context: where tensors and graphs live, and in what order they are used; made by `ML.create_context`.

    Thread-safe. Blocking methods take `timeout` in seconds and raise TimeoutError after it.

    Source: WebNN, `MLContext`.
    """

    @property
    def lost(self) -> concurrent.futures.Future[LostInfo]:
        """Resolves, and never raises, when the context is lost. Source: WebNN, `MLContext.lost`."""
        return self._lost

    @overload
    def create_tensor(
        self,
        data_type: Descriptor,
        /,
        *,
        readable: bool = False,
        writable: bool = False,
        timeout: float | None = None,
    ) -> MLTensor: ...
    @overload
    def create_tensor(
        self,
        data_type: DataTypeLike,
        shape: Iterable[int],
        *,
        readable: bool = False,
        writable: bool = False,
        timeout: float | None = None,
    ) -> MLTensor: ...
    def create_tensor(
        self,
        data_type: Descriptor | DataTypeLike,
        shape: Iterable[int] | None = None,
        *,
        readable: bool = False,
        writable: bool = False,
        timeout: float | None = None,
    ) -> MLTensor:
        """A tensor of zeros.

        Args:
            readable: whether `read_tensor` may read it.
            writable: whether `write_tensor` may write it; `dispatch` binds any tensor.

        Raises:
            MLTypeError: type or shape are not valid.
            InvalidStateError: the context is lost.
            UnknownError: there is no memory for it.
            QuotaExceededError: the session has too many, or too large ones.

        Source: WebNN, `MLContext.createTensor`.
        """
        descriptor = self._to_descriptor(data_type, shape)
        made = start(self._create_tensor(descriptor, readable=bool(readable), writable=bool(writable)))
        return wait(made, timeout, MLTensor.destroy)

    @overload
    def create_constant_tensor(
        self, data_type: Descriptor, data: Buffer, /, *, timeout: float | None = None
    ) -> MLTensor: ...
    @overload
    def create_constant_tensor(
        self, data_type: DataTypeLike, shape: Iterable[int], data: Buffer, /, *, timeout: float | None = None
    ) -> MLTensor: ...
    def create_constant_tensor(
        self, data_type: Descriptor | DataTypeLike, *shape_and_data: Buffer, timeout: float | None = None
    ) -> MLTensor:
        """A tensor that serves as a constant of any number of graphs, and for nothing else. `data` are copied now.

        Raises:
            MLTypeError: type or shape are not valid, or `data` doesn't match them.
            InvalidStateError: the context is lost.
            UnknownError: there is no memory for it.
            QuotaExceededError: the session has too many, or too large ones.

        Source: WebNN, `MLContext.createConstantTensor`.
        """
        descriptor, data = self._to_constant(data_type, shape_and_data)
        return wait(start(self._create_constant_tensor(descriptor, data)), timeout, MLTensor.destroy)

    @overload
    def read_tensor(self, tensor: MLTensor, *, copy: bool = True, timeout: float | None = None) -> Array: ...
    @overload
    def read_tensor(self, tensor: MLTensor, *, out: Buffer, timeout: float | None = None) -> None: ...
    def read_tensor(
        self, tensor: MLTensor, *, out: Buffer | None = None, copy: bool = True, timeout: float | None = None
    ) -> Array | None:
        """What the tensor holds after all that was issued before: a new array, or None where it went into `out`.

        int4 and uint4 come packed, as one dimension of uint8.

        Args:
            out: a writable, contiguous array of the tensor's type, or of bytes; its head is filled. A read that is
                given up may still fill it.
            copy: False gives a read-only array, valid until the next write or dispatch that touches the tensor.
                An extension.

        Raises:
            MLTypeError: the tensor is of another context or not readable, or `out` is too small or of another type.
            InvalidStateError: tensor or context are destroyed or lost, or become so meanwhile.
            OperationError: a dispatch that failed has left no value.

        Source: WebNN, `MLContext.readTensor`.
        """
        result = self._read(tensor, out, copy=copy).result(timeout)
        return result if out is None else None

    def compute(
        self, graph: MLGraph, inputs: Mapping[str, Buffer], *, timeout: float | None = None
    ) -> dict[str, Array]:
        """Write arrays, dispatch, and read, on tensors that the graph keeps for this. An extension.

        Raises:
            MLTypeError: an input is missing, unknown, or doesn't match.
            InvalidStateError: graph or context are destroyed or lost.
            OperationError: the computation failed.
        """
        deadline = None if timeout is None else time.monotonic() + timeout

        def left() -> float | None:
            return None if deadline is None else max(0.0, deadline - time.monotonic())

        reads = wait(start(self._compute(graph, inputs)), left())
        return {name: read.result(left()) for name, read in reads.items()}
