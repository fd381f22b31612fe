"""The demo's digit classifier: trained weights, and real handwritten digits that the training never saw.

The network, float32, NCHW images and OIHW filters::

    conv2d 3x3 pad 1 -> relu -> maxpool 2 -> conv2d 3x3 pad 1 -> relu -> maxpool 2
    -> reshape [N, 128] -> gemm -> relu -> gemm -> logits [N, 10]

`scripts/train_digits.py` writes the file that is loaded here. The images are from E. Alpaydin, C. Kaynak, "Optical
Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998.
"""

from dataclasses import dataclass, fields
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class DigitsModel:
    """Weights of the network and its held-out test set.

    The matrices of the dense layers are (inputs, outputs): a layer is ``x @ weight + bias``.
    """

    conv1_filter: NDArray[np.float32]
    """[16, 1, 3, 3]"""
    conv1_bias: NDArray[np.float32]
    """[16]"""
    conv2_filter: NDArray[np.float32]
    """[32, 16, 3, 3]"""
    conv2_bias: NDArray[np.float32]
    """[32]"""
    dense1_weight: NDArray[np.float32]
    """[128, 64]; row ``c * 4 + y * 2 + x`` weighs channel c at (y, x)"""
    dense1_bias: NDArray[np.float32]
    """[64]"""
    dense2_weight: NDArray[np.float32]
    """[64, 10]"""
    dense2_bias: NDArray[np.float32]
    """[10]"""
    images: NDArray[np.float32]
    """[N, 1, 8, 8], ink from 0 (none) to 1 (full)"""
    labels: NDArray[np.uint8]
    """[N], the digit that each image shows"""

    @property
    def weights(self) -> dict[str, NDArray[np.float32]]:
        """The trained parameters by name, in the order in which the network uses them."""
        return {name: getattr(self, name) for name in FIELD_NAMES if name not in ("images", "labels")}


FIELD_NAMES = tuple(field.name for field in fields(DigitsModel))


def load_digits_model() -> DigitsModel:
    """Load the model that ships with the package; its arrays are read-only."""
    with (files("renderer") / "data" / "digits.npz").open("rb") as file, np.load(file, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in FIELD_NAMES}
    for array in arrays.values():
        array.setflags(write=False)
    return DigitsModel(**arrays)
