"""The backend interface over ONNX Runtime's CPU provider."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnxruntime

from gpu_process.backends._interface import Array, BackendOptions, aligned_empty
from gpu_process.backends._undefined import refuse_undefined
from gpu_process.backends.onnxruntime._graph import lower
from gpu_process.backends.onnxruntime._lowering import LOWERINGS
from gpu_process.backends.onnxruntime._session import CompiledOnnxGraph
from ipc import operators as ops
from ipc.descriptors import DataType, Descriptor
from ipc.graph import Graph, OperandId, Operation
from ipc.limits import SupportLimits


class OnnxRuntimeBackend:
    """ONNX Runtime, CPU provider, float32 where float32 was asked for."""

    name = "onnxruntime"
    version: str = onnxruntime.__version__

    def __init__(self, options: BackendOptions) -> None:
        onnxruntime.disable_telemetry_events()
        self._options = options

    def support_limits(self) -> SupportLimits:
        """What has a lowering that is exact."""
        return LOWERINGS.support_limits()

    def compile(self, graph: Graph, constants: Mapping[OperandId, Array]) -> CompiledOnnxGraph:
        refuse_undefined(graph)
        lowered = lower(graph, constants, guards=self._options.guards)
        return CompiledOnnxGraph(graph, lowered, self._options)

    def warm_up(self) -> None:
        """Compile and run one matrix product, so that all libraries, pools and imports are there."""
        shape = (4, 4)
        matrix = Descriptor(DataType.FLOAT32, shape)
        operation = Operation(ops.matmul, {"a": 0, "b": 0}, {}, (1,))
        graph = Graph([matrix, matrix], [("x", 0)], {}, [operation], [("y", 1)])
        compiled = self.compile(graph, {})
        x, y = (aligned_empty(shape, np.dtype(np.float32)) for _ in range(2))
        x[:] = 1
        compiled.bind({"x": x}, {"y": y}).run()
        compiled.close()
