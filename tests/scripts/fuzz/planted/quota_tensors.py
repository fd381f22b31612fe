"""Quotas: the bytes of a destroyed tensor stay charged."""

from __future__ import annotations

from typing import Any

from gpu_process.context import Context

_original = Context.forget_tensor


def _forget(self: Any, tensor: Any) -> None:
    _original(self, tensor)
    self._memory.tensor_bytes.charge(tensor.descriptor.byte_length)


Context.forget_tensor = _forget
