"""Which kernels of a runtime an operator becomes."""

from __future__ import annotations

from collections.abc import Mapping

from ipc.descriptors import DataType
from scripts.probe import trial
from scripts.probe.calls import Call


def of(backend: str, call: Call, types: Mapping[str, DataType]) -> tuple[tuple[str, ...], bool]:
    """Kernels of the graph without guards, as `Div:int32`, and whether the runtime computes it with guards at all."""
    given = trial.operands(call, types)
    guarded = trial.build(trial.backend(backend), call, given).compiled
    if backend == "openvino":
        return (), any(step.engine.value == "openvino" for step in guarded.plan.steps if hasattr(step, "engine"))  # type: ignore[attr-defined]
    from gpu_process.backends.onnxruntime import _graph

    graph, constants = trial.recorded(call, given)
    lowered = _graph.lower(graph, constants, guards=False)
    names = (f"{node.op_type}:{node.results[0].data_type.name.lower()}" for node in lowered.nodes)
    return tuple(dict.fromkeys(names)), True
