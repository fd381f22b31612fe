"""Train the demo's digit classifier in plain NumPy and write renderer/data/digits.npz.

The images are scikit-learn's bundled digits: 1797 real handwritten digits of 8x8 pixels (E. Alpaydin, C. Kaynak,
"Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998; its test part). A fifth is held out,
never trained on, and shipped with the weights. It is drawn by image, not by writer: the 13 writers occur on both sides.

The same seed gives the same weights with the same BLAS and number of its threads; elsewhere the last digits may differ.
The shipped file is from OPENBLAS_NUM_THREADS=1.
"""

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import DTypeLike, NDArray

from renderer.digits import FIELD_NAMES, DigitsModel

Array = NDArray[np.floating[Any]]
Parameters = dict[str, Array]

PARAMETER_SHAPES = {
    "conv1_filter": (16, 1, 3, 3),
    "conv1_bias": (16,),
    "conv2_filter": (32, 16, 3, 3),
    "conv2_bias": (32,),
    "dense1_weight": (32 * 2 * 2, 64),
    "dense1_bias": (64,),
    "dense2_weight": (64, 10),
    "dense2_bias": (10,),
}
MINIMUM_ACCURACY = 0.975  # a worse model is not written: the demo promises a classifier that works
HELD_OUT = 360
SPLIT_SEED = 0  # of its own: another training seed is judged on the same images
BATCH = 64
LEARNING_RATE = 2e-3
DEFAULT_OUTPUT = Path(__file__).resolve().parent.parent / "renderer" / "data" / "digits.npz"


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, measure, write. Returns 0, 1 if the model is too bad to be written, or 2 without scikit-learn."""
    parser = argparse.ArgumentParser(prog="python -m scripts.train_digits", description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, default=DEFAULT_OUTPUT, help="file to write (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the training (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=30, help="passes over the images (default: %(default)s)")
    options = parser.parse_args(arguments)
    try:
        data = load_data()
    except ModuleNotFoundError as error:
        if error.name != "sklearn":
            raise
        print(
            "train_digits: scikit-learn, which holds the images, is missing: pip install scikit-learn", file=sys.stderr
        )
        return 2

    parameters = train(data.images, data.labels, seed=options.seed, epochs=options.epochs, progress=sys.stderr)
    accuracy = float(np.mean(predict(parameters, data.test_images).argmax(1) == data.test_labels))
    print(f"test accuracy {accuracy:.4f} on {len(data.test_labels)} held-out images")
    if accuracy < MINIMUM_ACCURACY:
        print(f"train_digits: accuracy is below {MINIMUM_ACCURACY}: nothing is written", file=sys.stderr)
        return 1
    save(DigitsModel(**parameters, images=data.test_images, labels=data.test_labels), options.output)
    print(f"wrote {options.output}, {options.output.stat().st_size} bytes")
    return 0


class Data(NamedTuple):
    """Images [N, 1, 8, 8] from 0 to 1 and their labels [N], for training and held out."""

    images: NDArray[np.float32]
    labels: NDArray[np.uint8]
    test_images: NDArray[np.float32]
    test_labels: NDArray[np.uint8]


def load_data() -> Data:
    """Read and split scikit-learn's digits; ModuleNotFoundError without scikit-learn."""
    from sklearn.datasets import load_digits  # an optional extra: the other functions work without it

    digits = load_digits()
    images = (digits.images[:, None] / 16).astype(np.float32)  # the ink of a pixel is counted from 0 to 16
    labels = digits.target.astype(np.uint8)
    order = np.random.default_rng(SPLIT_SEED).permutation(len(images))
    held_out, rest = order[:HELD_OUT], order[HELD_OUT:]
    return Data(images[rest], labels[rest], images[held_out], labels[held_out])


