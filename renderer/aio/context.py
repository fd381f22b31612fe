"""The context of the asyncio twin."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import overload

from ipc.descriptors import Descriptor
from renderer._arrays import Array, Buffer
from renderer._context import ContextCore
from renderer._context_state import LostInfo
from renderer._conversions import DataTypeLike
from renderer._promises import start
from renderer.aio._listening import listening
from renderer.aio._outcomes import Shielded, outcome
from renderer.graph import MLGraph
from renderer.tensor import MLTensor


class MLContext(ContextCore):
    """`renderer.MLContext`, with its blocking methods as coroutines."""

    @property
    def lost(self) -> Shielded[LostInfo]:
        """Awaitable that resolves, and never raises, when the context is lost. Source: WebNN, `MLContext.lost`."""
        return Shielded(self._lost)

    @overload
    async def create_tensor(
        self, data_type: Descriptor, /, *, readable: bool = False, writable: bool = False
    ) -> MLTensor: ...
    @overload
    async def create_tensor(
        self, data_type: DataTypeLike, shape: Iterable[int], *, readable: bool = False, writable: bool = False
    ) -> MLTensor: ...
    async def create_tensor(
        self,
        data_type: Descriptor | DataTypeLike,
        shape: Iterable[int] | None = None,
        *,
        readable: bool = False,
        writable: bool = False,
    ) -> MLTensor:
        """See `renderer.MLContext.create_tensor`."""
        descriptor = self._to_descriptor(data_type, shape)
        made = start(self._create_tensor(descriptor, readable=bool(readable), writable=bool(writable)))
        return await outcome(made, MLTensor.destroy)

    @overload
    async def create_constant_tensor(self, data_type: Descriptor, data: Buffer, /) -> MLTensor: ...
    @overload
    async def create_constant_tensor(
        self, data_type: DataTypeLike, shape: Iterable[int], data: Buffer, /
    ) -> MLTensor: ...
    async def create_constant_tensor(self, data_type: Descriptor | DataTypeLike, *shape_and_data: Buffer) -> MLTensor:
        """See `renderer.MLContext.create_constant_tensor`."""
        descriptor, data = self._to_constant(data_type, shape_and_data)
        return await outcome(start(self._create_constant_tensor(descriptor, data)), MLTensor.destroy)

    @overload
    async def read_tensor(self, tensor: MLTensor, *, copy: bool = True) -> Array: ...
    @overload
    async def read_tensor(self, tensor: MLTensor, *, out: Buffer) -> None: ...
    async def read_tensor(self, tensor: MLTensor, *, out: Buffer | None = None, copy: bool = True) -> Array | None:
        """See `renderer.MLContext.read_tensor`. Cancelled, it leaves the tensor usable, and may still fill `out`."""
        read = self._read(tensor, out, copy=copy)
        with listening(self._timeline):
            result = await outcome(read.promise())
        return result if out is None else None

    async def compute(self, graph: MLGraph, inputs: Mapping[str, Buffer]) -> dict[str, Array]:
        """See `renderer.MLContext.compute`."""
        reads = await outcome(start(self._compute(graph, inputs)))
        with listening(self._timeline):
            return {name: await outcome(read.promise()) for name, read in reads.items()}
