"""Backends that do on command what real ones do by accident; what they compute, the reference computes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gpu_process.backends import Backend, BackendError, BackendOptions, Binding, CompiledGraph, load_backend
from gpu_process.backends._interface import Array
from ipc.graph import Graph, OperandId
from ipc.limits import SupportLimits

Meddle = Callable[[Graph], None]


class MeddlingBackend:
    """The reference, with something in front of each run and each compilation, and after each run."""

    def __init__(
        self,
        *,
        before_run: Meddle = lambda graph: None,
        before_compile: Meddle = lambda graph: None,
        in_place: bool = False,
    ) -> None:
        self._reference: Backend = load_backend("reference", BackendOptions())
        self.name = "reference"
        self.version = self._reference.version
        self.before_run = before_run
        self.after_run: Meddle = lambda graph: None
        self.before_compile = before_compile
        self.in_place = in_place
        self.on_close: Callable[[], object] = lambda: None
        self.runs = 0

    def support_limits(self) -> SupportLimits:
        return self._reference.support_limits()

    def compile(self, graph: Graph, constants: Mapping[OperandId, Array]) -> CompiledGraph:
        self.before_compile(graph)
        return _Meddled(self, graph, self._reference.compile(graph, constants))

    def warm_up(self) -> None:
        self._reference.warm_up()


class _Meddled:
    def __init__(self, backend: MeddlingBackend, graph: Graph, compiled: CompiledGraph) -> None:
        self._backend = backend
        self._graph = graph
        self._compiled = compiled
        self.devices = compiled.devices
        self.in_place_inputs = frozenset(name for name, _ in graph.inputs) if backend.in_place else frozenset()
        self.in_place_outputs = frozenset(name for name, _ in graph.outputs) if backend.in_place else frozenset()

    def bind(self, inputs: Mapping[str, Array], outputs: Mapping[str, Array]) -> Binding:
        return _MeddledBinding(self._backend, self._graph, self._compiled.bind(inputs, outputs))

    def close(self) -> None:
        self._compiled.close()
        self._backend.on_close()


@dataclass(frozen=True)
class _MeddledBinding:
    backend: MeddlingBackend
    graph: Graph
    binding: Binding

    def run(self) -> None:
        self.backend.runs += 1
        self.backend.before_run(self.graph)
        self.binding.run()
        self.backend.after_run(self.graph)


class FailingBackend(MeddlingBackend):
    """Every run of a labelled graph fails, naming operator and label."""

    def __init__(self) -> None:
        super().__init__(before_run=self._fail)

    @staticmethod
    def _fail(graph: Graph) -> None:
        operation = graph.operations[0]
        if operation.label:
            raise BackendError(f"{operation.operator.name} [{operation.label}]: it was told to fail")


class GatedBackend(MeddlingBackend):
    """Every run waits for the gate.

    Attributes:
        entered: set when a run waits.
        open: set it to let it go.
    """

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.open = threading.Event()
        super().__init__(before_run=self._wait)

    def _wait(self, graph: Graph) -> None:
        self.entered.set()
        assert self.open.wait(20)
