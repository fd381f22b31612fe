"""Bugs to be found: one module each, and importing it plants the bug. `tests.scripts.fuzz.bench` says who finds it.

In modes that start processes they are preloaded there; in the others they are imported here, in a process of their own.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any


def forget_rules(*operators: str) -> None:
    """The GPU process does not ask these operators' rules."""
    from gpu_process import validation

    original = validation._check_operation

    def check(operation: Any, *arguments: Any) -> None:
        if operation.operator.name not in operators:
            original(operation, *arguments)

    validation._check_operation = check


def replace_kernel(operator: str, kernel: Callable[..., Any]) -> None:
    """The reference computes an operator in another way."""
    import gpu_process.backends.reference._backend  # noqa: F401 - registers the kernels
    from gpu_process.backends.reference._kernels import KERNELS

    KERNELS._entries[operator] = replace(KERNELS._entries[operator], implementation=kernel)


def after(owner: Any, name: str, change: Callable[[Any], Any]) -> None:
    """What a function returns is changed."""
    original = getattr(owner, name)

    @functools.wraps(original)
    def changed(*arguments: Any, **keywords: Any) -> Any:
        return change(original(*arguments, **keywords))

    setattr(owner, name, changed)
