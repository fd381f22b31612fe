"""Peer: OpenVINO in the same process as its caller, at its best.

Hand-written models, f32 arithmetic, tensors on fixed memory set once, synchronous inference. Frozen: it changes only
when a better way to use the runtime is known, never along with our backend.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino as ov
from openvino import opset13 as ops

from scripts.bench import weights
from scripts.bench.peers import _timing
from scripts.bench.peers._serving import serve

Array = npt.NDArray[Any]

FRAMES, SEQUENCE = 100, 128


def _constant(array: Array) -> Any:
    return ops.constant(array, shared_memory=True)


def _mobilenet_v2(network: weights.MobilenetV2) -> ov.Model:
    image = shortcut = x = ops.parameter((1, 3, 224, 224), np.float32)
    for layer in network.layers:
        if layer.residual_begins:
            shortcut = x
        pad, strides = [layer.filter.shape[-1] // 2] * 2, [layer.stride] * 2
        if layer.groups == 1:
            x = ops.convolution(x, _constant(layer.filter), strides, pad, pad, [1, 1])
        else:
            grouped = layer.filter.reshape(layer.groups, -1, *layer.filter.shape[1:])
            x = ops.group_convolution(x, _constant(grouped), strides, pad, pad, [1, 1])
        x = ops.add(x, _constant(layer.bias.reshape(1, -1, 1, 1)))
        if layer.clipped:
            x = ops.clamp(x, 0.0, 6.0)
        if layer.residual_ends:
            x = ops.add(x, shortcut)
    weight, bias = network.classifier
    pooled = ops.reshape(ops.reduce_mean(x, np.array([2, 3]), True), np.array([1, 1280]), False)
    scores = ops.add(ops.matmul(pooled, _constant(weight), False, False), _constant(bias))
    return ov.Model([ops.softmax(scores, 1)], [image])


def _nsnet2(network: weights.Nsnet2) -> ov.Model:
    spectrum = ops.parameter((FRAMES, 161), np.float32)

    def dense(x: Any, pair: tuple[Array, Array]) -> Any:
        return ops.add(ops.matmul(x, _constant(pair[0]), False, False), _constant(pair[1]))

    x = ops.reshape(dense(spectrum, network.dense_in), np.array([1, FRAMES, 400]), False)
    state, lengths = _constant(np.zeros((1, 1, 400), np.float32)), _constant(np.array([FRAMES], np.int32))
    for weight, recurrent, bias, recurrent_bias in network.grus:
        update_reset = (bias + recurrent_bias)[:, :800]
        four = np.concatenate([update_reset, bias[:, 800:], recurrent_bias[:, 800:]], axis=1)
        sequence = ops.gru_sequence(
            x, state, lengths, _constant(weight), _constant(recurrent), _constant(four), 400, "forward",
            linear_before_reset=True,
        )  # fmt: skip
        x = ops.reshape(sequence.output(0), np.array([1, FRAMES, 400]), False)
    x = ops.reshape(x, np.array([FRAMES, 400]), False)
    first, second, last = network.dense
    x = ops.relu(dense(ops.relu(dense(x, first)), second))
    return ov.Model([ops.sigmoid(dense(x, last))], [spectrum])


def _encoder(network: weights.Encoder) -> ov.Model:
    width, heads = weights.ENCODER_WIDTH, weights.ENCODER_HEADS
    if network.embedding is None:
        given = x = ops.parameter((SEQUENCE, width), np.float32)
    else:
        given = ops.parameter((SEQUENCE,), np.int32)
        x = ops.gather(_constant(network.embedding), given, np.int64(0))
    split, joined = np.array([SEQUENCE, heads, width // heads]), np.array([SEQUENCE, width])
    scale = np.float32(1 / np.sqrt(width // heads))

    def dense(x: Any, pair: tuple[Array, Array]) -> Any:
        return ops.add(ops.matmul(x, _constant(pair[0]), False, False), _constant(pair[1]))

    def head(x: Any, pair: tuple[Array, Array], permutation: list[int]) -> Any:
        return ops.transpose(ops.reshape(dense(x, pair), split, False), np.array(permutation))

    def norm(x: Any, pair: tuple[Array, Array]) -> Any:
        normal = ops.mvn(x, np.array([1]), True, 1e-12, "inside_sqrt")
        return ops.add(ops.multiply(normal, _constant(pair[0])), _constant(pair[1]))

    for layer in network.layers:
        query, key = head(x, layer.query, [1, 0, 2]), head(x, layer.key, [1, 2, 0])
        attention = ops.softmax(ops.multiply(ops.matmul(query, key, False, False), scale), 2)
        mixed = ops.transpose(ops.matmul(attention, head(x, layer.value, [1, 0, 2]), False, False), np.array([1, 0, 2]))
        x = norm(ops.add(x, dense(ops.reshape(mixed, joined, False), layer.projection)), layer.attention_norm)
        expanded = ops.gelu(dense(x, layer.expand), "erf")
        x = norm(ops.add(x, dense(expanded, layer.contract)), layer.output_norm)
    return ov.Model([x], [given])


_MODELS: dict[str, tuple[Callable[[int], Any], Callable[[Any], ov.Model]]] = {
    "mobilenet_v2": (weights.mobilenet_v2, _mobilenet_v2),
    "nsnet2": (weights.nsnet2, _nsnet2),
    "encoder": (weights.encoder, _encoder),
    "encoder_with_embedding": (weights.encoder_with_embedding, _encoder),
}


class _Bound:
    """A compiled model with its memory."""

    def __init__(self, core: ov.Core, model: ov.Model, threads: int) -> None:
        settings = {
            "INFERENCE_PRECISION_HINT": "f32",
            "NUM_STREAMS": "1",
            "INFERENCE_NUM_THREADS": str(threads),
            "PERFORMANCE_HINT": "LATENCY",
        }
        self._compiled = core.compile_model(model, "CPU", settings)
        given, made = self._compiled.input(0), self._compiled.output(0)
        self.inside = np.zeros(tuple(given.shape), given.element_type.to_dtype())
        self.outside = np.zeros(tuple(made.shape), made.element_type.to_dtype())
        self.run = self.bound(self.inside, self.outside)

    def bound(self, inside: Array, outside: Array) -> Callable[[], object]:
        """A run on this memory."""
        request = self._compiled.create_infer_request()
        request.set_input_tensor(0, ov.Tensor(inside, shared_memory=True))
        request.set_output_tensor(0, ov.Tensor(outside, shared_memory=True))
        return lambda: request.infer(share_outputs=True)


class _Peer:
    def __init__(self) -> None:
        self._core = ov.Core()
        self._threads = 1
        self._bound: dict[str, tuple[_Bound, weights.FreshInput]] = {}

    def configure(self, threads: int) -> str:
        self._threads = threads
        return f"openvino {ov.__version__}"

    def build(self, model: str, seed: int) -> dict[str, Any]:
        """Build and compute the first result; the weights are there before the clock starts."""
        make_weights, define = _MODELS[model]
        network = make_weights(seed)
        start = time.perf_counter_ns()
        bound = _Bound(self._core, define(network), self._threads)
        fresh = weights.FreshInput(bound.inside.shape, tokens=bound.inside.dtype == np.int32)
        np.copyto(bound.inside, fresh.array)
        bound.run()
        ms = (time.perf_counter_ns() - start) / 1e6
        self._bound[model] = bound, fresh
        return {"ms": ms, "checksum": float(bound.outside.sum(dtype=np.float64))}

    def run(self, model: str, calls: int) -> dict[str, Any]:
        bound, fresh = self._bound[model]
        return _timing.run_fresh(calls, fresh, (bound.inside, bound.outside), bound.run)

    def chain(self, calls: int) -> Any:
        x = ops.parameter((2, 2), np.float32)
        bound = _Bound(self._core, ov.Model([ops.add(x, np.float32(1))], [x]), self._threads)
        back = bound.bound(bound.outside, bound.inside)
        return _timing.chain(calls, (bound.run, back), (bound.inside, bound.outside))

    def relu(self, elements: int, calls: int) -> dict[str, Any]:
        """The kernel alone."""
        x = ops.parameter((elements,), np.float32)
        bound = _Bound(self._core, ov.Model([ops.relu(x)], [x]), self._threads)
        bound.run()
        return _timing.kernel(calls, bound.run)


if __name__ == "__main__":
    peer = _Peer()
    serve({"configure": peer.configure, "build": peer.build, "run": peer.run, "chain": peer.chain, "relu": peer.relu})
