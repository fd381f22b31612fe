"""Kernel: the default permutation is the identity."""

from __future__ import annotations

import numpy as np

from tests.scripts.fuzz.planted import replace_kernel

replace_kernel(
    "transpose",
    lambda x, *, permutation: np.transpose(x, permutation or range(x.ndim)).reshape(
        x.shape[::-1] if not permutation else [x.shape[at] for at in permutation]
    ),
)
