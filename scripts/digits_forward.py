"""The digit classifier, computed a second time: an answer to compare backends with.

Written from the layers' definitions in float64, with einsum and slices only. It uses no kernel of the product and
nothing of the trainer, so that agreeing with it means something.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from renderer.digits import DigitsModel


def forward(model: DigitsModel, images: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """The logits [N, 10] of images [N, 1, 8, 8], in float64 throughout."""
    x = images.astype(np.float64)
    x = _halve(_relu(_convolve(x, model.conv1_filter, model.conv1_bias)))
    x = _halve(_relu(_convolve(x, model.conv2_filter, model.conv2_bias)))
    channels, height, width = x.shape[1:]
    # The dense layer's rows are the flattened (channel, y, x): contracting all three needs no flattening.
    dense1 = model.dense1_weight.astype(np.float64).reshape(channels, height, width, -1)
    x = _relu(np.einsum("nchw,chwk->nk", x, dense1) + model.dense1_bias)
    logits: NDArray[np.float64] = np.einsum("nk,kj->nj", x, model.dense2_weight.astype(np.float64)) + model.dense2_bias
    return logits


def _convolve(x: NDArray[np.float64], weight: NDArray[np.float32], bias: NDArray[np.float32]) -> NDArray[np.float64]:
    """3x3 cross-correlation with one ring of zeros around [N, C, H, W]: nine shifted images, each weighed, summed."""
    count, channels, height, width = x.shape
    padded = np.zeros((count, channels, height + 2, width + 2))
    padded[:, :, 1:-1, 1:-1] = x
    y = np.zeros((count, len(bias), height, width)) + bias[None, :, None, None]
    for dy in range(3):
        for dx in range(3):
            shifted = padded[:, :, dy : dy + height, dx : dx + width]
            y += np.einsum("nchw,oc->nohw", shifted, weight[:, :, dy, dx].astype(np.float64))
    return y


def _halve(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The largest of each 2x2 block."""
    rows = np.maximum(x[:, :, 0::2, :], x[:, :, 1::2, :])
    return np.maximum(rows[:, :, :, 0::2], rows[:, :, :, 1::2])


def _relu(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(x > 0, x, 0.0)
