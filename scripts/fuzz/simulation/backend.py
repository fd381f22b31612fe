"""A backend for the simulation: adds integers, slowly, and watches how it is used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from gpu_process.backends import BackendError, Binding
from ipc.descriptors import DataType, Descriptor
from ipc.graph import Graph, OperandId
from ipc.limits import SupportLimits
from ipc.operators import declared_limits
from scripts.fuzz.simulation.world import World

CELL: Final = Descriptor(DataType.INT32, (1,))
"""All tensors of a simulation."""

FAILING: Final = "fails"
"""The label of an operation that fails."""

_UNFINISHED: Final = -(2**31)
_LIMITS: Final = declared_limits()  # made once: it is large


class WatchfulBackend:
    """Every kernel has points in its middle, where memory that it reads or writes must not be seen to change.

    Attributes:
        complaints: what must not happen.
        alive: compiled graphs that are not closed.
    """

    name = "reference"
    version = "simulated"

    def __init__(self, world: World) -> None:
        self.world = world
        self.complaints: list[str] = []
        self.alive = 0

    def support_limits(self) -> SupportLimits:
        return _LIMITS

    def compile(self, graph: Graph, constants: Mapping[OperandId, Any]) -> _Compiled:
        self.world.point()
        return _Compiled(self, graph, dict(constants))

    def warm_up(self) -> None:
        """Nothing is loaded lazily."""

    def complain(self, text: str) -> None:
        if not self.world.closing:
            self.complaints.append(text)


class _Compiled:
    def __init__(self, backend: WatchfulBackend, graph: Graph, constants: Mapping[OperandId, Any]) -> None:
        self.devices = ("cpu",)
        # By the parity of its size, so that both ways occur, and always the same for the same graph.
        in_place = len(graph.operands) % 2 == 0
        self.in_place_inputs = frozenset(name for name, _ in graph.inputs) if in_place else frozenset[str]()
        self.in_place_outputs = frozenset(name for name, _ in graph.outputs) if in_place else frozenset[str]()
        self.backend = backend
        self.graph = graph
        self.constants = constants
        self.closed = False
        self.running = False
        backend.alive += 1

    def bind(self, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> Binding:
        return _Bound(self, inputs, outputs)

    def close(self) -> None:
        if self.closed:
            self.backend.complain("a graph was closed twice")
        if self.running:
            self.backend.complain("a graph was closed while it ran")
        if not self.closed:
            self.backend.alive -= 1
        self.closed = True


class _Bound:
    def __init__(self, compiled: _Compiled, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> None:
        self._compiled = compiled
        self._inputs = dict(inputs)
        self._outputs = dict(outputs)

    def run(self) -> None:
        compiled, backend = self._compiled, self._compiled.backend
        if compiled.closed:
            backend.complain("a graph ran after it was closed")
        if compiled.running:
            backend.complain("a graph ran twice at a time")
        compiled.running = True
        try:
            self._run(backend.world.point, backend.complain)
        finally:
            compiled.running = False

    def _run(self, point: Callable[[], None], complain: Callable[[str], None]) -> None:
        graph = self._compiled.graph
        before = {name: int(array[0]) for name, array in self._inputs.items()}
        for array in self._outputs.values():
            array[0] = _UNFINISHED
        point()
        values = {operand: np.int32(before[name]) for name, operand in graph.inputs}
        values |= {operand: np.int32(array.reshape(-1)[0]) for operand, array in self._compiled.constants.items()}
        for operation in graph.operations:
            if operation.label == FAILING:
                raise BackendError(f"{operation.operator.name} [{FAILING}]: it was told to fail")
            with np.errstate(all="ignore"):
                values[operation.outputs[0]] = np.int32(sum(values[operand] for operand in operation.operand_ids()))
        point()
        for name, array in self._inputs.items():
            if int(array[0]) != before[name]:
                complain(f"input {name} changed from {before[name]} to {int(array[0])} while a graph ran")
        for name, array in self._outputs.items():
            if int(array[0]) != _UNFINISHED:
                complain(f"output {name} was written by somebody else while a graph ran")
        for name, operand in graph.outputs:
            self._outputs[name][0] = values[operand]
