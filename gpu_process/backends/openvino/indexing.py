"""Gathers and scatters.

OpenVINO trusts indices: out of range it reads and writes foreign memory, or returns zeros (hazards H3, H4, H15), and a
clamp in its own graph guards nothing, since it narrows 64-bit and unsigned indices before any comparison (H5, H6) and
may merge the clamp with one of the caller's (H9). So an index operand never comes from inside an OpenVINO model: the
guard named here runs in NumPy, between models, into int32 memory that nothing else can reach; see `_guards.py`.
"""

from __future__ import annotations

import math

from openvino import opset15 as opset

from gpu_process.backends.openvino._lowering import INDICES, MOVABLE, IndexGuard, Node, Value, lowers
from gpu_process.backends.openvino._values import int_constant
from ipc import operators as ops


def _size_of_axis(node: Node) -> tuple[int, ...]:
    return (node.inputs["input"].shape[node.operation.attributes["axis"]],)


def _sizes_of_columns(node: Node) -> tuple[int, ...]:
    shape: tuple[int, ...] = node.inputs["input"].shape
    return shape[: node.inputs["indices"].shape[-1]]


_ALONG_AXIS = IndexGuard("indices", _size_of_axis)
_BY_COLUMN = IndexGuard("indices", _sizes_of_columns)


@lowers(ops.gather, input=MOVABLE, indices=INDICES, output=MOVABLE, guard=_ALONG_AXIS)
def gather(_node: Node, input: Value, indices: Value, *, axis: int) -> Value:
    return opset.gather(input, indices, int_constant(axis))


@lowers(ops.gather_elements, input=MOVABLE, indices=INDICES, output=MOVABLE, guard=_ALONG_AXIS)
def gather_elements(_node: Node, input: Value, indices: Value, *, axis: int) -> Value:
    return opset.gather_elements(input, indices, axis)


@lowers(ops.gather_nd, input=MOVABLE, indices=INDICES, output=MOVABLE, guard=_BY_COLUMN)
def gather_nd(_node: Node, input: Value, indices: Value) -> Value:
    return opset.gather_nd(input, indices, 0)


@lowers(ops.scatter_elements, input=MOVABLE, indices=INDICES, updates=MOVABLE, output=MOVABLE, guard=_ALONG_AXIS)
def scatter_elements(_node: Node, input: Value, indices: Value, updates: Value, *, axis: int) -> Value:
    return opset.scatter_elements_update(input, indices, updates, int_constant(axis))


def _has_one_update(node: Node) -> bool:
    """Of several updates of one place the last one has to hold; OpenVINO's threads write them in any order."""
    shape: tuple[int, ...] = node.inputs["indices"].shape
    return math.prod(shape[:-1]) == 1


@lowers(
    ops.scatter_nd,
    input=MOVABLE,
    indices=INDICES,
    updates=MOVABLE,
    output=MOVABLE,
    when=_has_one_update,
    guard=_BY_COLUMN,
)
def scatter_nd(_node: Node, input: Value, indices: Value, updates: Value) -> Value:
    return opset.scatter_nd_update(input, indices, updates)
