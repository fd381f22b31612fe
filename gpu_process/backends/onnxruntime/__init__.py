"""ONNX Runtime as a backend: graphs are lowered to ONNX and run on its CPU provider."""

from __future__ import annotations

from gpu_process.backends._interface import Backend, BackendOptions
from gpu_process.backends.onnxruntime._backend import OnnxRuntimeBackend


def create(options: BackendOptions) -> Backend:
    """The backend, for `gpu_process.backends.load_backend`."""
    return OnnxRuntimeBackend(options)
