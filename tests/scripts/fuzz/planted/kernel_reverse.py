"""Kernel: reverse forgets to."""

from __future__ import annotations

from tests.scripts.fuzz.planted import replace_kernel

replace_kernel("reverse", lambda x, *, axes: x)
