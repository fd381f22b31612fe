"""The registry of lowerings, and what a lowering writes with.

A lowering is a function of one operator: `lowering(node, *operands, **attributes)`. Operands come in the order of the
slots (None where absent, a tuple where variadic) as `Value`s with static shapes; it writes ONNX nodes by calling `node`
and returns the value, or values, of its outputs. It may return an operand as it is, and write nodes whose results
turn out unused: those are dropped before the model is made.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gpu_process.backends._interface import Array
from gpu_process.backends._registry import ImplementationRegistry
from gpu_process.backends.onnxruntime._values import ElementType, Value
from ipc.descriptors import Descriptor, broadcast_shapes
from ipc.numbers import MLNumber

Lowered = Value | Sequence[Value]

LOWERINGS: ImplementationRegistry[Callable[..., Lowered]] = ImplementationRegistry()
lowers = LOWERINGS.implements
"""Decorator: `@lowers(ops.gemm)` makes the function the lowering of that operator, for the types and ranks listed."""

INLINE_BYTES = 1024  # larger initializers of ours go to the runtime by pointer, like the caller's constants


class Node:
    """One ONNX node.

    Attributes:
        operation: index of the graph's operation that it belongs to.
        reads: names of the values that it needs: its inputs, and what a body among the attributes uses from outside.
        outputs: names, empty for an output left out.
        results: the outputs that are not left out.
    """

    __slots__ = ("attributes", "inputs", "op_type", "operation", "outputs", "reads", "results")

    def __init__(
        self,
        op_type: str,
        inputs: tuple[str, ...],
        outputs: Sequence[Value | None],
        attributes: Mapping[str, Any],
        operation: int,
    ) -> None:
        self.op_type = op_type
        self.inputs = inputs
        self.outputs = tuple("" if value is None else value.name for value in outputs)
        self.results = [value for value in outputs if value is not None]
        self.attributes = attributes
        self.operation = operation
        self.reads = (*inputs, *_captured(attributes["body"])) if "body" in attributes else inputs


@dataclass(frozen=True, slots=True)
class Body:
    """A graph inside a node (the body of a Scan)."""

    nodes: Sequence[Node]
    inputs: Sequence[Value]
    outputs: Sequence[Value]


@dataclass(slots=True)
class _Module:
    """What a graph shares with the bodies in it.

    Attributes:
        constants: names of what follows from constants alone.
        makers: the node that made each value, by the name of its first output.
        shared: small initializers by type, shape and content.
    """

    guards: bool
    constants: set[str]
    initializers: dict[str, tuple[Value, Array]] = field(default_factory=dict)
    makers: dict[str, Node] = field(default_factory=dict)
    shared: dict[tuple[str, tuple[int, ...], bytes], Value] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=itertools.count)


class Lowering:
    """Writes nodes; `node` in the lowerings.

    What follows from constants alone is written once however often it is asked for: weights that a thousand cells share
    are reordered once.

    Attributes:
        nodes: written so far, in topological order.
        operation: index of the operation being lowered.
        outputs: descriptors of its outputs.
    """

    def __init__(self, module: _Module, operation: int = 0) -> None:
        self.nodes: list[Node] = []
        self.operation = operation
        self.outputs: Sequence[Descriptor] = ()
        self._module = module
        self._folded: dict[str, list[Value]] = {}

    @classmethod
    def of_graph(cls, constants: Iterable[Value], *, guards: bool) -> Lowering:
        """A writer for a graph with these constants."""
        return cls(_Module(guards, {value.name for value in constants}))

    @property
    def guards(self) -> bool:
        """Whether hostile values are to be held back."""
        return self._module.guards

    @property
    def initializers(self) -> Mapping[str, tuple[Value, Array]]:
        """Our own constants by name, with their content."""
        return self._module.initializers

    def __call__(
        self,
        op_type: str,
        /,
        *inputs: Value | None,
        dtype: ElementType | None = None,
        shape: tuple[int, ...] | None = None,
        **attributes: Any,
    ) -> Value:
        """Write a node with one output, which has the type and shape of the first input unless said otherwise."""
        first = inputs[0]
        assert first is not None
        output = first.data_type if dtype is None else dtype, first.shape if shape is None else shape
        return self.several(op_type, inputs, [output], **attributes)[0]

    def several(
        self,
        op_type: str,
        inputs: Sequence[Value | None],
        outputs: Sequence[tuple[ElementType, tuple[int, ...]] | None],
        **attributes: Any,
    ) -> list[Value]:
        """Write a node with outputs of the given types and shapes; None leaves one out, of the node and the result."""
        names = ["" if value is None else value.name for value in inputs]
        while not names[-1]:  # LayerNormalization reads what an empty last name stands for, and segfaults
            names.pop()
        key = None
        if self._module.constants.issuperset(names):
            key = repr((op_type, names, outputs, attributes))
            if key in self._folded:
                return self._folded[key]
        made = [None if output is None else self._fresh(*output) for output in outputs]
        node = Node(op_type, tuple(names), made, attributes, self.operation)
        self.nodes.append(node)
        self._module.makers[node.outputs[0]] = node
        if key is not None:
            self._module.constants.update(node.outputs)
            self._folded[key] = node.results
        return node.results

    def body(self) -> Lowering:
        """A writer for the graph inside a node; it sees all values of this one."""
        return Lowering(self._module, self.operation)

    def finished(self, inputs: Sequence[Value], outputs: Sequence[Value]) -> Body:
        """What a writer made by `body` wrote. Each output is the result of a node of its own."""
        return Body(self.nodes, inputs, outputs)

    def parameter(self, data_type: ElementType, shape: tuple[int, ...]) -> Value:
        """An input of a body."""
        return self._fresh(data_type, shape)

    def maker(self, value: Value) -> Node | None:
        """The node that has the value as its first output; None for inputs and constants."""
        return self._module.makers.get(value.name)

    # --- constants --------------------------------------------------------------------------------------------------

    def constant(self, array: Array) -> Value:
        """An initializer of ours; equal small ones are shared."""
        data_type = _OF_DTYPE[array.dtype]
        key = (array.dtype.char, array.shape, array.tobytes()) if array.nbytes <= INLINE_BYTES else None
        module = self._module
        if key is not None and key in module.shared:
            return module.shared[key]
        value = Value(f"k{next(module.numbers)}", data_type, array.shape)
        module.constants.add(value.name)
        module.initializers[value.name] = value, np.ascontiguousarray(array).reshape(array.shape)
        if key is not None:
            module.shared[key] = value
        return value

    def scalar(self, number: MLNumber, like: Value) -> Value:
        """`number`, which its type can hold, as a scalar of the type of `like`."""
        return self.constant(np.array(number, like.data_type.dtype))

    def integers(self, numbers: Sequence[int]) -> Value:
        """A list of int64: a shape, axes, starts."""
        return self.constant(np.array(numbers, np.int64))

    # --- what most lowerings need -----------------------------------------------------------------------------------

    def cast(self, value: Value, data_type: ElementType) -> Value:
        """`value` as `data_type`, as C++ casts: integers wrap, floats outside an integer's range are undefined."""
        return value if value.data_type is data_type else self("Cast", value, dtype=data_type, to=int(data_type))

    def reshape(self, value: Value, shape: Sequence[int]) -> Value:
        """The same elements in another shape; free, kernels share the memory."""
        wanted = tuple(shape)
        return value if value.shape == wanted else self("Reshape", value, self.integers(wanted), shape=wanted)

    def transpose(self, value: Value, permutation: Sequence[int]) -> Value:
        """Axis k of the result is axis `permutation[k]`."""
        if list(permutation) == list(range(value.rank)):
            return value
        shape = tuple(value.shape[axis] for axis in permutation)
        return self("Transpose", value, shape=shape, perm=list(permutation))

    def expand(self, value: Value, shape: Sequence[int]) -> Value:
        """Broadcast to `shape`."""
        wanted = tuple(shape)
        return value if value.shape == wanted else self("Expand", value, self.integers(wanted), shape=wanted)

    def binary(self, op_type: str, a: Value, b: Value, *, dtype: ElementType | None = None) -> Value:
        """A node of two broadcasting operands."""
        shape = broadcast_shapes(a.shape, b.shape)
        assert shape is not None
        return self(op_type, a, b, dtype=dtype, shape=shape)

    def compare(self, op_type: str, a: Value, b: Value) -> Value:
        """A comparison; its result is of the runtime's boolean type."""
        return self.binary(op_type, a, b, dtype=ElementType.BOOL)

    def select(self, condition: Value, true_value: Value, false_value: Value) -> Value:
        """The one or the other where a boolean says so, for all types."""
        data_type = true_value.data_type
        medium = _SELECTED_AS.get(data_type, data_type)
        chosen, other = self.cast(true_value, medium), self.cast(false_value, medium)
        shape = broadcast_shapes(chosen.shape, other.shape)
        assert shape is not None
        whole = broadcast_shapes(condition.shape, shape)
        return self.cast(self("Where", condition, chosen, other, dtype=medium, shape=whole), data_type)

    def slice(self, value: Value, starts: Sequence[int], ends: Sequence[int], steps: Sequence[int]) -> Value:
        """`value[start:end:step]` on the leading axes, with positive steps and bounds within the sizes."""
        sizes = (-(-(end - start) // step) for start, end, step in zip(starts, ends, steps, strict=True))
        shape = (*sizes, *value.shape[len(starts) :])
        bounds = (self.integers(each) for each in (starts, ends, range(len(starts)), steps))
        return self("Slice", value, *bounds, shape=shape)

    def split(self, value: Value, sizes: Sequence[int], axis: int) -> list[Value]:
        """Consecutive pieces along `axis`."""
        if len(sizes) == 1:
            return [value]
        shapes = [(*value.shape[:axis], size, *value.shape[axis + 1 :]) for size in sizes]
        outputs = [(value.data_type, shape) for shape in shapes]
        return self.several("Split", (value, self.integers(sizes)), outputs, axis=axis)

    def concat(self, values: Sequence[Value], axis: int) -> Value:
        """The values one after the other along `axis`."""
        if len(values) == 1:
            return values[0]
        first = values[0].shape
        total = sum(value.shape[axis] for value in values)
        return self("Concat", *values, shape=(*first[:axis], total, *first[axis + 1 :]), axis=axis)

    def _fresh(self, data_type: ElementType, shape: tuple[int, ...]) -> Value:
        return Value(f"t{next(self._module.numbers)}", data_type, shape)


def in_float32(lowering: Callable[..., Lowered]) -> Callable[..., Lowered]:
    """Decorator: float16 operands are computed with as float32 and float32 results rounded once, to float16."""

    @functools.wraps(lowering)
    def widened(node: Lowering, *operands: Any, **attributes: Any) -> Lowered:
        if not any(_is_half(operand) for operand in operands):
            return lowering(node, *operands, **attributes)
        result = lowering(node, *(_wide(node, operand) for operand in operands), **attributes)
        return _narrow(node, result) if isinstance(result, Value) else [_narrow(node, value) for value in result]

    return widened


def _is_half(operand: Any) -> bool:
    return isinstance(operand, Value) and operand.data_type is ElementType.FLOAT16


def _wide(node: Lowering, operand: Any) -> Any:
    return node.cast(operand, ElementType.FLOAT) if _is_half(operand) else operand


def _narrow(node: Lowering, value: Value) -> Value:
    return node.cast(value, ElementType.FLOAT16) if value.data_type is ElementType.FLOAT else value


def _captured(body: Body) -> tuple[str, ...]:
    defined = {value.name for value in body.inputs}.union(*(node.outputs for node in body.nodes))
    used = dict.fromkeys(itertools.chain.from_iterable(node.reads for node in body.nodes))
    return tuple(name for name in used if name and name not in defined)


_OF_DTYPE = {element.dtype: element for element in ElementType if element is element.stored}
# Where has no kernel for these; each survives the way there and back unchanged.
_SELECTED_AS = {ElementType.FLOAT16: ElementType.FLOAT, ElementType.UINT64: ElementType.INT64}
