"""A lowered graph in ONNX Runtime, and its runs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import onnxruntime

from gpu_process.backends._interface import Array, BackendError, BackendOptions
from gpu_process.backends.onnxruntime._model import LoweredGraph, is_external, serialize
from gpu_process.backends.onnxruntime._placement import in_place
from gpu_process.backends.onnxruntime._plain_kernels import PROBED_VERSIONS
from ipc.graph import Graph

# Both cost time that grows with the square of the number of nodes that share a constant. The lowering shares constants
# already, and merging equal nodes could make a page's clamp and a guard of ours one.
_DISABLED_OPTIMIZERS = ["CommonSubexpressionElimination", "ConstantSharing"]
_FATAL = 4  # the runtime's severity level; errors arrive as exceptions


class CompiledOnnxGraph:
    """A graph as a session of ONNX Runtime."""

    devices: tuple[str, ...] = ("cpu",)

    def __init__(self, graph: Graph, lowered: LoweredGraph, options: BackendOptions) -> None:
        self._places = _Places(graph)
        self._values = lowered.inputs, lowered.outputs
        self._constants = {
            name: onnxruntime.OrtValue.ortvalue_from_numpy(array.reshape(value.stored_shape))
            for name, (value, array) in lowered.initializers.items()
            if is_external(value, array)
        }
        settings = _settings(options)
        settings.add_external_initializers(list(self._constants), list(self._constants.values()))
        with self._places:
            self._session: Any = onnxruntime.InferenceSession(
                serialize(lowered),
                settings,
                providers=["CPUExecutionProvider"],
                disabled_optimizers=_DISABLED_OPTIMIZERS,
            )
        self.in_place_inputs, self.in_place_outputs = _in_place(lowered, options)

    def bind(self, inputs: Mapping[str, Array], outputs: Mapping[str, Array]) -> _Binding:
        named_inputs, named_outputs = self._values
        with self._places:
            binding = self._session.io_binding()
            for name, value in named_inputs.items():
                array = inputs[name]
                binding.bind_input(value.name, "cpu", 0, array.dtype, value.stored_shape, array.ctypes.data)
            for name, value in named_outputs.items():
                array = outputs[name]
                binding.bind_output(value.name, "cpu", 0, array.dtype, value.stored_shape, array.ctypes.data)
        kept = [*inputs.values(), *outputs.values()]
        return _Binding(self._session, binding, self._places, kept)

    def close(self) -> None:
        self._session = None
        self._constants = {}


class _Binding:
    """A session with the memory it reads and writes."""

    def __init__(self, session: Any, binding: Any, places: _Places, arrays: list[Array]) -> None:
        self._run = session.run_with_iobinding
        self._binding = binding
        self._places = places
        self._arrays = arrays  # the runtime holds bare pointers

    def run(self) -> None:
        try:
            self._run(self._binding)
        except Exception as error:  # the runtime's exceptions have no common base
            raise self._places.error(error) from error


class _Places:
    """Turns the runtime's exceptions into errors that name the caller's operator."""

    def __init__(self, graph: Graph) -> None:
        self._operations = [(operation.operator.name, operation.label) for operation in graph.operations]

    def error(self, error: Exception) -> BackendError:
        found = re.search(r"\bop(\d+)_\d+", str(error))
        if found is None:
            return BackendError(f"onnxruntime: {error}")
        name, label = self._operations[int(found[1])]
        return BackendError(f"{name} [{label}]: {error}" if label else f"{name}: {error}")

    def __enter__(self) -> None:
        pass

    def __exit__(self, _type: object, error: object, _traceback: object) -> None:
        if isinstance(error, Exception):
            raise self.error(error) from error


def _in_place(lowered: LoweredGraph, options: BackendOptions) -> tuple[frozenset[str], frozenset[str]]:
    if not options.in_place or onnxruntime.__version__ not in PROBED_VERSIONS:
        return frozenset(), frozenset()
    if not options.guards:
        return frozenset(lowered.inputs), frozenset(lowered.outputs)
    return in_place(lowered)


def _settings(options: BackendOptions) -> Any:
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = options.threads
    settings.inter_op_num_threads = 1
    settings.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    settings.log_severity_level = _FATAL
    # A spinning pool takes the core on which the renderer writes its next input.
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    settings.use_deterministic_compute = True
    return settings
