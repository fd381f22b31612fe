"""Data movement: bit-exact for the types of `MOVABLE`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from openvino import opset15 as opset

from gpu_process.backends.openvino._lowering import MOVABLE, Node, Value, lowers
from gpu_process.backends.openvino._values import constant, int_constant, reshape, transpose
from ipc import operators as ops

_PAD_MODES = {"constant": "constant", "edge": "edge", "reflection": "reflect"}
_BACKWARDS_PAST_THE_START = -(2**31) + 1


@lowers(ops.reshape, input=MOVABLE, output=MOVABLE)
def lower_reshape(node: Node, input: Value, **_new_shape: object) -> Value:
    return reshape(input, node.output.shape)


@lowers(ops.transpose, input=MOVABLE, output=MOVABLE)
def lower_transpose(node: Node, input: Value, *, permutation: Sequence[int] | None) -> Value:
    return transpose(input, tuple(reversed(range(node.output.rank))) if permutation is None else permutation)


@lowers(ops.expand, input=MOVABLE, output=MOVABLE)
def expand(node: Node, input: Value, **_new_shape: object) -> Value:
    return opset.broadcast(input, int_constant(node.output.shape)) if node.output.rank else input


@lowers(ops.concat, inputs=MOVABLE, output=MOVABLE)
def concat(_node: Node, inputs: Sequence[Value], *, axis: int) -> Value:
    return opset.concat(list(inputs), axis)


@lowers(ops.split, input=MOVABLE, outputs=MOVABLE)
def split(node: Node, input: Value, *, axis: int, **_splits: object) -> list[Value]:
    sizes = [descriptor.shape[axis] for descriptor in node.outputs]
    return list(opset.variadic_split(input, int_constant(axis), int_constant(sizes)).outputs())


def _has_dimensions(node: Node) -> bool:
    return node.output.rank > 0


@lowers(ops.slice, input=MOVABLE, output=MOVABLE, when=_has_dimensions)
def slice(
    node: Node, input: Value, *, starts: Sequence[int], sizes: Sequence[int], strides: Sequence[int] | None
) -> Value:
    rank = node.output.rank
    ends = [start + size for start, size in zip(starts, sizes, strict=True)]
    steps = strides or [1] * rank
    return opset.slice(input, *(int_constant(values) for values in (starts, ends, steps, range(rank))))


@lowers(ops.reverse, input=MOVABLE, output=MOVABLE, when=_has_dimensions)
def reverse(node: Node, input: Value, *, axes: Sequence[int] | None) -> Value:
    reversed_axes = range(node.output.rank) if axes is None else axes
    count = len(reversed_axes)
    if count == 0:
        return input
    starts, ends, steps = ([value] * count for value in (-1, _BACKWARDS_PAST_THE_START, -1))
    return opset.slice(input, *(int_constant(values) for values in (starts, ends, steps, list(reversed_axes))))


@lowers(ops.tile, input=MOVABLE, output=MOVABLE, when=_has_dimensions)
def tile(_node: Node, input: Value, *, repetitions: Sequence[int]) -> Value:
    return opset.tile(input, int_constant(repetitions))


@lowers(ops.pad, input=MOVABLE, output=MOVABLE, when=_has_dimensions)
def pad(
    node: Node,
    input: Value,
    *,
    beginning_padding: Sequence[int],
    ending_padding: Sequence[int],
    mode: str,
    value: float,
) -> Value:
    return opset.pad(
        input, int_constant(beginning_padding), int_constant(ending_padding), _PAD_MODES[mode], node.scalar(value)
    )


@lowers(ops.triangular)
def triangular(node: Node, input: Value, *, upper: bool, diagonal: int) -> Value:
    rows, columns = node.output.shape[-2:]
    distance = np.arange(columns)[None, :] - np.arange(rows)[:, None]
    kept = distance >= diagonal if upper else distance <= diagonal
    return opset.select(constant(kept), input, node.scalar(0))
