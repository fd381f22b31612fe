"""What moves data, or asks for shapes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import onnx
from onnx import numpy_helper

from renderer.loaders.onnx._node import Array, Node, translates
from renderer.operand import MLOperand


@translates("Shape")
def shape(node: Node, x: MLOperand, *, start: int = 0, end: int | None = None) -> Array:
    del node
    return np.array(x.shape[start:end], np.int64)


@translates("Size")
def size(node: Node, x: MLOperand) -> Array:
    del node
    return np.array(math.prod(x.shape), np.int64)


@translates("Reshape", known=("new_shape",))
def reshape(node: Node, x: MLOperand, new_shape: Array, *, allowzero: int = 0) -> MLOperand:
    sizes = [
        x.shape[position] if wanted == 0 and not allowzero and position < len(x.shape) else wanted
        for position, wanted in enumerate(new_shape.tolist())
    ]
    if -1 in sizes:
        others = math.prod(wanted for wanted in sizes if wanted != -1)
        sizes[sizes.index(-1)] = math.prod(x.shape) // max(others, 1)
    return node("reshape", x, sizes)


@translates("Flatten")
def flatten(node: Node, x: MLOperand, *, axis: int = 1) -> MLOperand:
    axis = axis + len(x.shape) if axis < 0 else axis
    return node("reshape", x, [math.prod(x.shape[:axis]), math.prod(x.shape[axis:])])


@translates("Squeeze", known=("axes",))
def squeeze(node: Node, x: MLOperand, axes: Array | None = None) -> MLOperand:
    rank = len(x.shape)
    gone = {axis for axis in range(rank) if x.shape[axis] == 1} if axes is None else {int(it) % rank for it in axes}
    return node("reshape", x, [extent for axis, extent in enumerate(x.shape) if axis not in gone])


@translates("Unsqueeze", known=("axes",))
def unsqueeze(node: Node, x: MLOperand, axes: Array) -> MLOperand:
    rank = len(x.shape) + len(axes)
    new = {int(it) % rank for it in axes}
    old = iter(x.shape)
    return node("reshape", x, [1 if axis in new else next(old) for axis in range(rank)])


@translates("Expand", known=("new_shape",))
def expand(node: Node, x: MLOperand, new_shape: Array) -> MLOperand:
    try:
        both = np.broadcast_shapes(x.shape, tuple(new_shape.tolist()))  # ONNX's shape may have ones, WebNN's not
    except ValueError:
        node.refuse(f"a shape {new_shape.tolist()} for {x.shape}")
    return node("expand", x, both)


@translates("Transpose")
def transpose(node: Node, x: MLOperand, *, perm: Sequence[int] | None = None) -> MLOperand:
    return node("transpose", x, permutation=perm)


@translates("Concat")
def concat(node: Node, *inputs: MLOperand, axis: int) -> MLOperand:
    return node("concat", inputs, axis % len(inputs[0].shape))


@translates("Split", known=("split",))
def split(
    node: Node, x: MLOperand, split: Array | None = None, *, axis: int = 0, num_outputs: int = 0
) -> Sequence[MLOperand]:
    axis %= len(x.shape)
    if split is not None:
        sizes = split.tolist()
    else:
        parts = num_outputs or len(node.proto.output)
        most = -(-x.shape[axis] // parts)
        sizes = [*[most] * (parts - 1), x.shape[axis] - most * (parts - 1)]
    return node.builder.split(x, sizes, axis=axis, label=node.label)


@translates("Slice", known=("starts", "ends", "axes", "steps"))
def slice_(
    node: Node, x: MLOperand, starts: Array, ends: Array, axes: Array | None = None, steps: Array | None = None
) -> MLOperand:
    axes = np.arange(len(starts)) if axes is None else axes
    steps = np.ones(len(starts), np.int64) if steps is None else steps
    first, sizes, strides = [0] * len(x.shape), list(x.shape), [1] * len(x.shape)
    backwards = []
    for axis, start, end, step in zip(axes.tolist(), starts.tolist(), ends.tolist(), steps.tolist(), strict=True):
        axis %= len(x.shape)
        taken = range(*slice(start, end, step).indices(x.shape[axis]))
        node.require(len(taken) > 0, f"an empty slice {start}:{end}:{step} of {x.shape[axis]}")
        if step < 0:
            backwards.append(axis)
            taken = taken[::-1]
        first[axis], sizes[axis], strides[axis] = taken[0], taken[-1] - taken[0] + 1, taken.step
    result = node("slice", x, first, sizes, strides=strides)
    return node("reverse", result, axes=backwards) if backwards else result


@translates("Tile", known=("repeats",))
def tile(node: Node, x: MLOperand, repeats: Array) -> MLOperand:
    return node("tile", x, repeats.tolist())


_MODES = {"constant": "constant", "edge": "edge", "reflect": "reflection"}


@translates("Pad", known=("pads", "value", "axes"))
def pad(
    node: Node,
    x: MLOperand,
    pads: Array,
    value: Array | None = None,
    axes: Array | None = None,
    *,
    mode: str = "constant",
) -> MLOperand:
    node.require(mode in _MODES, f"the mode {mode!r}")
    rank = len(x.shape)
    beginnings, endings = [0] * rank, [0] * rank
    chosen = range(rank) if axes is None else [int(axis) % rank for axis in axes]
    for axis, beginning, ending in zip(chosen, *np.reshape(pads, (2, -1)).tolist(), strict=True):
        node.require(beginning >= 0 and ending >= 0, "padding that takes away")
        beginnings[axis], endings[axis] = beginning, ending
    return node("pad", x, beginnings, endings, mode=_MODES[mode], value=0 if value is None else value.item())


@translates("Gather")
def gather(node: Node, x: MLOperand, indices: MLOperand, *, axis: int = 0) -> MLOperand:
    return node("gather", x, indices, axis=axis % len(x.shape))


@translates("GatherElements")
def gather_elements(node: Node, x: MLOperand, indices: MLOperand, *, axis: int = 0) -> MLOperand:
    return node("gather_elements", x, indices, axis=axis % len(x.shape))


@translates("GatherND")
def gather_nd(node: Node, x: MLOperand, indices: MLOperand, *, batch_dims: int = 0) -> MLOperand:
    node.require(batch_dims == 0, "a batch")
    return node("gather_nd", x, indices)


@translates("ScatterElements")
def scatter_elements(
    node: Node, x: MLOperand, indices: MLOperand, updates: MLOperand, *, axis: int = 0, reduction: str = "none"
) -> MLOperand:
    node.require(reduction == "none", "a reduction")
    return node("scatter_elements", x, indices, updates, axis=axis % len(x.shape))


@translates("ScatterND")
def scatter_nd(
    node: Node, x: MLOperand, indices: MLOperand, updates: MLOperand, *, reduction: str = "none"
) -> MLOperand:
    node.require(reduction == "none", "a reduction")
    return node("scatter_nd", x, indices, updates)


@translates("Trilu", known=("k",))
def triangular(node: Node, x: MLOperand, k: Array | None = None, *, upper: int = 1) -> MLOperand:
    return node("triangular", x, upper=bool(upper), diagonal=0 if k is None else int(k))


@translates("ConstantOfShape", known=("sizes",))
def constant_of_shape(node: Node, sizes: Array, *, value: onnx.TensorProto | None = None) -> MLOperand:
    scalar = np.float32(0) if value is None else numpy_helper.to_array(value).reshape(())
    return node("expand", node.builder.constant(np.asarray(scalar)), sizes.tolist())
