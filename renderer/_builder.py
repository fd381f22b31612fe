"""A builder: records inputs, constants and operations, each checked when it is called for, until the graph is built."""
# ruff: noqa: SLF001  a builder, its operands and its context are one room; the underscores keep users out

from __future__ import annotations

import threading
from collections.abc import Coroutine, Iterable, Mapping
from typing import Any, overload

import numpy as np

from ipc.descriptors import Descriptor
from ipc.errors import InvalidStateError, MLTypeError, escape_label
from ipc.limits import TensorLimits
from ipc.numbers import MLNumber, cast_number
from ipc.operators import Operator, RuleError, bind, cast_attributes, infer_outputs
from renderer._arrays import Array, Buffer, as_array, described, matching_bytes
from renderer._context import ContextCore
from renderer._conversions import DataTypeLike, of_kind, to_data_type, to_named, to_number, to_text
from renderer._operators import OperatorMethods
from renderer._promises import Promise
from renderer._recording import Recording
from renderer.graph import MLGraph
from renderer.operand import MLOperand
from renderer.tensor import MLTensor


class BuilderCore(OperatorMethods):
    """What a builder is in both faces of the API; `build` is the only method that differs."""

    def __init__(self, context: ContextCore) -> None:
        """A builder of graphs for a context.

        Raises:
            InvalidStateError: the context is lost.
        """
        of_kind(context, ContextCore, "MLGraphBuilder")._check_open()
        self._context = context
        self._recording = Recording()
        self._has_built = False
        self._lock = threading.Lock()

    @overload
    def input(self, name: str, data_type: Descriptor, /) -> MLOperand: ...
    @overload
    def input(self, name: str, data_type: DataTypeLike, shape: Iterable[int]) -> MLOperand: ...
    def input(self, name: str, data_type: Descriptor | DataTypeLike, shape: Iterable[int] | None = None) -> MLOperand:
        """An input of the graph, by its name in `dispatch`.

        Raises:
            MLTypeError: the name is empty or taken, or the context supports no such input.
            InvalidStateError: the builder has built, or its context is lost.

        Source: WebNN, `MLGraphBuilder.input`.
        """
        name = to_text(name, "the name of an input")
        descriptor = self._context._to_descriptor(data_type, shape)
        shown = f"input [{escape_label(name)}]"
        with self._lock:
            self._check_can_build()
            if not name:
                raise MLTypeError("input: the name is empty")
            if name in self._recording.inputs:
                raise MLTypeError(f"{shown}: the name is taken")
            self._check(descriptor, self._context._limits.input, shown)
            return MLOperand(self, self._recording.add_input(name, descriptor), descriptor)

    @overload
    def constant(self, data: Array, /) -> MLOperand: ...
    @overload
    def constant(self, tensor: MLTensor, /) -> MLOperand: ...
    @overload
    def constant(self, descriptor: Descriptor, data: Buffer, /) -> MLOperand: ...
    @overload
    def constant(self, data_type: DataTypeLike, value: MLNumber, /) -> MLOperand: ...
    @overload
    def constant(self, data_type: DataTypeLike, shape: Iterable[int], data: Buffer, /) -> MLOperand: ...
    def constant(self, *args: Any) -> MLOperand:
        """A constant: an array, a number of a type, or a constant tensor.

            constant(array)                       its own type and shape
            constant(descriptor, data)            an array of this type and shape, or raw bytes of the exact length
            constant(data_type, shape, data)      the same
            constant(data_type, number)           a scalar; saturates, rounds half to even, NaN is 0 as an integer
            constant(tensor)                      made by `create_constant_tensor`

        Data are copied now.

        Raises:
            MLTypeError: the data do not match, the context supports no such constant, or the tensor is of another
                context, destroyed, or not constant.
            InvalidStateError: the builder has built, or its context is lost.

        Source: WebNN, `MLGraphBuilder.constant`.
        """
        match args:
            case (MLTensor() as tensor,):
                return self._constant_tensor(tensor)
            case (np.ndarray() | np.generic() as data,):
                return self._constant_data(described(np.asarray(data), "constant"), np.asarray(data))
            case (Descriptor() as descriptor, data):
                return self._constant_data(self._context._to_descriptor(descriptor, None), as_array(data, "constant"))
            case (data_type, value):
                return self._constant_number(data_type, value)
            case (data_type, shape, data):
                return self._constant_data(self._context._to_descriptor(data_type, shape), as_array(data, "constant"))
        raise MLTypeError("constant: give an array, a type with a number, a type with shape and data, or a tensor")

    def _constant_data(self, descriptor: Descriptor, data: Array) -> MLOperand:
        with self._lock:
            self._check_can_build()
            self._check(descriptor, self._context._limits.constant, "constant")
            return self._add_constant(matching_bytes(data, descriptor, "constant"), descriptor)

    def _constant_number(self, data_type: DataTypeLike, value: MLNumber) -> MLOperand:
        descriptor = self._context._to_descriptor(to_data_type(data_type), ())
        number = to_number(value, "constant")
        with self._lock:
            self._check_can_build()
            self._check(descriptor, self._context._limits.constant, "constant")
            cast = cast_number(number, descriptor.data_type)
            if descriptor.data_type.is_packed:  # the low nibble of one byte
                data = bytes([int(cast) & 0xF])
            else:
                data = np.array(cast, descriptor.data_type.storage).tobytes()
            return self._add_constant(memoryview(data), descriptor)

    def _constant_tensor(self, tensor: MLTensor) -> MLOperand:
        if tensor._context is not self._context:
            raise MLTypeError(f"constant: {tensor!r} belongs to another context")
        if tensor._destroyed:
            raise MLTypeError(f"constant: {tensor!r} is destroyed")
        if not tensor.constant:
            raise MLTypeError(f"constant: {tensor!r} is not constant")
        with self._lock:
            self._check_can_build()
            self._check(tensor._descriptor, self._context._limits.constant, "constant")
            return self._add_constant(tensor, tensor._descriptor)

    def _record(self, operator: Operator, args: tuple[object, ...], kwargs: Mapping[str, object]) -> Any:
        bound = bind(operator, args, kwargs, lambda value: isinstance(value, MLOperand))
        label = escape_label(bound.label)
        with self._lock:
            self._check_can_build(operator.name, label)
            for name, value in bound.operands.items():
                for operand in value if isinstance(value, tuple) else () if value is None else (value,):
                    self._check_own(operand, f"{operator.name} [{label}]" if label else operator.name, name)
            operands = {name: _descriptors(value) for name, value in bound.operands.items()}
            try:
                attributes = cast_attributes(operator, operands, bound.attributes)
                outputs = infer_outputs(operator, operands, attributes, self._context._limits)
            except RuleError as error:
                raise MLTypeError(error.message(label), rule=error.rule) from None
            ids = {name: _ids(value) for name, value in bound.operands.items()}
            made = self._recording.add_operation(operator, ids, attributes, outputs, bound.label)
        results = [MLOperand(self, id, descriptor) for id, descriptor in zip(made, outputs, strict=True)]
        return results if operator.returns_list else results[0]

    def _begin_build(self, outputs: Mapping[str, MLOperand]) -> Coroutine[Promise[Any], None, MLGraph]:
        """Check `outputs`, close the builder, and return what compiles the graph."""
        named = to_named(outputs, MLOperand, "outputs")
        with self._lock:
            self._check_can_build()
            if not named:
                raise MLTypeError("build: there are no outputs")
            for name, operand in named.items():
                self._check_output(name, operand)
            graph, constants = self._recording.needed_for({name: operand._id for name, operand in named.items()})
            for source in constants.values():
                if isinstance(source, MLTensor) and source._destroyed:
                    raise MLTypeError(f"build: the constant {source!r} is destroyed")
            data = self._recording.data
            self._has_built = True
            self._recording = Recording()  # copies of constants are many bytes
        return self._context._compile(graph, constants, data)

    def _check_output(self, name: str, operand: MLOperand) -> None:
        shown = f"build: output [{escape_label(name)}]"
        if not name:
            raise MLTypeError("build: the name of an output is empty")
        self._check_own(operand, "build", f"output [{escape_label(name)}]")
        if operand._id in self._recording.constants:
            raise MLTypeError(f"{shown}: {operand!r} is a constant: use identity()")
        if operand._id in self._recording.input_ids:
            raise MLTypeError(f"{shown}: {operand!r} is an input: use identity()")
        self._check(operand._descriptor, self._context._limits.output, shown)

    def _check_can_build(self, operator: str = "", label: str = "") -> None:
        place = f"{operator} [{label}]: " if label else f"{operator}: " if operator else ""
        self._context._check_process()
        if self._has_built:
            raise InvalidStateError(f"{place}the builder has built its graph already")
        if self._context._lost_because is not None:
            raise InvalidStateError(f"{place}the context is lost: {self._context._lost_because}")

    def _check_own(self, operand: MLOperand, place: str, name: str) -> None:
        if operand._builder is not self:
            raise MLTypeError(f"{place}: {name}: {operand!r} was made by another builder")

    def _check(self, descriptor: Descriptor, limits: TensorLimits, place: str) -> None:
        self._context._check_dimensions(descriptor, place)
        if not limits.allows_type(descriptor.data_type):
            raise MLTypeError(f"{place}: the data type of {descriptor} is not supported")
        if not limits.allows_rank(descriptor.rank):
            raise MLTypeError(f"{place}: the rank of {descriptor} is not within {limits.min_rank} to {limits.max_rank}")

    def _add_constant(self, data: memoryview | MLTensor, descriptor: Descriptor) -> MLOperand:
        return MLOperand(self, self._recording.add_constant(data, descriptor), descriptor)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}{', built' if self._has_built else ''}>"


def _descriptors(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(operand._descriptor for operand in value)
    return None if value is None else value._descriptor


def _ids(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(operand._id for operand in value)
    return None if value is None else value._id
