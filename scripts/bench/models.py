"""The benchmark models, built through the WebNN API."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt
from typing import Any, Generic, TypeVar

from ipc.descriptors import DataType, Descriptor
from renderer import MLGraphBuilder, MLOperand
from scripts.bench.weights import (
    ENCODER_HEADS,
    ENCODER_WIDTH,
    Encoder,
    Floats,
    FreshInput,
    MobilenetV2,
    Nsnet2,
    encoder,
    encoder_with_embedding,
    mobilenet_v2,
    nsnet2,
)

W = TypeVar("W")

FRAMES = 100
SEQUENCE = 128


@dataclass(frozen=True, slots=True)
class Model(Generic[W]):
    """A graph to measure.

    Attributes:
        input, output: its one input and its one output, by name.
        weights: makes the weights of a seed.
        define: makes the output from the input and the weights.
    """

    name: str
    input: str
    descriptor: Descriptor
    output: str
    output_descriptor: Descriptor
    weights: Callable[[int], W]
    define: Callable[[MLGraphBuilder, MLOperand, W], MLOperand]

    def outputs(self, b: MLGraphBuilder, weights: W) -> dict[str, MLOperand]:
        """Record the whole model in `b`."""
        return {self.output: self.define(b, b.input(self.input, self.descriptor), weights)}

    def fresh_input(self) -> FreshInput:
        """An input that differs at every call."""
        return FreshInput(self.descriptor.shape, tokens=not self.descriptor.data_type.is_float)


def _float32(*shape: int) -> Descriptor:
    return Descriptor(DataType.FLOAT32, shape)


def _mobilenet_v2(b: MLGraphBuilder, x: MLOperand, network: MobilenetV2) -> MLOperand:
    shortcut = x
    for layer in network.layers:
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
    weight, bias = network.classifier
    pooled = b.reshape(b.average_pool2d(x), [1, 1280])
    return b.softmax(b.gemm(pooled, b.constant(weight), c=b.constant(bias)), 1)


def _nsnet2(b: MLGraphBuilder, spectrum: MLOperand, network: Nsnet2) -> MLOperand:
    def dense(x: MLOperand, pair: tuple[Floats, Floats]) -> MLOperand:
        return b.gemm(x, b.constant(pair[0]), c=b.constant(pair[1]))

    x = b.reshape(dense(spectrum, network.dense_in), [FRAMES, 1, 400])
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
    return b.sigmoid(dense(x, last))


def _encoder_with_embedding(b: MLGraphBuilder, tokens: MLOperand, network: Encoder) -> MLOperand:
    assert network.embedding is not None
    return _encoder(b, b.gather(b.constant(network.embedding), tokens), network)


def _encoder(b: MLGraphBuilder, x: MLOperand, network: Encoder) -> MLOperand:
    heads, size = ENCODER_HEADS, ENCODER_WIDTH // ENCODER_HEADS
    scale = b.constant("float32", 1 / sqrt(size))

    def dense(x: MLOperand, pair: tuple[Floats, Floats]) -> MLOperand:
        return b.add(b.matmul(x, b.constant(pair[0])), b.constant(pair[1]))

    def norm(x: MLOperand, pair: tuple[Floats, Floats]) -> MLOperand:
        return b.layer_normalization(x, axes=[1], scale=b.constant(pair[0]), bias=b.constant(pair[1]), epsilon=1e-12)

    def split_heads(x: MLOperand, permutation: list[int]) -> MLOperand:
        return b.transpose(b.reshape(x, [SEQUENCE, heads, size]), permutation=permutation)

    for layer in network.layers:
        query = split_heads(dense(x, layer.query), [1, 0, 2])
        key = split_heads(dense(x, layer.key), [1, 2, 0])
        value = split_heads(dense(x, layer.value), [1, 0, 2])
        attention = b.softmax(b.mul(b.matmul(query, key), scale), 2)
        mixed = b.transpose(b.matmul(attention, value), permutation=[1, 0, 2])
        mixed = b.reshape(mixed, [SEQUENCE, ENCODER_WIDTH])
        x = norm(b.add(x, dense(mixed, layer.projection)), layer.attention_norm)
        x = norm(b.add(x, dense(b.gelu(dense(x, layer.expand)), layer.contract)), layer.output_norm)
    return x


MODELS: dict[str, Model[Any]] = {
    model.name: model
    for model in (
        Model(
            "mobilenet_v2", "image", _float32(1, 3, 224, 224), "scores", _float32(1, 1000), mobilenet_v2, _mobilenet_v2
        ),
        Model("nsnet2", "spectrum", _float32(FRAMES, 161), "mask", _float32(FRAMES, 161), nsnet2, _nsnet2),
        Model(
            "encoder", "embedded", _float32(SEQUENCE, ENCODER_WIDTH), "hidden", _float32(SEQUENCE, ENCODER_WIDTH),
            encoder, _encoder,
        ),
        Model(
            "encoder_with_embedding", "tokens", Descriptor(DataType.INT32, (SEQUENCE,)), "hidden",
            _float32(SEQUENCE, ENCODER_WIDTH), encoder_with_embedding, _encoder_with_embedding,
        ),
    )
}  # fmt: skip
