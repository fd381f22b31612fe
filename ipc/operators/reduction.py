"""Reductions along dimensions, and the running sum."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from ipc.descriptors import ANY, COMMON, FLOATS, WIDE_INTEGERS, DataType, Descriptor
from ipc.operators._attributes import boolean, list_of, modulo_uint32, uint32
from ipc.operators._attributes import data_type as data_type_attribute
from ipc.operators._declaration import Operator, Options, declare, operand, operator
from ipc.operators._families import AXES_RULES, AXIS_RULES, check_axes, check_axis
from ipc.operators._rules import Rule


class ReduceOptions(Options):
    axes: tuple[int, ...] | None = list_of(uint32(), None)
    keep_dimensions: bool = boolean(False)


def _reduce(
    name: str, data_types: Iterable[DataType], formula: str, *, required: Iterable[DataType] | None = None
) -> Operator:
    def infer(rule: Rule, input: Descriptor, options: ReduceOptions) -> Descriptor:
        axes = range(input.rank) if options.axes is None else check_axes(rule, options.axes, input)
        return Descriptor(input.data_type, _reduced(input.shape, axes, options.keep_dimensions))

    return declare(
        infer,
        name=name,
        parameters={"input": operand(data_types, required=required)},
        options=ReduceOptions,
        rules=AXES_RULES,
        doc=f"{formula} along axes; along all of them by default, of each element alone for [].",
    )


def _reduced(shape: tuple[int, ...], axes: Collection[int], keep: bool) -> tuple[int, ...]:
    if keep:
        return tuple(1 if d in axes else size for d, size in enumerate(shape))
    return tuple(size for d, size in enumerate(shape) if d not in axes)


reduce_l1 = _reduce("reduce_l1", FLOATS | WIDE_INTEGERS, "The sum of |x|", required=COMMON)
reduce_l2 = _reduce("reduce_l2", FLOATS, "The square root of the sum of x * x")
reduce_log_sum = _reduce("reduce_log_sum", FLOATS, "The natural logarithm of the sum of x")
reduce_log_sum_exp = _reduce("reduce_log_sum_exp", FLOATS, "The natural logarithm of the sum of e ** x")
reduce_max = _reduce("reduce_max", ANY, "The greatest x", required=COMMON)
reduce_mean = _reduce("reduce_mean", FLOATS, "The mean of x")
reduce_min = _reduce("reduce_min", ANY, "The least x", required=COMMON)
reduce_product = _reduce("reduce_product", FLOATS | WIDE_INTEGERS, "The product of x", required=FLOATS)
reduce_sum = _reduce("reduce_sum", FLOATS | WIDE_INTEGERS, "The sum of x", required=COMMON)
reduce_sum_square = _reduce("reduce_sum_square", FLOATS | WIDE_INTEGERS, "The sum of x * x", required=COMMON)

_INDEX_TYPES = {DataType.INT32, DataType.INT64}


class ArgOptions(Options):
    keep_dimensions: bool = boolean(False)
    output_data_type: DataType = data_type_attribute(DataType.INT32)


def _arg(name: str, extreme: str) -> Operator:
    def infer(rule: Rule, input: Descriptor, axis: int, options: ArgOptions) -> Descriptor:
        data_type = options.output_data_type
        check_axis(rule, axis, input)
        rule("output_data_type", data_type in _INDEX_TYPES, output_data_type=data_type)
        rule("index_range", input.shape[axis] <= data_type.range[1], size=input.shape[axis], output_data_type=data_type)
        return Descriptor(data_type, _reduced(input.shape, (axis,), options.keep_dimensions))

    return declare(
        infer,
        name=name,
        parameters={"input": operand(ANY, (1, None), required=COMMON), "axis": uint32()},
        options=ArgOptions,
        outputs={"output": operand(_INDEX_TYPES, required={DataType.INT32})},
        rules=AXIS_RULES
        | {
            "output_data_type": "output_data_type is int32 or int64",
            "index_range": "output_data_type can index the axis",
        },
        doc=f"The index of the {extreme} value along axis; of equal ones, any.",
    )


arg_min = _arg("arg_min", "least")
arg_max = _arg("arg_max", "greatest")


class CumulativeSumOptions(Options):
    exclusive: bool = boolean(False)
    reversed: bool = boolean(False)


@operator(
    input=operand(FLOATS | WIDE_INTEGERS, (1, None), required=COMMON),
    axis=modulo_uint32(),
    options=CumulativeSumOptions,
    rules=AXIS_RULES,
)
def cumulative_sum(rule: Rule, input: Descriptor, axis: int, _options: CumulativeSumOptions) -> Descriptor:
    """The sum of the elements up to each along axis, without itself where exclusive, from the end where reversed."""
    check_axis(rule, axis, input)
    return input
