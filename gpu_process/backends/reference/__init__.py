"""The reference backend: plain NumPy kernels that define what is right; slow, exact, and every allowed type listed."""

from gpu_process.backends._interface import BackendOptions
from gpu_process.backends.reference._backend import ReferenceBackend
from gpu_process.backends.reference._kernels import kernel


def create(options: BackendOptions) -> ReferenceBackend:
    """The backend; `threads` and `guards` mean nothing to it: it has neither threads nor anything to guard against."""
    return ReferenceBackend(options)


__all__ = ["ReferenceBackend", "create", "kernel"]
