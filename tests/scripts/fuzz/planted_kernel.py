"""A planted bug, for `--preload`: the reference's `reverse` forgets to reverse."""

from __future__ import annotations

from dataclasses import replace

import gpu_process.backends.reference._backend  # noqa: F401 - registers the kernels
from gpu_process.backends.reference._kernels import KERNELS

_entry = KERNELS._entries["reverse"]
KERNELS._entries["reverse"] = replace(_entry, implementation=lambda x, *, axes: x)
