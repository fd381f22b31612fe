"""Short graphs, built by hand and run on the backend in this process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from gpu_process.backends import Backend, BackendOptions, load_backend
from ipc.descriptors import DataType, Descriptor
from ipc.graph import OperandId
from tests.conformance._in_process import BackendBuilder, BackendContext

Array = npt.NDArray[Any]
Position = Literal["input", "constant", "intermediate"]
POSITIONS: tuple[Position, ...] = ("input", "constant", "intermediate")


class Workbench:
    """A backend, and a graph on it that is being built."""

    def __init__(self, options: BackendOptions | None = None, name: str = "openvino") -> None:
        self.backend: Backend = load_backend(name, options or BackendOptions())
        self._context = BackendContext(self.backend)
        self.restart()

    def restart(self) -> None:
        """Begin another graph."""
        self.builder: BackendBuilder = self._context.builder()
        self._inputs: dict[str, Array] = {}

    def place(self, array: Array, position: Position = "input") -> OperandId:
        """The array as an input, as a constant, or as something that an operation makes of an input."""
        descriptor = Descriptor(DataType.of(array.dtype), array.shape)
        if position == "constant":
            return self.builder.constant(descriptor, array)
        name = f"x{len(self._inputs)}"
        if position == "input":
            self._inputs[name] = array
            return self.builder.input(name, descriptor)
        self._inputs[name] = np.flip(array).copy()
        reversed_back: OperandId = self.call("reverse", self.builder.input(name, descriptor))
        return reversed_back

    def call(self, operator: str, *operands: OperandId | Sequence[OperandId], **options: Any) -> Any:
        return self.builder.call(operator, operands, options)

    def compute(self, **outputs: OperandId) -> dict[str, Array]:
        """Build, run once, and begin another graph."""
        results = dict(self._context.compute(self.builder.build(outputs), self._inputs))
        self.restart()
        return results

    def compiled(self, outputs: Mapping[str, OperandId]) -> Any:
        """The compiled graph, for looking into; begins another graph."""
        graph = self.builder.build(outputs)
        compiled = self.backend.compile(graph.graph, graph.constants)
        self.restart()
        return compiled
