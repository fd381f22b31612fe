"""A lowered graph in ONNX Runtime, and its runs."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import onnxruntime

from gpu_process.backends._interface import Array, BackendError, BackendOptions, aligned_empty
from gpu_process.backends.onnxruntime._graph import LoweredGraph
from gpu_process.backends.onnxruntime._model import is_external, serialize
from gpu_process.backends.onnxruntime._placement import in_place
from gpu_process.backends.onnxruntime._plain_kernels import PROBED_VERSIONS
from gpu_process.backends.onnxruntime._segments import Segment, segments
from gpu_process.backends.onnxruntime._values import Value
from ipc.graph import Graph

# Both cost time that grows with the square of the number of nodes that share a constant. The lowering shares constants
# already, and merging equal nodes could make a page's clamp and a guard of ours one.
_DISABLED_OPTIMIZERS = ["CommonSubexpressionElimination", "ConstantSharing"]
_FATAL = 4  # the runtime's severity level; errors arrive as exceptions


class CompiledOnnxGraph:
    """A graph as one session of ONNX Runtime, or a row of them."""

    devices: tuple[str, ...] = ("cpu",)

    def __init__(self, graph: Graph, lowered: LoweredGraph, options: BackendOptions) -> None:
        self._places = _Places(graph)
        self._inputs, self._outputs = lowered.inputs, lowered.outputs
        with self._places:
            self._sessions = [_Session(segment, options) for segment in segments(lowered)]
        self.in_place_inputs, self.in_place_outputs = _in_place(lowered, options)

    def bind(self, inputs: Mapping[str, Array], outputs: Mapping[str, Array]) -> _Binding:
        arrays = {value.name: inputs[name] for name, value in self._inputs.items()}
        arrays |= {value.name: outputs[name] for name, value in self._outputs.items()}
        for session in self._sessions:
            for value in session.outputs:
                if value.name not in arrays:
                    arrays[value.name] = aligned_empty(value.stored_shape, value.data_type.dtype)
        with self._places:
            return _Binding(self._sessions, arrays, self._places)

    def close(self) -> None:
        self._sessions = []


class _Session:
    """A segment in the runtime.

    Attributes:
        outputs: what it computes.
    """

    def __init__(self, segment: Segment, options: BackendOptions) -> None:
        self.outputs = segment.outputs
        self._inputs = segment.inputs
        self._tables = list(segment.tables.values())
        constants = {
            name: onnxruntime.OrtValue.ortvalue_from_numpy(array.reshape(value.stored_shape))
            for name, (value, array) in segment.initializers.items()
            if is_external(value, array)
        }
        settings = _settings(options)
        settings.add_external_initializers(list(constants), list(constants.values()))
        self._session: Any = onnxruntime.InferenceSession(
            serialize(segment),
            settings,
            providers=["CPUExecutionProvider"],
            disabled_optimizers=_DISABLED_OPTIMIZERS,
        )
        # The runtime copies them, as its C API's documentation says; where that was not tried, they stay.
        self._constants = {} if onnxruntime.__version__ in PROBED_VERSIONS else constants

    def bound(self, arrays: Mapping[str, Array]) -> Callable[[], None]:
        """A run on arrays, by generated name, that stay alive."""
        binding = self._session.io_binding()
        for value in self._inputs:
            binding.bind_input(*_memory(value, arrays[value.name]))
        for value, table in self._tables:
            binding.bind_input(*_memory(value, table))
        for value in self.outputs:
            binding.bind_output(*_memory(value, arrays[value.name]))
        return functools.partial(self._session.run_with_iobinding, binding)


def _memory(value: Value, array: Array) -> tuple[str, str, int, Any, tuple[int, ...], int]:
    return value.name, "cpu", 0, array.dtype, value.stored_shape, array.ctypes.data


class _Binding:
    """Sessions with the memory they read and write."""

    def __init__(self, sessions: Sequence[_Session], arrays: Mapping[str, Array], places: _Places) -> None:
        self._runs = [session.bound(arrays) for session in sessions]
        self._arrays = arrays  # the runtime holds bare pointers
        self._places = places

    def run(self) -> None:
        try:
            for run in self._runs:
                run()
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
    # Threads wait for the next operator in a loop, but not for the next run: that would take the core on which the
    # renderer writes its next input.
    settings.add_session_config_entry("session.intra_op.allow_spinning", "1")
    settings.add_session_config_entry("session.force_spinning_stop", "1")
    settings.use_deterministic_compute = True
    return settings