def save(model: DigitsModel, path: Path) -> None:
    """Write the model as a compressed .npz; equal models give equal bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        np.savez_compressed(file, **{name: getattr(model, name) for name in FIELD_NAMES})


# Training


def train(
    images: Array, labels: NDArray[np.uint8], *, seed: int, epochs: int, progress: TextIO | None = None
) -> Parameters:
    """Fit fresh parameters with Adam on shuffled batches; the learning rate falls to zero along a cosine."""
    rng = np.random.default_rng(seed)
    parameters = initial_parameters(rng)
    adam = Adam(parameters)
    batches_per_epoch = math.ceil(len(images) / BATCH)
    steps = epochs * batches_per_epoch
    for epoch in range(epochs):
        losses = []
        for batch in np.array_split(rng.permutation(len(images)), batches_per_epoch):
            loss, gradients = loss_and_gradients(parameters, images[batch], labels[batch])
            adam.step(parameters, gradients, LEARNING_RATE * (1 + math.cos(math.pi * adam.steps / steps)) / 2)
            losses.append(loss)
        if progress is not None:
            print(f"epoch {epoch + 1}/{epochs}: loss {np.mean(losses):.4f}", file=progress)
    return parameters


def initial_parameters(rng: np.random.Generator, dtype: DTypeLike = np.float32) -> Parameters:
    """He's initialisation: a variance of 2 / inputs keeps the signal's size through ReLUs; biases start at zero."""

    def draw(shape: tuple[int, ...]) -> Array:
        if len(shape) == 1:
            return np.zeros(shape, dtype)
        inputs = shape[0] if len(shape) == 2 else math.prod(shape[1:])
        return (rng.standard_normal(shape) * math.sqrt(2 / inputs)).astype(dtype)

    return {name: draw(shape) for name, shape in PARAMETER_SHAPES.items()}


class Adam:
    """Kingma and Ba, "Adam: A Method for Stochastic Optimization" (2015), algorithm 1, with its default constants."""

    def __init__(self, parameters: Parameters) -> None:
        self.steps = 0
        self._mean = {name: np.zeros_like(value) for name, value in parameters.items()}
        self._square = {name: np.zeros_like(value) for name, value in parameters.items()}

    def step(self, parameters: Parameters, gradients: Parameters, rate: float) -> None:
        """Move every parameter, in place."""
        self.steps += 1
        for name, gradient in gradients.items():
            mean, square = self._mean[name], self._square[name]
            mean += (1 - 0.9) * (gradient - mean)
            square += (1 - 0.999) * (gradient**2 - square)
            unbiased_mean = mean / (1 - 0.9**self.steps)
            unbiased_square = square / (1 - 0.999**self.steps)
            parameters[name] -= rate * unbiased_mean / (np.sqrt(unbiased_square) + 1e-8)


# The network. A layer returns its output and its pullback: the function that takes the loss's gradient by the output to
# its gradients by the layer's inputs.


def predict(parameters: Parameters, images: Array) -> Array:
    """The logits [N, 10] of images [N, 1, 8, 8]."""
    return _network(parameters, images)[0]


def loss_and_gradients(
    parameters: Parameters, images: Array, labels: NDArray[np.integer[Any]]
) -> tuple[float, Parameters]:
    """The mean cross-entropy of a batch, and its gradient by every parameter."""
    logits, pull = _network(parameters, images)
    rows = np.arange(len(labels))
    shifted = logits - logits.max(axis=1, keepdims=True)  # so that exp cannot overflow
    log_probabilities = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    gradient = np.exp(log_probabilities)
    gradient[rows, labels] -= 1
    return float(-log_probabilities[rows, labels].mean()), pull(gradient / len(labels))


def _network(parameters: Parameters, images: Array) -> tuple[Array, Callable[[Array], Parameters]]:
    p = parameters
    x, pull_conv1 = _convolve(images, p["conv1_filter"], p["conv1_bias"])
    x, pull_relu1 = _relu(x)
    x, pull_pool1 = _max_pool(x)
    x, pull_conv2 = _convolve(x, p["conv2_filter"], p["conv2_bias"])
    x, pull_relu2 = _relu(x)
    x, pull_pool2 = _max_pool(x)
    pooled_shape = x.shape
    x, pull_dense1 = _dense(x.reshape(len(x), -1), p["dense1_weight"], p["dense1_bias"])
    x, pull_relu3 = _relu(x)
    logits, pull_dense2 = _dense(x, p["dense2_weight"], p["dense2_bias"])

    def pull(gradient: Array) -> Parameters:
        by: Parameters = {}
        gradient, by["dense2_weight"], by["dense2_bias"] = pull_dense2(gradient)
        gradient, by["dense1_weight"], by["dense1_bias"] = pull_dense1(pull_relu3(gradient))
        gradient = pull_relu2(pull_pool2(gradient.reshape(pooled_shape)))
        gradient, by["conv2_filter"], by["conv2_bias"] = pull_conv2(gradient)
        _, by["conv1_filter"], by["conv1_bias"] = pull_conv1(pull_relu1(pull_pool1(gradient)))
        return by

    return logits, pull


Pullback = Callable[[Array], Array]
WeightedPullback = Callable[[Array], tuple[Array, Array, Array]]


def _convolve(x: Array, filters: Array, bias: Array) -> tuple[Array, WeightedPullback]:
    """conv2d 3x3 with padding 1: [N, C, H, W] by [O, C, 3, 3] gives [N, O, H, W]."""
    columns = _im2col(x)
    y = _from_rows(columns @ filters.reshape(len(filters), -1).T + bias, x.shape)

    def pull(gradient: Array) -> tuple[Array, Array, Array]:
        rows = _to_rows(gradient)
        # Input pixel p met output pixel q under filter tap p - q, so the way back is a convolution with the taps
        # mirrored and the channels' roles exchanged.
        mirrored = filters.transpose(1, 0, 2, 3)[:, :, ::-1, ::-1]
        by_x = _from_rows(_im2col(gradient) @ mirrored.reshape(len(mirrored), -1).T, x.shape)
        return by_x, (rows.T @ columns).reshape(filters.shape), rows.sum(axis=0)

    return y, pull


def _im2col(x: Array) -> Array:
    """One row [C * 9] for every pixel: its zero-padded 3x3 neighbourhood."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = sliding_window_view(padded, (3, 3), axis=(2, 3))
    return windows.transpose(0, 2, 3, 1, 4, 5).reshape(-1, x.shape[1] * 9)


