"""The OpenVINO backend: OpenVINO models, and reference kernels for what OpenVINO can't compute exactly.

Importing this does not import the runtime, so that lowerings can be registered where another backend runs.
"""

from __future__ import annotations

from gpu_process.backends._interface import Backend, BackendOptions
from gpu_process.backends.openvino._lowering import lowers

RUNTIME = "gpu_process.backends.openvino._backend"
"""The module that imports it."""


def create(options: BackendOptions) -> Backend:
    """The backend. Creates OpenVINO's core, which starts no thread before the first model is compiled."""
    from gpu_process.backends.openvino._backend import OpenVinoBackend

    return OpenVinoBackend(options)


__all__ = ["RUNTIME", "create", "lowers"]
