"""What a lowering is: one operator said in OpenVINO's operations, and for which operands the result is exact.

OpenVINO's CPU plugin computes in float32. Integer arithmetic, comparison and sums go through float32 or int32 (hazards
H5 to H8), so a lowering lists the data types for which OpenVINO gives the specification's result. An operation with
other types, with a rank whose kernels are not exact, or with options that OpenVINO does not have, is computed by the
reference kernels instead; see `_plan.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import openvino as ov
from openvino import opset15 as opset

from gpu_process.backends._interface import Array
from gpu_process.backends._registry import ImplementationRegistry
from ipc.descriptors import FLOATS, DataType, Descriptor
from ipc.graph import Operation
from ipc.operators import Operator

Value = Any  # ov.Output or ov.Node; the package has no complete stubs
Results = Value | Sequence[Value]

MAX_NATIVE_RANK = 6  # measured: beyond it, element-wise kernels fall back to ones that lose the low bits of int32
MOVABLE = FLOATS | {DataType.INT32, DataType.INT8, DataType.UINT8}
"""Types that OpenVINO's data movement keeps bit for bit; 64-bit and uint32 elements are narrowed (H5, H6)."""
TRUTH = frozenset({DataType.UINT8})
INDICES = frozenset({DataType.INT32, DataType.UINT32, DataType.INT64})

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


@dataclass(frozen=True, slots=True)
class Node:
    """The operation being lowered, for what its lowering needs to know beyond operands and attributes.

    Attributes:
        inputs: descriptors by slot; a tuple where variadic, None where absent.
        outputs: descriptors of the results.
    """

    operation: Operation
    inputs: Mapping[str, Any]
    outputs: tuple[Descriptor, ...]

    @property
    def output(self) -> Descriptor:
        return self.outputs[0]

    def scalar(self, value: float, data_type: DataType | None = None) -> Value:
        """A constant scalar, of the (first) output's type unless another is given."""
        return opset.constant(np.array(value, (data_type or self.output.data_type).storage))

    def descriptors(self) -> Iterator[tuple[str, Descriptor]]:
        """(slot or output name, descriptor) of everything that goes in or comes out."""
        for name, given in self.inputs.items():
            for descriptor in given if isinstance(given, tuple) else () if given is None else (given,):
                yield name, descriptor
        outputs = list(self.operation.operator.outputs)
        for index, descriptor in enumerate(self.outputs):
            yield outputs[min(index, len(outputs) - 1)], descriptor


@dataclass(frozen=True, slots=True)
class IndexGuard:
    """How an index operand is made safe before OpenVINO sees it.

    Attributes:
        slot: the operand.
        bounds: from the node: the size that the indices count in, or one per column of the last dimension.
    """

    slot: str
    bounds: Callable[[Node], tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Lowering:
    """The implementation of one operator.

    Attributes:
        emit: `emit(node, *operands, **attributes)` -> result or results; None where the reference always computes it.
        types: data types by slot or output name for which it is exact; those of floats where a name is missing.
        max_rank: the greatest rank of operands and outputs for which it is exact.
        condition: what else must hold of the node.
        guard: for operators with an index operand.
        materialises: by node, whether the result must leave OpenVINO before it is used: inside, a float16 value is
            held in float32, unrounded.
    """

    emit: Callable[..., Results] | None
    types: Mapping[str, Collection[DataType]] = field(default_factory=dict)
    max_rank: int = MAX_NATIVE_RANK
    condition: Callable[[Node], bool] | None = None
    guard: IndexGuard | None = None
    materialises: Callable[[Node], bool] | None = None

    def is_exact(self, node: Node) -> bool:
        """Whether OpenVINO gives the right result for these operands and attributes."""
        if self.emit is None:
            return False
        return all(
            descriptor.data_type in self.types.get(name, FLOATS) and descriptor.rank <= self.max_rank
            for name, descriptor in node.descriptors()
        ) and (self.condition is None or self.condition(node))

    def is_possible(self, node: Node) -> bool:
        """Whether OpenVINO could be given it at all, right or wrong."""
        return self.emit is not None and all(descriptor.data_type in TYPES for _, descriptor in node.descriptors())

    def __call__(self, node: Node, *operands: Value, **attributes: Any) -> Results:
        """The results, as OpenVINO's outputs."""
        assert self.emit is not None
        return self.emit(node, *operands, **attributes)


LOWERINGS: ImplementationRegistry[Lowering] = ImplementationRegistry()
"""All 95 operators with every declared type and rank: what OpenVINO can't compute exactly, the reference does."""


def lowers(
    operator: Operator,
    *,
    max_rank: int = MAX_NATIVE_RANK,
    when: Callable[[Node], bool] | None = None,
    guard: IndexGuard | None = None,
    materialises: Callable[[Node], bool] | None = None,
    **types: Collection[DataType],
) -> Callable[[Callable[..., Results]], Callable[..., Results]]:
    """Register the decorated function as the lowering of `operator`.

    Operations that are outside of what is said here go to the reference's kernel.

    Args:
        max_rank: the greatest rank for which it is exact.
        when: what else must hold, of the node.
        guard: how the index operand is made safe.
        materialises: whether the result must leave the model before it is used, by node.
        types: by slot or output, the types for which it is exact, where that is not just the floats.
    """
    unknown = types.keys() - operator.slots.keys() - operator.outputs.keys()
    if unknown:
        raise ValueError(f"{operator} has no operand or output {', '.join(sorted(unknown))}")

    def register(emit: Callable[..., Results]) -> Callable[..., Results]:
        LOWERINGS.implements(operator)(Lowering(emit, types, max_rank, when, guard, materialises))
        return emit

    return register


def on_reference(operator: Operator) -> None:
    """Leave `operator` to the reference kernels for all types; the reason stands beside the call."""
    LOWERINGS.implements(operator)(Lowering(None))


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


def in_float32(node: Node, value: Value, function: Callable[[Value], Value]) -> Value:
    """`function` with its constants in float32 too, where a formula's coefficients would not survive float16."""
    if node.output.data_type is DataType.FLOAT32:
        return function(value)
    return convert(function(convert(value, DataType.FLOAT32)), node.output.data_type)


def absolute(value: Value) -> Value:
    """|x|. OpenVINO 2026.4 drops Abs from a converted rank-1 constant, taking it for a computation with shapes."""
    shape = list((value.output(0) if isinstance(value, ov.Node) else value).get_shape())
    if len(shape) != 1:
        return opset.absolute(value)
    return reshape(opset.absolute(reshape(value, [1, *shape])), shape)


def divide(a: Value, b: Value) -> Value:
    """A division that stays one: OpenVINO multiplies by the reciprocal otherwise, which for large and denormal
    divisors is 0 or infinite."""
    quotient = opset.divide(a, b)
    quotient.get_rt_info()["nonconvertable_divide_0"] = True  # the spelling is OpenVINO's
    return quotient


def truth(condition: Value) -> Value:
    """A boolean as the specification's uint8: 1 or 0."""
    return opset.convert(condition, ov.Type.u8)


def keep_nan(source: Value, result: Value) -> Value:
    """`result`, but NaN where `source` is: many kernels lose it. Integers have none."""
    output = source.output(0) if isinstance(source, ov.Node) else source
    if not output.get_element_type().is_real():
        return result
    return opset.select(opset.is_nan(source), source, result)


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
