"""The methods of a builder that make operations: one per declared operator, made from its declaration.

`_operators.pyi` shows them to type checkers; `scripts/generate_stubs.py` writes it from the same declarations.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

from ipc.operators import REGISTRY, Operator, signature
from ipc.operators._docs import docstring

_SELF = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)


class OperatorMethods(ABC):
    """A method per operator. One that a preloaded module registers later is found when it is asked for."""

    @abstractmethod
    def _record(self, operator: Operator, args: tuple[object, ...], kwargs: Mapping[str, object]) -> Any:
        """Check a call, record the operation, and return its operand or operands."""

    def __getattr__(self, name: str) -> Any:
        if name not in REGISTRY:
            raise AttributeError(f"{type(self).__name__} has no operator or attribute {name!r}", name=name, obj=self)
        setattr(OperatorMethods, name, _method(REGISTRY[name]))
        return getattr(self, name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *REGISTRY})


def _method(operator: Operator) -> Callable[..., Any]:
    def method(self: OperatorMethods, *args: object, **kwargs: object) -> Any:
        return self._record(operator, args, kwargs)

    method.__name__ = operator.name
    method.__qualname__ = f"{OperatorMethods.__name__}.{operator.name}"
    method.__doc__ = docstring(operator)
    of_call = signature(operator)
    parameters = [_SELF, *of_call.parameters.values()]
    method.__signature__ = of_call.replace(parameters=parameters)  # type: ignore[attr-defined]
    return method


for _operator in REGISTRY.values():
    setattr(OperatorMethods, _operator.name, _method(_operator))
