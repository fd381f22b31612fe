"""Kernel: NaN is lesser or equal."""

from __future__ import annotations

from tests.scripts.fuzz.planted import replace_kernel

replace_kernel("lesser_or_equal", lambda a, b: ~(a > b))
