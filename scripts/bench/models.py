"""The benchmark models, built through the WebNN API."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import sqrt

import numpy as np

from ipc.descriptors import DataType, Descriptor
from renderer import MLGraphBuilder, MLOperand
from scripts.bench import weights
from scripts.bench.weights import Floats

FRAMES = 100
SEQUENCE = 128


@dataclass(frozen=True, slots=True)
class Model:
    """A graph to measure: its inputs and a function that builds its outputs from them."""

    name: str
    inputs: Mapping[str, Descriptor]
    outputs: Callable[[MLGraphBuilder, Mapping[str, MLOperand]], dict[str, MLOperand]]

    def build_outputs(self, b: MLGraphBuilder) -> dict[str, MLOperand]:
        """Declare the inputs and build the outputs in `b`."""
        operands = {name: b.input(name, descriptor) for name, descriptor in self.inputs.items()}
        return self.outputs(b, operands)


def _float32(*shape: int) -> Descriptor:
    return Descriptor(DataType.FLOAT32, shape)


def _mobilenet_v2(b: MLGraphBuilder, inputs: Mapping[str, MLOperand]) -> dict[str, MLOperand]:
    x = inputs["image"]
    shortcut = x
    for layer in weights.mobilenet_v2_layers():
        if layer.residual_begins:
            shortcut = x
        pad = layer.filter.shape[-1] // 2
        x = b.conv2d(
            x,
            b.constant(layer.filter),
            bias=b.constant(layer.bias),
            padding=[pad] * 4,
            strides=[layer.stride] * 2,
            groups=layer.groups,
        )
        if layer.clipped:
            x = b.clamp(x, min_value=0, max_value=6)
        if layer.residual_ends:
            x = b.add(x, shortcut)
    weight, bias = weights.mobilenet_v2_classifier()
    pooled = b.reshape(b.average_pool2d(x), [1, 1280])
    return {"scores": b.softmax(b.gemm(pooled, b.constant(weight), c=b.constant(bias)), 1)}


def _nsnet2(b: MLGraphBuilder, inputs: Mapping[str, MLOperand]) -> dict[str, MLOperand]:
    network = weights.nsnet2()

    def dense(x: MLOperand, pair: tuple[Floats, Floats]) -> MLOperand:
        return b.gemm(x, b.constant(pair[0]), c=b.constant(pair[1]))

    x = b.reshape(dense(inputs["spectrum"], network.dense_in), [FRAMES, 1, 400])
    for weight, recurrent, bias, recurrent_bias in network.grus:
        _, sequence = b.gru(
            x,
            b.constant(weight),
            b.constant(recurrent),
            FRAMES,
            400,
            bias=b.constant(bias),
            recurrent_bias=b.constant(recurrent_bias),
            return_sequence=True,
        )
        x = b.reshape(sequence, [FRAMES, 1, 400])
    x = b.reshape(x, [FRAMES, 400])
    first, second, last = network.dense
    x = b.relu(dense(b.relu(dense(x, first)), second))
    return {"mask": b.sigmoid(dense(x, last))}


def _encoder(b: MLGraphBuilder, inputs: Mapping[str, MLOperand]) -> dict[str, MLOperand]:
    return {"hidden": _encode(b, inputs["embedded"])}


def _encoder_with_embedding(b: MLGraphBuilder, inputs: Mapping[str, MLOperand]) -> dict[str, MLOperand]:
    return {"hidden": _encode(b, b.gather(b.constant(weights.encoder_embedding()), inputs["tokens"]))}


def _encode(b: MLGraphBuilder, x: MLOperand) -> MLOperand:
    heads, size = weights.ENCODER_HEADS, weights.ENCODER_WIDTH // weights.ENCODER_HEADS
    scale = b.constant("float32", 1 / sqrt(size))

    def dense(x: MLOperand, pair: tuple[Floats, Floats]) -> MLOperand:
        return b.add(b.matmul(x, b.constant(pair[0])), b.constant(pair[1]))

    def norm(x: MLOperand, pair: tuple[Floats, Floats]) -> MLOperand:
        return b.layer_normalization(x, axes=[1], scale=b.constant(pair[0]), bias=b.constant(pair[1]), epsilon=1e-12)

    def split_heads(x: MLOperand, permutation: list[int]) -> MLOperand:
        return b.transpose(b.reshape(x, [SEQUENCE, heads, size]), permutation=permutation)

    for layer in weights.encoder_layers():
        query = split_heads(dense(x, layer.query), [1, 0, 2])
        key = split_heads(dense(x, layer.key), [1, 2, 0])
        value = split_heads(dense(x, layer.value), [1, 0, 2])
        attention = b.softmax(b.mul(b.matmul(query, key), scale), 2)
        mixed = b.transpose(b.matmul(attention, value), permutation=[1, 0, 2])
        mixed = b.reshape(mixed, [SEQUENCE, weights.ENCODER_WIDTH])
        x = norm(b.add(x, dense(mixed, layer.projection)), layer.attention_norm)
        x = norm(b.add(x, dense(b.gelu(dense(x, layer.expand)), layer.contract)), layer.output_norm)
    return x


MODELS = {
    model.name: model
    for model in (
        Model("mobilenet_v2", {"image": _float32(1, 3, 224, 224)}, _mobilenet_v2),
        Model("nsnet2", {"spectrum": _float32(FRAMES, 161)}, _nsnet2),
        Model("encoder", {"embedded": _float32(SEQUENCE, weights.ENCODER_WIDTH)}, _encoder),
        Model(
            "encoder_with_embedding",
            {"tokens": Descriptor(DataType.INT32, (SEQUENCE,))},
            _encoder_with_embedding,
        ),
    )
}


def inputs_for(model: Model, seed: int = 1) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]]:
    """Seeded inputs: normal floats, or token numbers within the vocabulary."""
    generator = np.random.default_rng(seed)
    return {
        name: generator.standard_normal(descriptor.shape, np.float32)
        if descriptor.data_type.is_float
        else generator.integers(0, weights.ENCODER_VOCABULARY, descriptor.shape, np.int32)
        for name, descriptor in model.inputs.items()
    }
