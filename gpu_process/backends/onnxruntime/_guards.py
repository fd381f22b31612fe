"""What holds hostile values back from kernels that would trap or fail on them.

Each guard computes with kernels that are defined for every value, before the value arrives: at run time, and likewise
when the runtime folds constants, which executes the same nodes in the same order.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gpu_process.backends.onnxruntime._lowering import Lowering
from gpu_process.backends.onnxruntime._values import ElementType, Value


def guarded_divisor(node: Lowering, b: Value) -> tuple[Value, Value]:
    """An integer divisor that is never 0 or -1, and the factor that corrects the quotient.

    The factor is 1 where b is left alone; for b = 0 the divisor is 1 and the factor 0; for b = -1 they are 1 and -1
    (a / -1 traps for the lowest a; a * -1 wraps around).
    """
    zero = node.cast(node.compare("Equal", b, node.scalar(0, b)), b.data_type)
    factor = node.binary("Sub", node.scalar(1, b), zero)
    if b.data_type in (ElementType.INT8, ElementType.INT32, ElementType.INT64):
        minus_one = node.cast(node.compare("Equal", b, node.scalar(-1, b)), b.data_type)
        factor = node.binary("Sub", factor, node.binary("Add", minus_one, minus_one))
    return node.binary("Add", node.binary("Mul", b, factor), zero), factor


def index(node: Lowering, indices: Value, size: int) -> Value:
    """Indices clamped into [-size, size - 1], which the kernels take; as int64 if they are uint32."""
    if indices.data_type is ElementType.UINT32:
        indices = node.cast(indices, ElementType.INT64)
    if not node.guards:
        return indices
    return node("Clip", indices, node.scalar(-size, indices), node.scalar(size - 1, indices))


def coordinates(node: Lowering, indices: Value, sizes: Sequence[int]) -> Value:
    """int64 coordinates along the last axis, each clamped into the range of its size."""
    indices = node.cast(indices, ElementType.INT64)
    if not node.guards:
        return indices
    limits = np.array(sizes, np.int64)
    return node.binary("Max", node.binary("Min", indices, node.constant(limits - 1)), node.constant(-limits))


def truth(node: Lowering, condition: Value) -> Value:
    """A uint8 condition as the runtime's boolean, whose memory holds 0 or 1 whatever the condition's holds."""
    return node.cast(condition, ElementType.BOOL)
