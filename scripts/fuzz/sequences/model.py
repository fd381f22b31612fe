"""What the API must do, without processes, carriers or time: objects, what they hold, and what each call raises."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from ipc.errors import InvalidStateError, MLError, MLTypeError

Errors = tuple[type[MLError], ...]
"""What a call may raise; none: it must succeed."""

OK: Final[Errors] = ()
_STATE: Final[Errors] = (InvalidStateError,)
_TYPE: Final[Errors] = (MLTypeError,)


@dataclass(slots=True, eq=False)
class ModelContext:
    """A context; it is over when it, or its renderer, is."""

    renderer: ModelRenderer
    destroyed: bool = False

    @property
    def is_over(self) -> bool:
        return self.destroyed or self.renderer.disconnected


@dataclass(slots=True)
class ModelRenderer:
    disconnected: bool = False


@dataclass(slots=True, eq=False)
class ModelTensor:
    """A tensor of equal elements."""

    context: ModelContext
    readable: bool
    writable: bool
    constant: bool = False
    value: int = 0
    destroyed: bool = False

    @property
    def is_gone(self) -> bool:
        return self.destroyed or self.context.is_over


@dataclass(slots=True, eq=False)
class ModelGraph:
    """y = the sum of the inputs, times a factor, plus a term."""

    context: ModelContext
    inputs: tuple[str, ...]
    factor: int
    term: int
    is_wide: bool = False
    destroyed: bool = False
    held: list[ModelTensor] = field(default_factory=list)

    @property
    def is_gone(self) -> bool:
        return self.destroyed or self.context.is_over

    def result(self, *values: int) -> int:
        return sum(values) * self.factor + self.term


def creating(context: ModelContext) -> Errors:
    return _STATE if context.is_over else OK


def writing(tensor: ModelTensor) -> Errors:
    if tensor.is_gone:
        return _STATE
    return _TYPE if tensor.constant or not tensor.writable else OK


def writing_wrongly(tensor: ModelTensor) -> Errors:
    """With an array of another shape."""
    return writing(tensor) or _TYPE


def reading(tensor: ModelTensor) -> Errors:
    if tensor.is_gone:
        return _STATE
    return _TYPE if tensor.constant or not tensor.readable else OK


def dispatching(graph: ModelGraph, inputs: list[ModelTensor], output: ModelTensor) -> Errors:
    """Called on the graph's own context."""
    if graph.is_gone:
        return _STATE
    tensors = [*inputs, output]
    if len(set(map(id, tensors))) != len(tensors):
        return _TYPE
    if any(tensor.context is not graph.context or tensor.is_gone or tensor.constant for tensor in tensors):
        return _TYPE
    return _TYPE if graph.is_wide else OK


def computing(graph: ModelGraph) -> Errors:
    return _STATE if graph.is_gone else OK
