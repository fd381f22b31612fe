"""Validator: a convolution's groups, sizes and strides are taken as they come."""

from __future__ import annotations

from tests.scripts.fuzz.planted import forget_rules

forget_rules("conv2d", "conv_transpose2d")
