"""The OpenVINO backend: OpenVINO models, and reference kernels for what OpenVINO can't compute exactly."""

from gpu_process.backends._interface import BackendOptions
from gpu_process.backends.openvino._backend import OpenVinoBackend
from gpu_process.backends.openvino._lowering import lowers


def create(options: BackendOptions) -> OpenVinoBackend:
    """The backend. Creates OpenVINO's core, which starts no thread before the first model is compiled."""
    return OpenVinoBackend(options)


__all__ = ["OpenVinoBackend", "create", "lowers"]
