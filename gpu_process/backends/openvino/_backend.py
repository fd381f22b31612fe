"""The backend interface over OpenVINO models and reference graphs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import openvino as ov
from openvino import opset15 as opset

from gpu_process.backends._interface import Array, BackendOptions, aligned_empty
from gpu_process.backends._undefined import refuse_undefined
from gpu_process.backends.openvino import (  # noqa: F401 - importing a family registers its lowerings
    activation,
    convolution,
    elementwise,
    indexing,
    logical,
    matrix,
    normalization,
    pooling,
    quantization,
    recurrent,
    reduction,
    resampling,
    shape,
)
from gpu_process.backends.openvino._guards import guard, safe_indices
from gpu_process.backends.openvino._lowering import LOWERINGS
from gpu_process.backends.openvino._models import Model, OpenVinoModel, ReferenceModel, node_of
from gpu_process.backends.openvino._plan import Engine, GuardStep, ModelStep, Native, Plan, Step, ValueId, make_plan
from gpu_process.backends.openvino._sharing import in_place
from ipc.graph import Graph, OperandId, Operation
from ipc.limits import SupportLimits


def properties(options: BackendOptions) -> dict[str, Any]:
    """How OpenVINO compiles: one stream for low latency, and float32 wherever the graph says float32."""
    chosen: dict[str, Any] = {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "ENABLE_CPU_PINNING": False,  # other processes share the cores
        "INFERENCE_PRECISION_HINT": "f32",  # bfloat16 otherwise, where the CPU has it (hazard H14)
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0,  # no 8-bit activations where the weights are dequantised
        "CPU_DENORMALS_OPTIMIZATION": False,  # denormals are numbers too
    }
    if options.threads:
        chosen["INFERENCE_NUM_THREADS"] = options.threads
    return chosen


class OpenVinoBackend:
    """OpenVINO's CPU plugin, with the reference kernels for what it can't compute exactly."""

    name = "openvino"
    version: str = ov.__version__.split("-")[0]

    def __init__(self, options: BackendOptions) -> None:
        self._options = options
        self._core = ov.Core()
        self._properties = properties(options)

    def support_limits(self) -> SupportLimits:
        """Everything that the declarations allow: the reference kernels stand in where OpenVINO isn't exact."""
        return LOWERINGS.support_limits()

    def compile(self, graph: Graph, constants: Mapping[OperandId, Array]) -> CompiledPlan:
        """Cut the graph into steps and compile each."""
        refuse_undefined(graph)
        plan = make_plan(graph, lambda operation: self._classified(operation, graph))
        arrays: dict[ValueId, Array] = dict(constants)
        for step in plan.constant_guards:
            arrays[step.target] = safe_indices(arrays[step.source], step.bounds)
        models = [self._model(step, arrays) if isinstance(step, ModelStep) else None for step in plan.steps]
        sharing = in_place(graph, plan, self.version) if self._options.in_place else (frozenset(), frozenset())
        return CompiledPlan(graph, plan, models, *sharing)

    def warm_up(self) -> None:
        """Compile and run one small model, which loads the CPU plugin and sets up its threads."""
        image = opset.parameter([1, 1, 4, 4], ov.Type.f32)
        kernel = opset.constant(np.ones((1, 1, 1, 1), np.float32))
        planes = opset.relu(opset.convolution(image, kernel, [1, 1], [0, 0], [0, 0], [1, 1]))
        product = opset.softmax(opset.matmul(planes, planes, False, True), 3)
        model = ov.Model([product], [image], "warm_up")
        request = self._core.compile_model(model, "CPU", self._properties).create_infer_request()
        request.infer([np.ones((1, 1, 4, 4), np.float32)])

    def _classified(self, operation: Operation, graph: Graph) -> Native | None:
        lowering, node = LOWERINGS[operation.operator], node_of(operation, graph)
        if not (lowering.is_exact(node) if self._options.guards else lowering.is_possible(node)):
            return None
        bounds = (lowering.guard.slot, lowering.guard.bounds(node)) if lowering.guard and self._options.guards else None
        return Native(bounds, lowering.materialises is not None and lowering.materialises(node))

    def _model(self, step: ModelStep, constants: Mapping[ValueId, Array]) -> Model:
        used = {operand: constants[value] for operand, value in step.constants.items()}
        if step.engine is Engine.REFERENCE:
            return ReferenceModel(step.graph, used, self._options)
        return OpenVinoModel(self._core, step.graph, used, self._properties)


class CompiledPlan:
    """A graph compiled by this backend; `devices` names the reference kernels where some operation runs on them."""

    def __init__(
        self,
        graph: Graph,
        plan: Plan,
        models: Sequence[Model | None],
        in_place_inputs: frozenset[str],
        in_place_outputs: frozenset[str],
    ) -> None:
        engines = {step.engine for step in plan.steps if isinstance(step, ModelStep)}
        self.devices: tuple[str, ...] = ("cpu", "reference") if Engine.REFERENCE in engines else ("cpu",)
        self.in_place_inputs = in_place_inputs
        self.in_place_outputs = in_place_outputs
        self._graph = graph
        self._plan = plan
        self._models = list(models)

    @property
    def plan(self) -> Plan:
        """The steps, for tools and tests."""
        return self._plan

    def bind(self, inputs: Mapping[str, Array], outputs: Mapping[str, Array]) -> PlanBinding:
        """Bind the arrays, and allocate private memory for the values that cross from one step to another."""
        arrays: dict[ValueId, Array] = {operand: inputs[name] for name, operand in self._graph.inputs}
        copies: list[tuple[Array, Array]] = []
        for name, operand in self._graph.outputs:
            if operand in arrays:
                copies.append((outputs[name], arrays[operand]))
            else:
                arrays[operand] = outputs[name]
        for step in self._plan.steps:
            for value in step.outputs if isinstance(step, ModelStep) else (step.target,):
                if value not in arrays:
                    descriptor = self._plan.descriptors[value]
                    arrays[value] = aligned_empty(descriptor.storage_shape, descriptor.data_type.storage)
        calls = [_bound(step, model, arrays) for step, model in zip(self._plan.steps, self._models, strict=True)]
        return PlanBinding(calls, copies)

    def close(self) -> None:
        self._models = []


class PlanBinding:
    """Steps bound to memory."""

    def __init__(self, calls: Sequence[Callable[[], None]], copies: Sequence[tuple[Array, Array]]) -> None:
        self._calls = calls
        self._copies = copies
        if len(calls) == 1 and not copies:
            self.run = calls[0]  # type: ignore[method-assign] # the common case, without a loop around it

    def run(self) -> None:
        for call in self._calls:
            call()
        for target, source in self._copies:
            np.copyto(target, source)


def _bound(step: Step, model: Model | None, arrays: Mapping[ValueId, Array]) -> Callable[[], None]:
    if isinstance(step, GuardStep):
        return guard(arrays[step.source], arrays[step.target], step.bounds)
    assert model is not None
    return model.bind([arrays[value] for value in step.inputs], [arrays[value] for value in step.outputs])
