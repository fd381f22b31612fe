"""Peer: ONNX Runtime in the same process as its caller, at its best.

Hand-written ONNX models, external initializers by pointer, I/O bound once to fixed memory. Frozen: it changes only when
a better way to use the runtime is known, never along with our backend.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from scripts.bench import weights
from scripts.bench.peers import _timing
from scripts.bench.peers._serving import serve

Array = npt.NDArray[Any]
Builder = Callable[["_Model", int], None]

FRAMES, SEQUENCE = 100, 128


class _Model:
    """An ONNX graph under construction; `last` is the name of the newest value."""

    def __init__(self, name: str, data_type: int, shape: tuple[int, ...]) -> None:
        self.inputs = [helper.make_tensor_value_info(name, data_type, shape)]
        self.nodes: list[Any] = []
        self.initializers: dict[str, Array] = {}
        self.input = self.last = name

    def add(self, operator: str, *inputs: str, outputs: int = 1, **attributes: Any) -> str:
        names = [f"v{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(operator, list(inputs), names, **attributes))
        self.last = names[0]
        return self.last

    def constant(self, array: npt.ArrayLike) -> str:
        name = f"c{len(self.initializers)}"
        self.initializers[name] = np.array(array, order="C", copy=None)
        return name

    def session(self, threads: int, spin: bool) -> tuple[onnxruntime.InferenceSession, str]:
        """The session and the name of its output; initializers must outlive it."""
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = threads
        settings.inter_op_num_threads = 1
        settings.add_session_config_entry("session.intra_op.allow_spinning", str(int(spin)))
        settings.log_severity_level = 3
        external, tensors = {}, []
        for name, array in self.initializers.items():
            if array.nbytes < 1024 or array.dtype != np.float32:  # shapes, which the optimizer must see
                tensors.append(numpy_helper.from_array(array, name))
                continue
            tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=array.shape)
            tensor.data_location = TensorProto.EXTERNAL
            tensor.external_data.add(key="location", value=name)
            tensors.append(tensor)
            external[name] = onnxruntime.OrtValue.ortvalue_from_numpy(array)
        if external:
            settings.add_external_initializers(list(external), list(external.values()))
        outputs = [helper.make_empty_tensor_value_info(self.last)]
        graph = helper.make_graph(self.nodes, "peer", self.inputs, outputs, tensors)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
        session = onnxruntime.InferenceSession(model.SerializeToString(), settings, providers=["CPUExecutionProvider"])
        return session, self.last


def _mobilenet_v2(network: weights.MobilenetV2) -> _Model:
    m = _Model("image", TensorProto.FLOAT, (1, 3, 224, 224))
    low, high = m.constant(np.float32(0)), m.constant(np.float32(6))
    x = shortcut = m.input
    for layer in network.layers:
        if layer.residual_begins:
            shortcut = x
        pad = layer.filter.shape[-1] // 2
        x = m.add(
            "Conv", x, m.constant(layer.filter), m.constant(layer.bias),
            pads=[pad] * 4, strides=[layer.stride] * 2, group=layer.groups,
        )  # fmt: skip
        if layer.clipped:
            x = m.add("Clip", x, low, high)
        if layer.residual_ends:
            x = m.add("Add", x, shortcut)
    x = m.add("Flatten", m.add("GlobalAveragePool", x))
    weight, bias = network.classifier
    m.add("Softmax", m.add("Gemm", x, m.constant(weight), m.constant(bias)), axis=1)
    return m


def _nsnet2(network: weights.Nsnet2) -> _Model:
    m = _Model("spectrum", TensorProto.FLOAT, (FRAMES, 161))

    def dense(x: str, pair: tuple[Array, Array]) -> str:
        return m.add("Gemm", x, m.constant(pair[0]), m.constant(pair[1]))

    sequence = m.constant(np.array([FRAMES, 1, 400]))
    flat = m.constant(np.array([FRAMES, 400]))
    x = m.add("Reshape", dense(m.input, network.dense_in), sequence)
    for weight, recurrent, bias, recurrent_bias in network.grus:
        both = m.constant(np.concatenate([bias, recurrent_bias], axis=1))
        x = m.add(
            "GRU", x, m.constant(weight), m.constant(recurrent), both, hidden_size=400, linear_before_reset=1
        )  # fmt: skip
        x = m.add("Reshape", x, sequence)
    x = m.add("Reshape", x, flat)
    first, second, last = network.dense
    x = m.add("Relu", dense(m.add("Relu", dense(x, first)), second))
    m.add("Sigmoid", dense(x, last))
    return m


def _encoder(network: weights.Encoder) -> _Model:
    width, heads = weights.ENCODER_WIDTH, weights.ENCODER_HEADS
    if network.embedding is None:
        m = _Model("embedded", TensorProto.FLOAT, (SEQUENCE, width))
        x = m.input
    else:
        m = _Model("tokens", TensorProto.INT32, (SEQUENCE,))
        x = m.add("Gather", m.constant(network.embedding), m.input)
    split = m.constant(np.array([SEQUENCE, heads, width // heads]))
    joined = m.constant(np.array([SEQUENCE, width]))
    scale = m.constant(np.float32(1 / np.sqrt(width // heads)))

    def dense(x: str, pair: tuple[Array, Array]) -> str:
        return m.add("Add", m.add("MatMul", x, m.constant(pair[0])), m.constant(pair[1]))

    def head(x: str, pair: tuple[Array, Array], permutation: list[int]) -> str:
        return m.add("Transpose", m.add("Reshape", dense(x, pair), split), perm=permutation)

    def norm(x: str, pair: tuple[Array, Array]) -> str:
        return m.add("LayerNormalization", x, m.constant(pair[0]), m.constant(pair[1]), axis=-1, epsilon=1e-12)

    for layer in network.layers:
        scores = m.add("MatMul", head(x, layer.query, [1, 0, 2]), head(x, layer.key, [1, 2, 0]))
        attention = m.add("Softmax", m.add("Mul", scores, scale), axis=-1)
        mixed = m.add("MatMul", attention, head(x, layer.value, [1, 0, 2]))
        mixed = m.add("Reshape", m.add("Transpose", mixed, perm=[1, 0, 2]), joined)
        x = norm(m.add("Add", x, dense(mixed, layer.projection)), layer.attention_norm)
        x = norm(m.add("Add", x, dense(m.add("Gelu", dense(x, layer.expand)), layer.contract)), layer.output_norm)
    return m


_MODELS: dict[str, tuple[Callable[[int], Any], Callable[[Any], _Model]]] = {
    "mobilenet_v2": (weights.mobilenet_v2, _mobilenet_v2),
    "nsnet2": (weights.nsnet2, _nsnet2),
    "encoder": (weights.encoder, _encoder),
    "encoder_with_embedding": (weights.encoder_with_embedding, _encoder),
}


class _Bound:
    """A session with its memory."""

    def __init__(self, model: _Model, threads: int, spin: bool) -> None:
        self._constants = model.initializers
        self._session, output = model.session(threads, spin)
        described = self._session.get_inputs()[0]
        self.dtype = np.dtype(np.int32 if "int32" in described.type else np.float32)
        self.inside = np.zeros(described.shape, self.dtype)
        self.outside = np.zeros(self._session.get_outputs()[0].shape, np.float32)
        self.run = self.bound(model.input, self.inside, output, self.outside)

    def bound(self, input: str, inside: Array, output: str, outside: Array) -> Callable[[], object]:
        """A run on this memory."""
        binding = self._session.io_binding()
        binding.bind_input(input, "cpu", 0, inside.dtype, inside.shape, inside.ctypes.data)
        binding.bind_output(output, "cpu", 0, outside.dtype, outside.shape, outside.ctypes.data)
        run = self._session.run_with_iobinding
        return lambda: run(binding)


class _Peer:
    def __init__(self) -> None:
        self._threads = 1
        self._spin = True
        self._bound: dict[str, tuple[_Bound, weights.FreshInput]] = {}

    def configure(self, threads: int, spin: bool = True) -> str:
        """Whether idle threads of the pool spin is best decided by who knows how busy the machine is."""
        self._threads, self._spin = threads, spin
        return f"onnxruntime {onnxruntime.__version__}"

    def build(self, model: str, seed: int) -> dict[str, Any]:
        """Build and compute the first result; the weights are there before the clock starts."""
        make_weights, define = _MODELS[model]
        network = make_weights(seed)
        start = time.perf_counter_ns()
        bound = _Bound(define(network), self._threads, self._spin)
        fresh = weights.FreshInput(bound.inside.shape, tokens=bound.dtype == np.int32)
        np.copyto(bound.inside, fresh.array)
        bound.run()
        ms = (time.perf_counter_ns() - start) / 1e6
        self._bound[model] = bound, fresh
        return {"ms": ms, "checksum": float(bound.outside.sum(dtype=np.float64))}

    def run(self, model: str, calls: int) -> dict[str, Any]:
        bound, fresh = self._bound[model]
        return _timing.run_fresh(calls, fresh, (bound.inside, bound.outside), bound.run)

    def chain(self, calls: int) -> Any:
        m = _Model("x", TensorProto.FLOAT, (2, 2))
        m.add("Add", m.input, m.constant(np.float32(1)))
        bound = _Bound(m, self._threads, self._spin)
        back = bound.bound("x", bound.outside, m.last, bound.inside)
        return _timing.chain(calls, (bound.run, back), (bound.inside, bound.outside))

    def relu(self, elements: int, calls: int) -> dict[str, Any]:
        """The kernel alone."""
        m = _Model("x", TensorProto.FLOAT, (elements,))
        m.add("Relu", m.input)
        bound = _Bound(m, self._threads, self._spin)
        bound.run()
        return _timing.kernel(calls, bound.run)


if __name__ == "__main__":
    peer = _Peer()
    serve({"configure": peer.configure, "build": peer.build, "run": peer.run, "chain": peer.chain, "relu": peer.relu})
