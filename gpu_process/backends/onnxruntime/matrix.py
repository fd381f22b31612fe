"""Matrix products."""

from __future__ import annotations

from gpu_process.backends.onnxruntime._lowering import Lowered, Lowering, in_float32, lowers
from gpu_process.backends.onnxruntime._values import Value
from ipc import operators as ops


@lowers(ops.gemm)
@in_float32
def gemm(
    node: Lowering,
    a: Value,
    b: Value,
    c: Value | None,
    *,
    alpha: float,
    beta: float,
    a_transpose: bool,
    b_transpose: bool,
) -> Lowered:
    shape = node.outputs[0].shape
    return node("Gemm", a, b, c, shape=shape, alpha=alpha, beta=beta, transA=int(a_transpose), transB=int(b_transpose))


@lowers(ops.matmul)
@in_float32
def matmul(node: Lowering, a: Value, b: Value) -> Lowered:
    return node("MatMul", a, b, shape=node.outputs[0].shape)
