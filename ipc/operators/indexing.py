"""Gathering and scattering by indices.

Indices within [-N, N) are legal, negative ones count from the end; others are clamped when the graph runs, since only
then they are known.
"""

from __future__ import annotations

from ipc.descriptors import ANY, COMMON, DataType, Descriptor
from ipc.operators._attributes import uint32
from ipc.operators._declaration import Options, operand, operator
from ipc.operators._families import AXIS_RULES, check_axis
from ipc.operators._rules import Rule

_INDICES = {DataType.INT32, DataType.UINT32, DataType.INT64}
_INDICES_REQUIRED = {DataType.INT32}
_GATHERED = COMMON | {DataType.INT8, DataType.UINT8}


class IndexOptions(Options):
    axis: int = uint32(0)


@operator(
    input=operand(ANY, (1, None), required=_GATHERED),
    indices=operand(_INDICES, required=_INDICES_REQUIRED),
    options=IndexOptions,
    outputs={"output": operand(ANY, required=_GATHERED, required_rank=(1, 5))},
    rules=AXIS_RULES,
)
def gather(rule: Rule, input: Descriptor, indices: Descriptor, options: IndexOptions) -> Descriptor:
    """The slices of the input along axis that the indices name, in the shape of the indices."""
    axis = options.axis
    check_axis(rule, axis, input)
    return Descriptor(input.data_type, (*input.shape[:axis], *indices.shape, *input.shape[axis + 1 :]))


_ELEMENTS_RULES = AXIS_RULES | {
    "indices_rank": "indices has the rank of the input",
    "indices_shape": "indices has the sizes of the input, except along axis",
}


def _check_elements(rule: Rule, input: Descriptor, indices: Descriptor, axis: int) -> None:
    check_axis(rule, axis, input)
    same = all(m == n for d, (m, n) in enumerate(zip(input.shape, indices.shape, strict=True)) if d != axis)
    rule("indices_shape", same, indices=indices.shape, input=input.shape, axis=axis)


@operator(
    input=operand(ANY, (1, None), required=COMMON),
    indices=operand(_INDICES, (1, None), required=_INDICES_REQUIRED),
    options=IndexOptions,
    rules=_ELEMENTS_RULES,
)
def gather_elements(rule: Rule, input: Descriptor, indices: Descriptor, options: IndexOptions) -> Descriptor:
    """Each output element at c is the input element at c with c[axis] replaced by indices[c]."""
    rule("indices_rank", indices.rank == input.rank, indices=indices.shape, input=input.shape)
    _check_elements(rule, input, indices, options.axis)
    return Descriptor(input.data_type, indices.shape)


_COORDINATES_RULES = {"coordinates": "the last dimension of indices is no more than the rank of the input"}


def _slices(rule: Rule, input: Descriptor, indices: Descriptor) -> tuple[int, ...]:
    """The shape of the slices that the coordinates in `indices` name."""
    coordinates = indices.shape[-1]
    rule("coordinates", coordinates <= input.rank, indices=indices.shape, input=input.shape)
    return (*indices.shape[:-1], *input.shape[coordinates:])


@operator(
    input=operand(ANY, (1, None), required=_GATHERED),
    indices=operand(_INDICES, (1, None), required=_INDICES_REQUIRED),
    outputs={"output": operand(ANY, required=_GATHERED)},
    rules=_COORDINATES_RULES,
    spec_name="gatherND",
)
def gather_nd(rule: Rule, input: Descriptor, indices: Descriptor) -> Descriptor:
    """The slices of the input at the coordinates in the last dimension of the indices."""
    return Descriptor(input.data_type, _slices(rule, input, indices))


@operator(
    input=operand(ANY, (1, None), required=COMMON),
    indices=operand(_INDICES, (1, None), required=_INDICES_REQUIRED),
    updates=operand(ANY, (1, None), required=COMMON, like="input"),
    options=IndexOptions,
    rules=_ELEMENTS_RULES
    | {
        "updates_rank": "updates has the rank of the input",
        "updates_shape": "updates has the shape of indices",
    },
)
def scatter_elements(
    rule: Rule, input: Descriptor, indices: Descriptor, updates: Descriptor, options: IndexOptions
) -> Descriptor:
    """A copy of the input, its element at c with c[axis] replaced by indices[c] overwritten by updates[c]."""
    rule("indices_rank", indices.rank == input.rank, indices=indices.shape, input=input.shape)
    rule("updates_rank", updates.rank == input.rank, updates=updates.shape, input=input.shape)
    _check_elements(rule, input, indices, options.axis)
    rule("updates_shape", updates.shape == indices.shape, updates=updates.shape, indices=indices.shape)
    return input


@operator(
    input=operand(ANY, (1, None), required=COMMON),
    indices=operand(_INDICES, (1, None), required=_INDICES_REQUIRED),
    updates=operand(ANY, required=COMMON, like="input"),
    rules=_COORDINATES_RULES | {"updates_shape": "updates has the shape of the slices that indices names"},
    spec_name="scatterND",
)
def scatter_nd(rule: Rule, input: Descriptor, indices: Descriptor, updates: Descriptor) -> Descriptor:
    """A copy of the input, its slices at the coordinates in the last dimension of the indices overwritten."""
    slices = _slices(rule, input, indices)
    rule("updates_shape", updates.shape == slices, updates=updates.shape, slices=slices)
    return input