def _to_rows(x: Array) -> Array:
    """[N, C, H, W] as one row [C] for every pixel."""
    return x.transpose(0, 2, 3, 1).reshape(-1, x.shape[1])


def _from_rows(rows: Array, like: tuple[int, ...]) -> Array:
    """One row [C] for every pixel as [N, C, H, W], with N, H and W as in `like`."""
    count, _, height, width = like
    return rows.reshape(count, height, width, -1).transpose(0, 3, 1, 2)


def _relu(x: Array) -> tuple[Array, Pullback]:
    positive = x > 0
    return x * positive, lambda gradient: gradient * positive


def _max_pool(x: Array) -> tuple[Array, Pullback]:
    """The maximum of each 2x2 block; the first one takes the gradient when several are equal."""
    count, channels, height, width = x.shape
    blocks = x.reshape(count, channels, height // 2, 2, width // 2, 2).transpose(0, 1, 2, 4, 3, 5)
    candidates = blocks.reshape(*blocks.shape[:4], 4)
    winner = candidates.argmax(axis=-1, keepdims=True)

    def pull(gradient: Array) -> Array:
        by_candidates = np.zeros_like(candidates)
        np.put_along_axis(by_candidates, winner, gradient[..., None], axis=-1)
        return by_candidates.reshape(blocks.shape).transpose(0, 1, 2, 4, 3, 5).reshape(x.shape)

    return np.take_along_axis(candidates, winner, axis=-1)[..., 0], pull


def _dense(x: Array, weight: Array, bias: Array) -> tuple[Array, WeightedPullback]:
    """gemm: [N, I] by [I, O], plus [O]."""
    return x @ weight + bias, lambda gradient: (gradient @ weight.T, x.T @ gradient, gradient.sum(axis=0))


if __name__ == "__main__":
    sys.exit(main())
