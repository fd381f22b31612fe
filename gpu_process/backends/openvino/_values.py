"""Words that lowerings share: pieces of OpenVINO graphs, and ways around what OpenVINO does with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import openvino as ov
from openvino import opset15 as opset

from gpu_process.backends._interface import Array
from gpu_process.backends.openvino._lowering import Node, Value
from ipc.descriptors import DataType

TYPES: Mapping[DataType, Any] = {
    DataType.FLOAT32: ov.Type.f32,
    DataType.FLOAT16: ov.Type.f16,
    DataType.INT32: ov.Type.i32,
    DataType.UINT32: ov.Type.u32,
    DataType.INT64: ov.Type.i64,
    DataType.UINT64: ov.Type.u64,
    DataType.INT8: ov.Type.i8,
    DataType.UINT8: ov.Type.u8,
}


def int_constant(values: int | Sequence[int]) -> Value:
    """Axes, shapes, paddings: an int32 constant, or int64 where a size needs it."""
    return opset.constant(np.array(values, np.int64))


def constant(array: Array) -> Value:
    """A constant with a copy of the array."""
    return opset.constant(np.ascontiguousarray(array))


def reshape(value: Value, shape: Sequence[int]) -> Value:
    """The same elements in another shape; sizes are meant literally."""
    return opset.reshape(value, opset.constant(np.array(shape, np.int64)), False)


def transpose(value: Value, permutation: Sequence[int]) -> Value:
    """Axes in another order; the value itself where the order stays."""
    if list(permutation) == list(range(len(permutation))):
        return value
    return opset.transpose(value, int_constant(permutation))


def convert(value: Value, data_type: DataType) -> Value:
    return opset.convert(value, TYPES[data_type])


def float32(value: float) -> Value:
    """A constant scalar."""
    return opset.constant(np.float32(value))


def widened(value: Value) -> Value:
    """A float16 or float32 value as float32."""
    return value if _output(value).get_element_type() == ov.Type.f32 else convert(value, DataType.FLOAT32)


def in_float32(node: Node, value: Value, function: Callable[[Value], Value]) -> Value:
    """`function` with its constants in float32 too, where a formula's coefficients would not survive float16."""
    if node.output.data_type is DataType.FLOAT32:
        return function(value)
    return convert(function(widened(value)), node.output.data_type)


def absolute(value: Value) -> Value:
    """|x|. OpenVINO 2026.4 drops Abs from a converted rank-1 constant, taking it for a computation with shapes."""
    shape = _shape(value)
    if len(shape) != 1:
        return opset.absolute(value)
    return reshape(opset.absolute(reshape(value, [1, *shape])), shape)


def _shape(value: Value) -> list[int]:
    return list(_output(value).get_shape())


def _output(value: Value) -> Any:
    return value.output(0) if isinstance(value, ov.Node) else value


def divide(a: Value, b: Value) -> Value:
    """A division that stays one: OpenVINO multiplies by the reciprocal otherwise, which for large and denormal
    divisors is 0 or infinite."""
    quotient = opset.divide(a, b)
    quotient.get_rt_info()["nonconvertable_divide_0"] = True  # the spelling is OpenVINO's
    return quotient


def product(a: Value, b: Value, a_transpose: bool = False, b_transpose: bool = False) -> Value:
    """A matrix product. One over a single element is said as a multiplication that broadcasts: after another product
    with a constant, OpenVINO refuses it ("Layout rank"), or ends the process."""
    inner = _shape(a)[-2 if a_transpose else -1]
    if inner != 1:
        return opset.matmul(a, b, a_transpose, b_transpose)
    column = _with_last_axes_exchanged(a) if a_transpose else a
    row = _with_last_axes_exchanged(b) if b_transpose else b
    return opset.multiply(column, row)


def _with_last_axes_exchanged(value: Value) -> Value:
    """Of a matrix that has only one row or column, which costs nothing."""
    *batch, rows, columns = _shape(value)
    return reshape(value, (*batch, columns, rows))


def truth(condition: Value) -> Value:
    """A boolean as the specification's uint8: 1 or 0."""
    return opset.convert(condition, ov.Type.u8)


def keep_nan(source: Value, result: Value) -> Value:
    """`result`, but NaN where `source` is: many kernels lose it. Integers have none."""
    if not _output(source).get_element_type().is_real():
        return result
    return opset.select(opset.is_nan(source), source, result)


def greatest(node: Node, value: Value, kernel: Callable[[Value], Value]) -> Value:
    """What a kernel that finds the greatest of some floats should find.

    OpenVINO's kernels lose NaN, and give the lowest finite number where all are negative infinity. So marks take the
    same way through the kernel as the elements: 2 for NaN, 0 for negative infinity, 1 for all others.
    """

    def mark(number: int) -> Value:
        return node.scalar(number, DataType.FLOAT32)

    marks = opset.select(opset.equal(value, node.scalar(-np.inf)), mark(0), mark(1))
    found = kernel(opset.select(opset.is_nan(value), mark(2), marks))
    number = opset.select(opset.less(found, mark(1)), node.scalar(-np.inf), kernel(value))
    return opset.select(opset.less(mark(1), found), node.scalar(np.nan), number)


def follows_product(value: Value) -> bool:
    """Whether the value is a convolution's or matrix product's, up to a bias and a scale.

    OpenVINO merges a relu or clamp that follows into the product's kernel, where NaN becomes the lower bound (the
    specification leaves NaN open). Keeping NaN would cost these a pass over memory each.
    """
    for _ in range(_EPILOGUE):
        node = value.get_node() if hasattr(value, "get_node") else value
        kind = node.get_type_name()
        if kind in _PRODUCTS:
            return True
        if kind not in ("Add", "Multiply"):
            return False
        value = node.input_value(0)
    return False


_EPILOGUE = 4  # scale, shift and bias, and the product itself
_PRODUCTS = frozenset(
    {"Convolution", "GroupConvolution", "ConvolutionBackpropData", "GroupConvolutionBackpropData", "MatMul"}
)
