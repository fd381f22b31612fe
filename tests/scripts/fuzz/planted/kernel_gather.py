"""Kernel: indices are taken as they come."""

from __future__ import annotations

import numpy as np

from tests.scripts.fuzz.planted import replace_kernel

replace_kernel("gather", lambda x, indices, *, axis: np.take(x, indices.astype(np.int64), axis))
