"""What a lowering is: one operator said in OpenVINO's operations, and for which operands the result is exact.

OpenVINO's CPU plugin computes in float32. Integer arithmetic, comparison and sums go through float32 or int32 (hazards
H5 to H8), so a lowering lists the data types for which OpenVINO gives the specification's result. An operation with
other types, with a rank whose kernels are not exact, or with options that OpenVINO does not have, is computed by the
reference kernels instead; see `_plan.py`.

OpenVINO isn't imported here, so that lowerings can be registered where another backend runs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gpu_process.backends._registry import ImplementationRegistry
from ipc.descriptors import ANY, FLOATS, DataType, Descriptor
from ipc.graph import Operation
from ipc.operators import Operator

Value = Any  # ov.Output or ov.Node; the package has no complete stubs
Results = Value | Sequence[Value]

MAX_NATIVE_RANK = 6  # measured: beyond it, element-wise kernels fall back to ones that lose the low bits of int32
MOVABLE = FLOATS | {DataType.INT32, DataType.INT8, DataType.UINT8}
"""Types that OpenVINO's data movement keeps bit for bit; 64-bit and uint32 elements are narrowed (H5, H6)."""
TRUTH = frozenset({DataType.UINT8})
INDICES = frozenset({DataType.INT32, DataType.UINT32, DataType.INT64})


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
        from openvino import opset15

        return opset15.constant(np.array(value, (data_type or self.output.data_type).storage))

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
        return self.emit is not None and all(descriptor.data_type in ANY for _, descriptor in node.descriptors())

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
