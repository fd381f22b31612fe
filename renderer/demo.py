"""The demo of the renderer process: real handwritten digits, classified one by one through the WebNN API."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from renderer import ML, MLContext, MLGraph, MLGraphBuilder, MLOperand
from renderer.digits import DigitsModel, load_digits_model

DEFAULT_SAMPLES = 1000

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What the renderer saw.

    Attributes:
        backend: that ran the graph.
        carrier: of the timeline.
        devices: where the graph ran.
        renderer_pid: of this process.
        logits: float32 [images, 10].
        latency_us: one write + dispatch + read of one image each, in microseconds.
        build_ms: of the graph, compilation included.
    """

    backend: str
    carrier: str
    devices: tuple[str, ...]
    renderer_pid: int
    logits: Floats
    latency_us: npt.NDArray[np.float64]
    build_ms: float

    def to_json(self) -> dict[str, object]:
        return {
            "backend": self.backend,
            "carrier": self.carrier,
            "devices": list(self.devices),
            "renderer_pid": self.renderer_pid,
            "logits": self.logits.tolist(),
            "latency_us": self.latency_us.tolist(),
            "build_ms": self.build_ms,
        }


def classifier(b: MLGraphBuilder, model: DigitsModel) -> MLOperand:
    """The digits network: one image float32 [1, 1, 8, 8] in, logits float32 [1, 10] out."""
    image = b.input("image", "float32", (1, 1, 8, 8))
    x = _same(b, image, model.conv1_filter, model.conv1_bias, "conv1")
    x = b.max_pool2d(b.relu(x), window_dimensions=[2, 2], strides=[2, 2])
    x = _same(b, x, model.conv2_filter, model.conv2_bias, "conv2")
    x = b.max_pool2d(b.relu(x), window_dimensions=[2, 2], strides=[2, 2])
    x = b.reshape(x, [1, model.dense1_weight.shape[0]])
    x = b.relu(b.gemm(x, b.constant(model.dense1_weight), c=b.constant(model.dense1_bias), label="dense1"))
    return b.gemm(x, b.constant(model.dense2_weight), c=b.constant(model.dense2_bias), label="dense2")


def _same(b: MLGraphBuilder, x: MLOperand, filter: Floats, bias: Floats, label: str) -> MLOperand:
    """A 3 by 3 convolution that keeps the size of the image."""
    return b.conv2d(x, b.constant(filter), bias=b.constant(bias), padding=[1, 1, 1, 1], label=label)


def run(
    ml: ML, *, backend: str | None = None, carrier: str | None = None, samples: int = DEFAULT_SAMPLES
) -> DemoResult:
    """Classify the held-out images, again and again until there are `samples` latencies.

    Raises:
        MLError: whatever the API raises.
    """
    model = load_digits_model()
    with ml.create_context(backend=backend, carrier=carrier) as context:
        builder = MLGraphBuilder(context)
        logits = classifier(builder, model)
        start = time.perf_counter()
        with builder.build({"logits": logits}) as graph:
            build_ms = (time.perf_counter() - start) * 1e3
            results, latency = _classify(context, graph, model.images, samples)
            return DemoResult(context.backend, context.carrier, graph.devices, os.getpid(), results, latency, build_ms)


def _classify(
    context: MLContext, graph: MLGraph, images: Floats, samples: int
) -> tuple[Floats, npt.NDArray[np.float64]]:
    """Logits of every image, and the latencies of max(samples, images) round trips."""
    image = context.create_tensor("float32", (1, 1, 8, 8), writable=True)
    output = context.create_tensor("float32", (1, 10), readable=True)
    logits = np.empty((len(images), 10), np.float32)
    latency = np.empty(max(samples, len(images)))
    for i in range(len(latency)):
        row = i % len(images)
        start = time.perf_counter_ns()
        context.write_tensor(image, images[row : row + 1])
        context.dispatch(graph, {"image": image}, {"logits": output})
        logits[row] = context.read_tensor(output)
        latency[i] = (time.perf_counter_ns() - start) / 1e3
    return logits, latency


def show(images: Floats, labels: npt.NDArray[np.uint8], logits: Floats) -> str:
    """A row of digits as text, each with its prediction."""
    shades = " ░▒▓█"
    columns = []
    for image, label, scores in zip(images, labels, logits, strict=True):
        levels = np.minimum((image[0] * len(shades)).astype(int), len(shades) - 1)
        picture = ["".join(shades[level] * 2 for level in row) for row in levels]
        predicted = int(scores.argmax())
        verdict = f"{predicted}" if predicted == label else f"{predicted} (is {label})"
        columns.append([*picture, verdict.center(16)])
    return "\n".join("  ".join(parts) for parts in zip(*columns, strict=True))
