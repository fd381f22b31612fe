"""Matrix products."""

from __future__ import annotations

from gpu_process.backends._interface import Array
from gpu_process.backends.reference._kernels import kernel
from ipc import operators as ops


@kernel(ops.gemm)
def gemm(
    a: Array, b: Array, c: Array | None, *, alpha: float, beta: float, a_transpose: bool, b_transpose: bool
) -> Array:
    """alpha * a @ b + beta * c, with a and b transposed if asked for; without c only the product."""
    product = (a.T if a_transpose else a) @ (b.T if b_transpose else b)
    return alpha * product if c is None else alpha * product + beta * c


@kernel(ops.matmul)
def matmul(a: Array, b: Array) -> Array:
    """a @ b on the last two axes, the others broadcast."""
    return a @ b
