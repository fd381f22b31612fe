"""Operators that move elements: shapes, copies, pieces."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ipc.descriptors import ANY, COMMON, FLOATS, DataType, Descriptor, broadcasts_to
from ipc.operators._attributes import boolean, enumeration, int32, list_of, modulo_uint32, number, one_or_list, uint32
from ipc.operators._declaration import Options, operand, operator, variadic
from ipc.operators._families import AXES_RULES, AXIS_RULES, check_axes, check_axis
from ipc.operators._rules import Rule

MAX_TENSOR_COUNT = 8192  # WebNN, "valid tensor count"

_MOVED = COMMON | {DataType.INT8, DataType.UINT8}


@operator(
    input=operand(ANY, required=_MOVED),
    new_shape=list_of(uint32()),
    rules={"element_count": "new_shape has as many elements as the input"},
)
def reshape(rule: Rule, input: Descriptor, new_shape: tuple[int, ...]) -> Descriptor:
    """The same elements in row-major order, in another shape; [] makes a scalar."""
    output = rule.output(Descriptor(input.data_type, new_shape))  # first, since it bounds the length of the product
    rule("element_count", math.prod(new_shape) == input.element_count, new_shape=new_shape, input=input.shape)
    return output


@operator(
    input=operand(ANY, required=COMMON),
    new_shape=list_of(uint32()),
    rules={"broadcast": "the input broadcasts to new_shape"},
)
def expand(rule: Rule, input: Descriptor, new_shape: tuple[int, ...]) -> Descriptor:
    """A copy broadcast to new_shape."""
    rule("broadcast", broadcasts_to(input.shape, new_shape), input=input.shape, new_shape=new_shape)
    return Descriptor(input.data_type, new_shape)


class TransposeOptions(Options):
    permutation: tuple[int, ...] | None = list_of(uint32(), None)


@operator(
    input=operand(ANY, required=COMMON),
    options=TransposeOptions,
    rules={
        "permutation_length": "permutation has one entry per dimension of the input",
        "permutation_range": "the entries of permutation are dimensions of the input",
        "permutation_unique": "the entries of permutation are unique",
    },
)
def transpose(rule: Rule, input: Descriptor, options: TransposeOptions) -> Descriptor:
    """The input with dimension permutation[k] as dimension k; reversed dimensions by default."""
    order = options.permutation
    if order is None:
        return Descriptor(input.data_type, input.shape[::-1])
    rule("permutation_length", len(order) == input.rank, permutation=order, input=input.shape)
    rule("permutation_range", all(axis < input.rank for axis in order), permutation=order, input=input.shape)
    rule("permutation_unique", len(set(order)) == len(order), permutation=order)
    return Descriptor(input.data_type, tuple(input.shape[axis] for axis in order))


class ReverseOptions(Options):
    axes: tuple[int, ...] | None = list_of(uint32(), None)


@operator(input=operand(ANY, required=COMMON), options=ReverseOptions, rules=AXES_RULES)
def reverse(rule: Rule, input: Descriptor, options: ReverseOptions) -> Descriptor:
    """The elements in opposite order along axes; along all of them by default, along none for []."""
    if options.axes is not None:
        check_axes(rule, options.axes, input)
    return input


@operator(
    inputs=variadic(ANY, (1, None), required=COMMON),
    axis=uint32(),
    outputs={"output": operand(ANY, (1, None), required=COMMON)},
    rules={
        "count": f"there are 1 to {MAX_TENSOR_COUNT} inputs",
        "axis": "axis is a dimension of the first input",
        "same_type": "the inputs share a data type",
        "same_rank": "the inputs share a rank",
        "same_shape": "the inputs share their sizes, except along axis",
    },
)
def concat(rule: Rule, inputs: Sequence[Descriptor], axis: int) -> Descriptor:
    """The inputs one after the other along axis."""
    rule("count", 1 <= len(inputs) <= MAX_TENSOR_COUNT, count=len(inputs))
    rule.slot("inputs")
    first = inputs[0]
    rule("axis", axis < first.rank, axis=axis, input=first.shape)
    before, after = first.shape[:axis], first.shape[axis + 1 :]
    length = 0
    for index, input in enumerate(inputs):
        rule("same_type", input.data_type == first.data_type, first=first.data_type, index=index, other=input.data_type)
        rule("same_rank", input.rank == first.rank, first=first.shape, index=index, other=input.shape)
        same = input.shape[:axis] == before and input.shape[axis + 1 :] == after
        rule("same_shape", same, first=first.shape, index=index, other=input.shape, axis=axis)
        length += input.shape[axis]
    return Descriptor(first.data_type, (*before, length, *after))


class SplitOptions(Options):
    axis: int = uint32(0)


@operator(
    input=operand(ANY, (1, None), required=COMMON),
    splits=one_or_list(uint32()),
    options=SplitOptions,
    outputs={"outputs": variadic(ANY, (1, None), required=COMMON)},
    returns_list=True,
    rules=AXIS_RULES
    | {
        "count": f"there are 1 to {MAX_TENSOR_COUNT} pieces",
        "divides": "the number of pieces divides the size of the axis",
        "pieces_positive": "no piece is empty",
        "sum": "the pieces add up to the size of the axis",
    },
)
def split(rule: Rule, input: Descriptor, splits: int | tuple[int, ...], options: SplitOptions) -> Sequence[Descriptor]:
    """Consecutive pieces along axis: splits equal ones, or one per size in splits."""
    axis = options.axis
    check_axis(rule, axis, input)
    size = input.shape[axis]

    def piece(length: int) -> Descriptor:
        return Descriptor(input.data_type, (*input.shape[:axis], length, *input.shape[axis + 1 :]))

    if isinstance(splits, int):
        rule("count", 1 <= splits <= MAX_TENSOR_COUNT, splits=splits)
        rule("divides", size % splits == 0, splits=splits, size=size)
        return (piece(size // splits),) * splits
    rule("count", 1 <= len(splits) <= MAX_TENSOR_COUNT, count=len(splits))
    rule("pieces_positive", 0 not in splits, splits=splits)
    rule("sum", sum(splits) == size, splits=splits, size=size)
    return [piece(length) for length in splits]


class SliceOptions(Options):
    strides: tuple[int, ...] | None = list_of(uint32(), None)


@operator(
    input=operand(ANY, required=_MOVED),
    starts=list_of(uint32()),
    sizes=list_of(uint32()),
    options=SliceOptions,
    rules={
        "sizes_positive": "sizes are not 0",
        "starts_length": "starts has one entry per dimension of the input",
        "sizes_length": "sizes has one entry per dimension of the input",
        "strides_length": "strides has one entry per dimension of the input",
        "strides_positive": "strides are not 0",
        "within": "the slice lies within the input",
    },
)
def slice(
    rule: Rule, input: Descriptor, starts: tuple[int, ...], sizes: tuple[int, ...], options: SliceOptions
) -> Descriptor:
    """input[start : start + size : stride] per dimension; a size counts what is spanned, not what is taken."""
    rule("sizes_positive", 0 not in sizes, sizes=sizes)
    rule("starts_length", len(starts) == input.rank, starts=starts, input=input.shape)
    rule("sizes_length", len(sizes) == input.rank, sizes=sizes, input=input.shape)
    strides = (1,) * input.rank if options.strides is None else options.strides
    rule("strides_length", len(strides) == input.rank, strides=strides, input=input.shape)
    rule("strides_positive", 0 not in strides, strides=strides)
    within = all(start + size <= limit for start, size, limit in zip(starts, sizes, input.shape, strict=True))
    rule("within", within, starts=starts, sizes=sizes, input=input.shape)
    return Descriptor(input.data_type, tuple(-(-size // stride) for size, stride in zip(sizes, strides, strict=True)))


class PadOptions(Options):
    mode: str = enumeration("constant", "edge", "reflection", default="constant")
    value: int | float = number(0, cast_to="input")


@operator(
    input=operand(ANY, required=FLOATS),
    beginning_padding=list_of(uint32()),
    ending_padding=list_of(uint32()),
    options=PadOptions,
    rules={
        "beginning_padding_length": "beginning_padding has one entry per dimension of the input",
        "ending_padding_length": "ending_padding has one entry per dimension of the input",
        "reflection": "a reflected padding is less than the size of its dimension",
    },
)
def pad(
    rule: Rule,
    input: Descriptor,
    beginning_padding: tuple[int, ...],
    ending_padding: tuple[int, ...],
    options: PadOptions,
) -> Descriptor:
    """The input with a border of value, of its edge elements, or of its reflection that leaves out the edge."""
    shape, begins, ends = input.shape, beginning_padding, ending_padding
    rule("beginning_padding_length", len(begins) == input.rank, beginning_padding=begins, input=shape)
    rule("ending_padding_length", len(ends) == input.rank, ending_padding=ends, input=shape)
    sides = list(zip(begins, shape, ends, strict=True))
    rule(
        "reflection",
        options.mode != "reflection" or all(begin < size and end < size for begin, size, end in sides),
        beginning_padding=begins,
        ending_padding=ends,
        input=shape,
    )
    return Descriptor(input.data_type, tuple(begin + size + end for begin, size, end in sides))


@operator(
    input=operand(ANY, required=COMMON),
    repetitions=list_of(modulo_uint32()),
    rules={
        "repetitions_length": "repetitions has one entry per dimension of the input",
        "repetitions_positive": "repetitions are not 0",
    },
)
def tile(rule: Rule, input: Descriptor, repetitions: tuple[int, ...]) -> Descriptor:
    """The whole tensor repetitions[d] times along each dimension d."""
    rule("repetitions_length", len(repetitions) == input.rank, repetitions=repetitions, input=input.shape)
    rule("repetitions_positive", 0 not in repetitions, repetitions=repetitions)
    return Descriptor(
        input.data_type, tuple(size * count for size, count in zip(input.shape, repetitions, strict=True))
    )


class TriangularOptions(Options):
    upper: bool = boolean(True)
    diagonal: int = int32(0)


@operator(input=operand(ANY, (2, None), required=FLOATS), options=TriangularOptions)
def triangular(_rule: Rule, input: Descriptor, _options: TriangularOptions) -> Descriptor:
    """Of the last two dimensions: where upper, column - row >= diagonal is kept, else column - row <= diagonal.

    All else becomes 0.
    """
    return input
