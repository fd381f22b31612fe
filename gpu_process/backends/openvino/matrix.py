"""Matrix products."""

from __future__ import annotations

from openvino import opset15 as opset

from gpu_process.backends.openvino._lowering import Node, Value, lowers
from gpu_process.backends.openvino._values import product
from ipc import operators as ops


@lowers(ops.gemm)
def gemm(
    node: Node,
    a: Value,
    b: Value,
    c: Value | None,
    *,
    alpha: float,
    beta: float,
    a_transpose: bool,
    b_transpose: bool,
) -> Value:
    whole = product(a, b, a_transpose, b_transpose)
    scaled = whole if alpha == 1 else opset.multiply(whole, node.scalar(alpha))
    if c is None:
        return scaled
    return opset.add(scaled, c if beta == 1 else opset.multiply(c, node.scalar(beta)))


@lowers(ops.matmul)
def matmul(_node: Node, a: Value, b: Value) -> Value:
    return product(a, b)
