"""Life cycle: a destroyed tensor can still be read and written."""

from __future__ import annotations

from typing import Any

from renderer._context_state import ContextState


def _check(self: Any, tensor: Any, what: str) -> None:
    del self, tensor, what


ContextState._check_usable = _check
