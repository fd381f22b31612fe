"""Seeded weights of the benchmark models, shared by our graphs and by the independent peers that they run against.

The topologies are published ones; the values are random but scaled so that activations stay in range, since a runtime's
speed can depend on denormals and infinities but not on what a network has learnt.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

MOBILENET_BLOCKS = (  # expansion, channels, repeats, stride: Sandler et al., "MobileNetV2", table 2
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


class Seeded:
    """A stream of scaled normal arrays."""

    def __init__(self, model: int, seed: int) -> None:
        """The stream of a model; another seed makes weights that nobody has seen before."""
        self._generator = np.random.default_rng((model, seed))

    def normal(self, *shape: int, fan_in: int) -> Floats:
        """Normal values of variance 2 / `fan_in` (He et al.), so that relu networks keep their scale."""
        scale = np.float32(np.sqrt(2.0 / fan_in))
        return self._generator.standard_normal(shape, np.float32) * scale

    def bias(self, size: int) -> Floats:
        return self._generator.standard_normal(size, np.float32) * np.float32(0.01)


@dataclass(frozen=True, slots=True)
class Convolution:
    """A convolution layer: filter [out, in / groups, k, k], bias [out]."""

    filter: Floats
    bias: Floats
    stride: int
    groups: int
    clipped: bool
    residual_begins: bool = False
    residual_ends: bool = False


@dataclass(frozen=True, slots=True)
class MobilenetV2:
    """Sandler et al., "MobileNetV2", width 1.0.

    Attributes:
        layers: the 52 convolutions in order.
        classifier: weight [1280, 1000] and bias [1000].
    """

    layers: tuple[Convolution, ...]
    classifier: tuple[Floats, Floats]


def mobilenet_v2(seed: int = 0) -> MobilenetV2:
    weights = Seeded(2, seed)
    layers = tuple(_mobilenet_v2_layers(weights))
    return MobilenetV2(layers, (weights.normal(1280, 1000, fan_in=1280), weights.bias(1000)))


def _mobilenet_v2_layers(weights: Seeded) -> Iterator[Convolution]:

    def layer(
        size: int, inputs: int, outputs: int, *, stride: int = 1, groups: int = 1, clipped: bool = True,
        begins: bool = False, ends: bool = False,
    ) -> Convolution:  # fmt: skip
        fan_in = inputs // groups * size * size
        values = weights.normal(outputs, inputs // groups, size, size, fan_in=fan_in)
        return Convolution(values, weights.bias(outputs), stride, groups, clipped, begins, ends)

    yield layer(3, 3, 32, stride=2)
    channels = 32
    for expansion, outputs, repeats, first_stride in MOBILENET_BLOCKS:
        for repeat in range(repeats):
            stride = first_stride if repeat == 0 else 1
            residual = stride == 1 and channels == outputs
            hidden = channels * expansion
            if expansion != 1:
                yield layer(1, channels, hidden, begins=residual)
            yield layer(3, hidden, hidden, stride=stride, groups=hidden)
            yield layer(1, hidden, outputs, clipped=False, ends=residual)
            channels = outputs
    yield layer(1, channels, 1280)


@dataclass(frozen=True, slots=True)
class Nsnet2:
    """Braun and Tashev, "Data augmentation and loss normalization for deep noise suppression" (NSNet2), 161 bins.

    Attributes:
        dense_in: weight [161, 400], bias [400].
        grus: two of weight [1, 1200, 400], recurrent weight [1, 1200, 400], bias [1, 1200], recurrent bias [1, 1200];
            gates in the order z, r, n.
        dense: three of weight and bias: 400 to 600, 600 to 600, 600 to 161.
    """

    dense_in: tuple[Floats, Floats]
    grus: tuple[tuple[Floats, Floats, Floats, Floats], ...]
    dense: tuple[tuple[Floats, Floats], ...]


def nsnet2(seed: int = 0) -> Nsnet2:
    weights = Seeded(4, seed)

    def dense(inputs: int, outputs: int) -> tuple[Floats, Floats]:
        return weights.normal(inputs, outputs, fan_in=inputs), weights.bias(outputs)

    def gru() -> tuple[Floats, Floats, Floats, Floats]:
        matrices = [weights.normal(1, 1200, 400, fan_in=800) for _ in range(2)]
        return matrices[0], matrices[1], weights.bias(1200)[None], weights.bias(1200)[None]

    return Nsnet2(dense(161, 400), (gru(), gru()), (dense(400, 600), dense(600, 600), dense(600, 161)))


ENCODER_WIDTH, ENCODER_HEADS, ENCODER_HIDDEN, ENCODER_LAYERS, ENCODER_VOCABULARY = 384, 12, 1536, 6, 30522


@dataclass(frozen=True, slots=True)
class EncoderLayer:
    """A post-norm transformer layer (BERT's form); every pair is a weight [in, out] and a bias [out]."""

    query: tuple[Floats, Floats]
    key: tuple[Floats, Floats]
    value: tuple[Floats, Floats]
    projection: tuple[Floats, Floats]
    attention_norm: tuple[Floats, Floats]
    expand: tuple[Floats, Floats]
    contract: tuple[Floats, Floats]
    output_norm: tuple[Floats, Floats]


@dataclass(frozen=True, slots=True)
class Encoder:
    """A 6-layer encoder of width 384 (the form of MiniLM-L6).

    Attributes:
        embedding: table [30522, 384], where it has an embedding gather in front.
    """

    layers: tuple[EncoderLayer, ...]
    embedding: Floats | None = None


def encoder(seed: int = 0) -> Encoder:
    return Encoder(tuple(_encoder_layers(Seeded(5, seed))))


def encoder_with_embedding(seed: int = 0) -> Encoder:
    table = Seeded(6, seed).normal(ENCODER_VOCABULARY, ENCODER_WIDTH, fan_in=2)
    return Encoder(encoder(seed).layers, table)


def _encoder_layers(weights: Seeded) -> Iterator[EncoderLayer]:
    width, hidden = ENCODER_WIDTH, ENCODER_HIDDEN

    def dense(inputs: int, outputs: int) -> tuple[Floats, Floats]:
        return weights.normal(inputs, outputs, fan_in=2 * inputs), weights.bias(outputs)

    def norm() -> tuple[Floats, Floats]:
        return 1 + weights.bias(width), weights.bias(width)

    for _ in range(ENCODER_LAYERS):
        yield EncoderLayer(
            dense(width, width), dense(width, width), dense(width, width), dense(width, width), norm(),
            dense(width, hidden), dense(hidden, width), norm(),
        )  # fmt: skip


class FreshInput:
    """An input that differs at every call, so that no result can be remembered; the same sequence for every peer.

    Attributes:
        array: what to compute with; `renew` changes one value of it.
    """

    def __init__(self, shape: tuple[int, ...], *, tokens: bool = False) -> None:
        """Floats of a normal distribution, or numbers of tokens."""
        generator = np.random.default_rng(1)
        self.array: npt.NDArray[np.float32] | npt.NDArray[np.int32] = (
            generator.integers(0, ENCODER_VOCABULARY, shape, np.int32)
            if tokens
            else generator.standard_normal(shape, np.float32)
        )
        self._tokens = tokens
        self._calls = 0

    def renew(self) -> None:
        """Change the value at call number modulo size."""
        value = self._calls % ENCODER_VOCABULARY if self._tokens else (self._calls % 11) / 11
        self.array.reshape(-1)[self._calls % self.array.size] = value
        self._calls += 1
