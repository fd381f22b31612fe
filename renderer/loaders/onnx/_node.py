"""What a translation sees of a node, and the table of translations.

A translation is a function of one ONNX operator, as ONNX says it: inputs in their order, attributes as keywords with
ONNX's defaults. Inputs are operands, except those named in `known`, which are arrays: WebNN wants them as numbers. It
returns the node's outputs. An attribute that its signature does not have is refused; `**window` has those that say
where windows lie.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn

import numpy as np
import numpy.typing as npt
import onnx

from ipc.errors import DataError, NotSupportedError, escape_label
from renderer._builder import BuilderCore
from renderer.operand import MLOperand

Array = npt.NDArray[Any]
Value = MLOperand | Array
"""An operand of the graph, or what is known while it is loaded."""

Outputs = Value | Sequence[Value]

WINDOW_ATTRIBUTES: Final = frozenset({"auto_pad", "dilations", "kernel_shape", "pads", "strides"})

TRANSLATIONS: Final[dict[str, Callable[[Node, list[Value | None]], Sequence[Value]]]] = {}


class Operands:
    """Values as operands of a builder: a known one is one constant, however many nodes use it."""

    def __init__(self, builder: BuilderCore) -> None:
        self._builder = builder
        self._constants: dict[int, tuple[Array, MLOperand]] = {}

    def of(self, value: Value) -> MLOperand:
        """The value as an operand; booleans are uint8."""
        if isinstance(value, MLOperand):
            return value
        if id(value) not in self._constants:
            constant = self._builder.constant(value.astype(np.uint8) if value.dtype == bool else value)
            self._constants[id(value)] = value, constant  # the array is kept, and with it its id
        return self._constants[id(value)][1]


@dataclass(frozen=True, slots=True)
class Node:
    """One node, to be said to a builder.

    Attributes:
        builder: that it is said to.
        operands: of all nodes.
        proto: the node itself.
        label: its name, which every error shows.
    """

    builder: BuilderCore
    operands: Operands
    proto: onnx.NodeProto
    label: str

    def __call__(self, method: str, *operands: Any, **attributes: Any) -> MLOperand:
        """Call a method of the builder that has one result, under this node's label."""
        result: MLOperand = getattr(self.builder, method)(*operands, label=self.label, **attributes)
        return result

    def __str__(self) -> str:
        """As errors begin."""
        return f"{self.proto.op_type} [{escape_label(self.label)}]"

    def constant(self, value: npt.ArrayLike, like: MLOperand) -> MLOperand:
        """A constant of an operand's data type."""
        return self.builder.constant(np.asarray(value, like.data_type.storage))

    def require(self, holds: bool, what: str) -> None:
        """Raises:
        NotSupportedError: it does not hold.
        """
        if not holds:
            self.refuse(what)

    def refuse(self, what: str) -> NoReturn:
        """Raises:
        NotSupportedError: always.
        """
        raise NotSupportedError(f"{self}: {what} has no counterpart")


def translates(*op_types: str, known: Sequence[str] = ()) -> Callable[[Callable[..., Outputs]], Callable[..., Outputs]]:
    """Decorator: the function is the translation of these ONNX operators.

    Args:
        known: its inputs that must be known when the model is loaded.
    """

    def register(translation: Callable[..., Outputs]) -> Callable[..., Outputs]:
        signature = inspect.signature(translation)
        known_attributes = set(signature.parameters)
        if "window" in known_attributes:
            known_attributes |= WINDOW_ATTRIBUTES

        def translate(node: Node, inputs: list[Value | None]) -> Sequence[Value]:
            attributes = {it.name: _plain(onnx.helper.get_attribute_value(it)) for it in node.proto.attribute}
            for name in attributes:
                if name not in known_attributes:
                    node.refuse(f"the attribute {name!r}")
            try:
                bound = signature.bind(node, *inputs, **attributes)
            except TypeError as error:
                raise DataError(f"{node}: {error}") from None
            for name, value in bound.arguments.items():
                bound.arguments[name] = _converted(node, name, value, name in known)
            outputs = translation(*bound.args, **bound.kwargs)
            return outputs if isinstance(outputs, Sequence) else [outputs]

        TRANSLATIONS.update(dict.fromkeys(op_types, translate))
        return translation

    return register


def _plain(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value


def _converted(node: Node, name: str, value: Any, known: bool) -> Any:
    match value:
        case tuple():  # variadic inputs
            return tuple(map(node.operands.of, value))
        case MLOperand() if known:
            node.refuse(f"an input {name!r} that is computed")
        case np.ndarray() if not known:
            return node.operands.of(value)
    return value
