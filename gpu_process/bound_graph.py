"""Graphs with their tensors: validated once, bound to memory once, run as often as wanted."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from gpu_process.backends import BackendError, Binding, CompiledGraph
from gpu_process.tensors import Tensor
from ipc.descriptors import Descriptor
from ipc.errors import OperationError

LONG: Final = 250_000
"""Nanoseconds of a run for which others are not kept waiting: ten times what it costs to let them go on."""

_UNKNOWN: Final = 1 << 62
_MAX_VARIANTS: Final = 16


@dataclass(slots=True, eq=False)
class GraphObject:
    """A compiled graph of a context.

    Attributes:
        inputs, outputs: descriptors by name, as validated.
        in_place_inputs, in_place_outputs: names of those that may be bound to memory that the renderer can change.
        bindings: ids of the bindings that it is part of.
    """

    token: bytes
    compiled: CompiledGraph
    inputs: Mapping[str, Descriptor]
    outputs: Mapping[str, Descriptor]
    in_place_inputs: frozenset[str]
    in_place_outputs: frozenset[str]
    bindings: set[int] = field(default_factory=set)


class BoundGraph:
    """A graph with its tensors. The backend binds memory, so that there is a binding for each combination of places.

    Attributes:
        duration: nanoseconds of the last run, copies included; very many before the first.
    """

    __slots__ = ("_bound", "_in_slots", "_variants", "duration", "graph", "inputs", "outputs")

    def __init__(self, graph: GraphObject, inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor]) -> None:
        self.graph = graph
        self.inputs = [(tensor, name in graph.in_place_inputs, name) for name, tensor in inputs.items()]
        self.outputs = [(tensor, name in graph.in_place_outputs, name) for name, tensor in outputs.items()]
        self.duration = _UNKNOWN
        self._in_slots = [tensor for tensor, in_place, _ in (*self.inputs, *self.outputs) if in_place]
        self._variants: dict[tuple[int, ...], Binding] = {}
        self._bound: Binding | None = None  # of the last run

    def run(self) -> None:
        """Compute the outputs, or poison them if it fails."""
        began = time.monotonic_ns()
        try:
            for tensor, in_place, _ in self.inputs:
                if tensor.failure is not None:
                    self._poison(tensor.failure)
                    return
                tensor.make_current(in_place)
            bound = self._bound = self._binding()
            bound.run()
        except BackendError as error:
            self._poison(OperationError(f"dispatch: {error}"))
        except MemoryError as error:
            self._poison(OperationError(f"dispatch: out of memory: {error}"))
        else:
            for tensor, in_place, _ in self.outputs:
                tensor.made_by_graph(in_place)
        self.duration = time.monotonic_ns() - began

    def _binding(self) -> Binding:
        places = tuple([tensor.place for tensor in self._in_slots])
        bound = self._variants.get(places)
        if bound is None:
            if len(self._variants) == _MAX_VARIANTS:
                del self._variants[next(iter(self._variants))]
            bound = self._variants[places] = self._bind()
        return bound

    def _bind(self) -> Binding:
        return self.graph.compiled.bind(
            {name: tensor.array(in_place) for tensor, in_place, name in self.inputs},
            {name: tensor.array(in_place) for tensor, in_place, name in self.outputs},
        )

    def _poison(self, failure: OperationError) -> None:
        for tensor, _, _ in self.outputs:
            tensor.failure = failure
