"""What a context must do, said in a few lines: one value per tensor, one command after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

Value = int | None
"""Of a tensor; None where a failed dispatch has poisoned it."""

TENSORS: Final = 3
"""That a context may have at a time."""


@dataclass(slots=True)
class ModelGraph:
    """y = the sum of all inputs + `addend`; or nothing but a failure."""

    inputs: int
    addend: int
    fails: bool


@dataclass(slots=True)
class ModelContext:
    """Tensors by their number. Whoever issues a command applies it here at once: that is what the order means."""

    tensors: dict[int, Value] = field(default_factory=dict)

    @property
    def is_full(self) -> bool:
        return len(self.tensors) >= TENSORS

    def create(self, tensor: int) -> None:
        self.tensors[tensor] = 0

    def write(self, tensor: int, value: int) -> None:
        self.tensors[tensor] = value

    def dispatch(self, graph: ModelGraph, inputs: Sequence[int], output: int) -> None:
        values = [self.tensors[tensor] for tensor in inputs]
        if graph.fails or any(value is None for value in values):
            self.tensors[output] = None
            return
        total = sum(value for value in values if value is not None) + graph.addend
        self.tensors[output] = (total + 2**31) % 2**32 - 2**31

    def read(self, tensor: int) -> Value:
        return self.tensors[tensor]

    def destroy(self, tensor: int) -> None:
        del self.tensors[tensor]
