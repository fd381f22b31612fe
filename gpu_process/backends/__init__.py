"""What compiles and runs graphs. Backends know nothing of gRPC or of sessions."""

from gpu_process.backends._interface import Backend, BackendError, BackendOptions, Binding, CompiledGraph
from gpu_process.backends._loading import import_runtime, load_backend, prepare_import
from gpu_process.backends._probed import in_place_note
from ipc.options import BACKEND_NAMES, DEFAULT_BACKEND

__all__ = [
    "BACKEND_NAMES",
    "DEFAULT_BACKEND",
    "Backend",
    "BackendError",
    "BackendOptions",
    "Binding",
    "CompiledGraph",
    "import_runtime",
    "in_place_note",
    "load_backend",
    "prepare_import",
]
