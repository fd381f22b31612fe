"""Backends by name, imported only when asked for, with their habits tamed first."""

from __future__ import annotations

import importlib
import os
import sys

from gpu_process.backends._interface import Backend, BackendOptions
from ipc.options import BACKEND_NAMES


def prepare_import() -> None:
    """Keep the native runtimes from what they do on import: telemetry threads, forks, files and name look-ups."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    os.environ["OPENVINO_TELEMETRY_DISABLE"] = "1"
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]


def import_runtime(name: str) -> None:
    """Import what `load_backend` will need, ahead of it; a package names the module in `RUNTIME` if that is another.

    Raises:
        ImportError: the runtime is not installed.
    """
    prepare_import()
    package = importlib.import_module(f"gpu_process.backends.{name}")
    if (module := getattr(package, "RUNTIME", None)) is not None:
        importlib.import_module(module)


def load_backend(name: str, options: BackendOptions) -> Backend:
    """The backend called `name`.

    Raises:
        ValueError: none is called so.
        ImportError: its runtime is not installed.
    """
    if name not in BACKEND_NAMES:
        raise ValueError(f"backend {name!r} is none of {', '.join(BACKEND_NAMES)}")
    prepare_import()
    module = importlib.import_module(f"gpu_process.backends.{name}")
    backend: Backend = module.create(options)
    return backend
