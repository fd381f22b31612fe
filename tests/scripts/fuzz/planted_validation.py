"""A planted bug, for `--preload`: the GPU process does not ask the operators' rules."""

from __future__ import annotations

from gpu_process import validation

validation._check_operation = lambda *_: None  # type: ignore[assignment]
