"""What each backend supports, told without its runtime, so that generating for it needs no process."""

from __future__ import annotations

import functools
import importlib

from gpu_process.backends._loading import prepare_import
from ipc.limits import SupportLimits
from ipc.operators import with_int4

_REGISTRIES = {
    "reference": ("gpu_process.backends.reference._backend", "KERNELS"),
    "onnxruntime": ("gpu_process.backends.onnxruntime._backend", "LOWERINGS"),
    "openvino": ("gpu_process.backends.openvino._backend", "LOWERINGS"),
}


@functools.cache
def limits_of(backend: str) -> SupportLimits:
    """The limits of a context with the 4-bit types."""
    prepare_import()
    module, member = _REGISTRIES[backend]
    limits: SupportLimits = getattr(importlib.import_module(module), member).support_limits()
    return with_int4(limits)
