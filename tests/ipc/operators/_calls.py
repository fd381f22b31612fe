"""Calls of operators as a builder makes them, on descriptors in the place of operands."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import ipc.operators as ops
from ipc.descriptors import DataType, Descriptor
from ipc.limits import SupportLimits

LIMITS = ops.declared_limits()


def t(*shape: int, type: str = "float32") -> Descriptor:
    """A tensor."""
    return Descriptor(DataType(type), shape)


def i32(*shape: int) -> Descriptor:
    return t(*shape, type="int32")


def u8(*shape: int) -> Descriptor:
    return t(*shape, type="uint8")


def f16(*shape: int) -> Descriptor:
    return t(*shape, type="float16")


@dataclass(frozen=True)
class Call:
    """One call: `call("conv2d", t(...), t(...), groups=2)`."""

    operator: str
    args: tuple[Any, ...]
    options: dict[str, Any] = field(default_factory=dict)

    def bind(self) -> ops.Bound[Descriptor]:
        return ops.bind(
            ops.REGISTRY[self.operator], self.args, self.options, lambda value: isinstance(value, Descriptor)
        )

    def infer(self, limits: SupportLimits = LIMITS) -> list[Descriptor]:
        operands, attributes, _ = self.bind()
        operator = ops.REGISTRY[self.operator]
        return list(ops.infer_outputs(operator, operands, ops.cast_attributes(operator, operands, attributes), limits))

    def __str__(self) -> str:
        shown = [*map(_short, self.args), *(f"{name}={_short(value)}" for name, value in self.options.items())]
        return f"{self.operator}({', '.join(shown)})"[:120]


def call(operator: str, *args: Any, **options: Any) -> Call:
    return Call(operator, args, options)


def _short(value: Any) -> str:
    if isinstance(value, Descriptor):
        return str(value)
    return str(value) if len(repr(value)) < 60 else type(value).__name__
