"""The registry of kernels, and what a kernel may expect.

A kernel is a function of one operator: operands positional in the order of the slots (None where absent, a tuple where
variadic), attributes by keyword. It gets

- float operands as float64, whatever their type is, and returns floats in any precision: the executor rounds once, to
  the type of the output;
- integer operands as they are, and must return the output's integer type, bool for 0 and 1, or integers whose low bits
  count. NumPy's integers wrap around, which is what is wanted;
- 4-bit operands unpacked, one value per int8 or uint8.

It may return a view. It need not think of warnings: none are raised while it runs. A kernel that needs to know the type
or shape of its result names a keyword `output`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gpu_process.backends._registry import ImplementationRegistry

KERNELS: ImplementationRegistry[Callable[..., Any]] = ImplementationRegistry()
kernel = KERNELS.implements
"""Decorator: `@kernel(ops.gemm)` makes the function the kernel of that operator, for all types and ranks declared."""
