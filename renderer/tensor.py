"""Tensors: memory of a context, written and read by the caller, bound to the inputs and outputs of graphs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipc.descriptors import DataType, Descriptor
from renderer._ownership import Owned

if TYPE_CHECKING:
    from ipc.timeline import ClientTensor, ReadHandle
    from renderer._context_state import ContextState


class MLTensor(Owned):
    """A tensor; made by `create_tensor` or `create_constant_tensor` of a context.

    Source: WebNN, `MLTensor`.
    """

    def __init__(
        self,
        context: ContextState,
        handle: ClientTensor,
        descriptor: Descriptor,
        *,
        readable: bool = False,
        writable: bool = False,
        constant: bool = False,
    ) -> None:
        super().__init__()
        self._context = context
        self._handle = handle
        self._descriptor = descriptor
        self._layout = (descriptor.data_type.storage, descriptor.storage_shape)  # of the array that is like it
        self._readable = readable
        self._writable = writable
        self._constant = constant
        self._reads: set[ReadHandle] = set()

    @property
    def data_type(self) -> DataType:
        return self._descriptor.data_type

    @property
    def shape(self) -> tuple[int, ...]:
        return self._descriptor.shape

    @property
    def readable(self) -> bool:
        """Whether `read_tensor` may read it."""
        return self._readable

    @property
    def writable(self) -> bool:
        """Whether `write_tensor` may write it; `dispatch` writes any tensor."""
        return self._writable

    @property
    def constant(self) -> bool:
        """Whether it serves as a constant of graphs, and for nothing else."""
        return self._constant

    def destroy(self) -> None:
        """Free it once all that was issued before is done; idempotent. Pending reads raise InvalidStateError."""
        self._context._destroy_tensor(self)  # noqa: SLF001  a context and its tensors are one room

    def _forget(self) -> None:
        self._context._forget_tensor(self._handle)  # noqa: SLF001

    def __repr__(self) -> str:
        uses = [name for name in ("readable", "writable", "constant") if getattr(self, name)]
        return f"<MLTensor {' '.join([str(self._descriptor), *uses])}>"
