"""What moves elements about and computes nothing."""

from __future__ import annotations

from collections.abc import Sequence

from gpu_process.backends.onnxruntime._lowering import Lowered, Lowering, in_float32, lowers
from gpu_process.backends.onnxruntime._values import ElementType, Value
from ipc import operators as ops
from ipc.numbers import MLNumber


@lowers(ops.concat)
def concat(node: Lowering, inputs: Sequence[Value], *, axis: int) -> Lowered:
    return node.concat(inputs, axis)


@lowers(ops.expand)
def expand(node: Lowering, x: Value, *, new_shape: Sequence[int]) -> Lowered:
    return node.expand(x, new_shape)


_PAD_MODES = {"constant": "constant", "edge": "edge", "reflection": "reflect"}


@lowers(ops.pad)
@in_float32
def pad(
    node: Lowering,
    x: Value,
    *,
    beginning_padding: Sequence[int],
    ending_padding: Sequence[int],
    mode: str,
    value: MLNumber,
) -> Lowered:
    if not any((*beginning_padding, *ending_padding)):
        return x
    pads = node.integers([*beginning_padding, *ending_padding])
    filling = node.scalar(value, x) if mode == "constant" else None
    return node("Pad", x, pads, filling, shape=node.outputs[0].shape, mode=_PAD_MODES[mode])


@lowers(ops.reshape)
def reshape(node: Lowering, x: Value, *, new_shape: Sequence[int]) -> Lowered:
    return node.reshape(x, new_shape)


_BEFORE_THE_FIRST = -(2**63)  # the end of a slice that goes backwards and includes element 0


@lowers(ops.reverse)
def reverse(node: Lowering, x: Value, *, axes: Sequence[int] | None) -> Lowered:
    axes = range(x.rank) if axes is None else axes
    if not axes:
        return x
    count = len(axes)
    bounds = [node.integers(each) for each in ([-1] * count, [_BEFORE_THE_FIRST] * count, axes, [-1] * count)]
    return node("Slice", x, *bounds)


@lowers(ops.slice)
def slice(
    node: Lowering,
    x: Value,
    *,
    starts: Sequence[int],
    sizes: Sequence[int],
    strides: Sequence[int] | None,
) -> Lowered:
    ends = [start + size for start, size in zip(starts, sizes, strict=True)]
    return node.slice(x, starts, ends, strides or [1] * x.rank) if x.rank else x


@lowers(ops.split)
def split(node: Lowering, x: Value, *, splits: int | Sequence[int], axis: int) -> Lowered:
    sizes = [x.shape[axis] // splits] * splits if isinstance(splits, int) else splits
    return node.split(x, sizes, axis)


@lowers(ops.tile)
def tile(node: Lowering, x: Value, *, repetitions: Sequence[int]) -> Lowered:
    """There is no kernel for float16; the cast there and back loses nothing."""
    if all(count == 1 for count in repetitions):
        return x
    medium = ElementType.FLOAT if x.data_type is ElementType.FLOAT16 else x.data_type
    tiled = node("Tile", node.cast(x, medium), node.integers(repetitions), shape=node.outputs[0].shape)
    return node.cast(tiled, x.data_type)


@lowers(ops.transpose)
def transpose(node: Lowering, x: Value, *, permutation: Sequence[int] | None) -> Lowered:
    return node.transpose(x, range(x.rank - 1, -1, -1) if permutation is None else permutation)


_TRIANGULAR_AS = {
    ElementType.FLOAT16: ElementType.FLOAT,
    ElementType.INT8: ElementType.INT32,
    ElementType.UINT8: ElementType.INT32,
    ElementType.UINT32: ElementType.INT64,
    ElementType.UINT64: ElementType.INT64,
}


@lowers(ops.triangular)
def triangular(node: Lowering, x: Value, *, upper: bool, diagonal: int) -> Lowered:
    """Types without a kernel go through one that holds them."""
    medium = node.cast(x, _TRIANGULAR_AS.get(x.data_type, x.data_type))
    kept = node("Trilu", medium, node.integers([diagonal]), upper=int(upper))
    return node.cast(kept, x.data_type)
