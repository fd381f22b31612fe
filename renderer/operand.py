"""Operands: the values that a graph is made of, before it has any."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipc.descriptors import DataType, Descriptor

if TYPE_CHECKING:
    from ipc.graph import OperandId
    from renderer._builder import BuilderCore


class MLOperand:
    """An input, a constant, or the result of an operation; made by the methods of a builder.

    Source: WebNN, `MLOperand`.
    """

    __slots__ = ("_builder", "_descriptor", "_id")

    def __init__(self, builder: BuilderCore, id: OperandId, descriptor: Descriptor) -> None:
        self._builder = builder
        self._id = id
        self._descriptor = descriptor

    @property
    def data_type(self) -> DataType:
        return self._descriptor.data_type

    @property
    def shape(self) -> tuple[int, ...]:
        return self._descriptor.shape

    def __repr__(self) -> str:
        return f"<MLOperand {self._descriptor}>"
