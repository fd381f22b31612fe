"""How a backend says, beside its code, which operators it has and for which data types and ranks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from ipc.descriptors import DataType
from ipc.limits import SupportLimits, TensorLimits
from ipc.operators import REGISTRY, Operator
from ipc.operators._support import operator_limits

Implementation = TypeVar("Implementation", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Entry(Generic[Implementation]):
    """One operator in one backend: its implementation, or the reason why there is none."""

    implementation: Implementation | None
    limits: Mapping[str, TensorLimits]
    refusal: str = ""


class ImplementationRegistry(Generic[Implementation]):
    """The operators of one backend. A declared operator is implemented or refused; there is no third state."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry[Implementation]] = {}

    def implements(
        self, operator: Operator, *, max_rank: int | None = None, **data_types: Collection[DataType]
    ) -> Callable[[Implementation], Implementation]:
        """Register the decorated function.

        Args:
            max_rank: cuts the rank of every operand and output.
            data_types: per operand or output, the types that are computed exactly, where fewer than declared.
        """
        limits = {
            name: _cut(entry, max_rank, data_types.pop(name, None)) for name, entry in operator_limits(operator).items()
        }
        if data_types:
            raise ValueError(f"{operator} has no operand or output {', '.join(data_types)}")

        def register(implementation: Implementation) -> Implementation:
            self._add(operator, Entry(implementation, limits))
            return implementation

        return register

    def refuse(self, operator: Operator, reason: str) -> None:
        """Declare that this backend does not support `operator`, and why."""
        self._add(operator, Entry(None, {}, reason))

    def __getitem__(self, operator: Operator) -> Implementation:
        implementation = self._entries[operator.name].implementation
        if implementation is None:
            raise KeyError(operator.name)
        return implementation

    def entries(self) -> Mapping[str, Entry[Implementation]]:
        """By operator name, what was registered so far."""
        return dict(self._entries)

    def support_limits(self) -> SupportLimits:
        """Limits of every supported operator, in the order of the declarations."""
        entries = self._entries
        return SupportLimits(
            {
                name: entries[name].limits
                for name in REGISTRY
                if name in entries and entries[name].implementation is not None
            }
        )

    def _add(self, operator: Operator, entry: Entry[Implementation]) -> None:
        if operator.name in self._entries:
            raise ValueError(f"{operator} is registered already")
        self._entries[operator.name] = entry


def _cut(limits: TensorLimits, max_rank: int | None, data_types: Collection[DataType] | None) -> TensorLimits:
    if max_rank is not None:
        limits = replace(limits, max_rank=min(limits.max_rank, max_rank))
    if data_types is not None:
        limits = replace(limits, data_types=limits.data_types & frozenset(data_types))
    return limits
