"""Faults in a GPU process on request: `ipc.faults`, and what goes wrong with builds, dispatches and memory."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping

from gpu_process.backends import Backend, BackendError, Binding, CompiledGraph
from gpu_process.backends._interface import Array
from ipc import faults
from ipc.faults import Place, Plan
from ipc.graph import Graph, OperandId
from ipc.limits import SupportLimits


def disturb_backends(plan: Plan, backends: Mapping[str, Backend]) -> dict[str, Backend]:
    """The backends to use instead of these."""
    builds, runs = plan.place("gpu.compile"), plan.place("gpu.run")
    return {name: _FaultyBackend(backend, builds, runs) for name, backend in backends.items()}


def disturb_process(plan: Plan) -> None:
    """From now on messages and allocations of this process go wrong where the plan says so; call it when it is warm."""
    faults.install(plan, "gpu")
    if (allocations := plan.place("gpu.allocate")) is not None:
        _limit_memory(allocations)


def _limit_memory(place: Place) -> None:
    """Have the making of shared regions fail, as the kernel would."""
    undisturbed = os.memfd_create

    def memfd_create(name: str, flags: int = os.MFD_CLOEXEC) -> int:
        return place.deed(lambda: undisturbed(name, flags), lambda: OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)))

    os.memfd_create = memfd_create


class _FaultyBackend:
    """A backend whose builds and dispatches go wrong where the plan says so."""

    def __init__(self, backend: Backend, builds: Place | None, runs: Place | None) -> None:
        self.name = backend.name
        self.version = backend.version
        self._backend = backend
        self._builds = builds
        self._runs = runs

    def support_limits(self) -> SupportLimits:
        return self._backend.support_limits()

    def warm_up(self) -> None:
        self._backend.warm_up()

    def compile(self, graph: Graph, constants: Mapping[OperandId, Array]) -> CompiledGraph:
        if self._builds is None:
            return self._of(self._backend.compile(graph, constants))
        return self._of(self._builds.deed(lambda: self._backend.compile(graph, constants), _failure))

    def _of(self, compiled: CompiledGraph) -> CompiledGraph:
        return compiled if self._runs is None else _FaultyGraph(compiled, self._runs)


class _FaultyGraph:
    def __init__(self, compiled: CompiledGraph, runs: Place) -> None:
        self.devices = compiled.devices
        self.in_place_inputs = compiled.in_place_inputs
        self.in_place_outputs = compiled.in_place_outputs
        self._compiled = compiled
        self._runs = runs

    def bind(self, inputs: Mapping[str, Array], outputs: Mapping[str, Array]) -> Binding:
        return _FaultyBinding(self._compiled.bind(inputs, outputs), self._runs)

    def close(self) -> None:
        self._compiled.close()


class _FaultyBinding:
    def __init__(self, binding: Binding, runs: Place) -> None:
        self._binding = binding
        self._runs = runs

    def run(self) -> None:
        self._runs.deed(self._binding.run, _failure)


def _failure() -> BackendError:
    return BackendError("it was told to fail")
