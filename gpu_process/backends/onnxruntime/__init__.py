"""ONNX Runtime as a backend: graphs are lowered to ONNX and run on its CPU provider.

Importing this does not import the runtime, so that lowerings can be registered where another backend runs.
"""

from __future__ import annotations

from gpu_process.backends._interface import Backend, BackendOptions
from gpu_process.backends.onnxruntime._lowering import in_float32, lowers

RUNTIME = "gpu_process.backends.onnxruntime._backend"
"""The module that imports it."""


def create(options: BackendOptions) -> Backend:
    """The backend, for `gpu_process.backends.load_backend`."""
    from gpu_process.backends.onnxruntime._backend import OnnxRuntimeBackend

    return OnnxRuntimeBackend(options)


__all__ = ["create", "in_float32", "lowers"]
