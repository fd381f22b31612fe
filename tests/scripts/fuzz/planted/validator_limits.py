"""Validator: what a context supports is not asked, only what is declared."""

from __future__ import annotations

from typing import Any

from gpu_process import validation
from ipc.operators import declared_limits, with_int4

_original = validation.infer_outputs


def _infer(operator: Any, operands: Any, attributes: Any, limits: Any) -> Any:
    return _original(operator, operands, attributes, with_int4(declared_limits()))


validation.infer_outputs = _infer
