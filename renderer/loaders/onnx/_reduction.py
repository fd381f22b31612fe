"""Reductions, and what runs along one axis."""

from __future__ import annotations

from typing import Final

from renderer.loaders.onnx._node import Array, Node, translates
from renderer.operand import MLOperand

REDUCTIONS: Final = {
    "ReduceL1": "reduce_l1",
    "ReduceL2": "reduce_l2",
    "ReduceLogSum": "reduce_log_sum",
    "ReduceLogSumExp": "reduce_log_sum_exp",
    "ReduceMax": "reduce_max",
    "ReduceMean": "reduce_mean",
    "ReduceMin": "reduce_min",
    "ReduceProd": "reduce_product",
    "ReduceSum": "reduce_sum",
    "ReduceSumSquare": "reduce_sum_square",
}


@translates(*REDUCTIONS, known=("axes",))
def reduce(
    node: Node,
    x: MLOperand,
    axes: Array | list[int] | None = None,
    *,
    keepdims: int = 1,
    noop_with_empty_axes: int = 0,
) -> MLOperand:
    if axes is None or not len(axes):
        if noop_with_empty_axes:
            return node("identity", x)
        axes = list(range(len(x.shape)))
    chosen = [int(axis) % len(x.shape) for axis in axes]
    return node(REDUCTIONS[node.proto.op_type], x, axes=chosen, keep_dimensions=bool(keepdims))


@translates("ArgMax", "ArgMin")
def arg_extremum(
    node: Node, x: MLOperand, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0
) -> MLOperand:
    node.require(not select_last_index, "the last of equal values")
    method = "arg_max" if node.proto.op_type == "ArgMax" else "arg_min"
    return node(method, x, axis % len(x.shape), keep_dimensions=bool(keepdims), output_data_type="int64")


@translates("CumSum", known=("axis",))
def cumulative_sum(node: Node, x: MLOperand, axis: Array, *, exclusive: int = 0, reverse: int = 0) -> MLOperand:
    return node("cumulative_sum", x, int(axis) % len(x.shape), exclusive=bool(exclusive), reversed=bool(reverse))
