"""Options that several commands share, and how they become arguments of `python -m gpu_process`."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from gpu_process.backends import BACKEND_NAMES
from gpu_process.sandbox import Level


class CarrierName(StrEnum):
    INLINE = "inline"
    STREAM = "stream"
    RING = "ring"


def _known_backend(name: str | None) -> str | None:
    if name is not None and name not in BACKEND_NAMES:
        raise typer.BadParameter(f"{name!r} is none of {', '.join(BACKEND_NAMES)}")
    return name


def writable(path: Path | None) -> Path | None:
    """The callback of every option that names a file to write: what cannot be written is known before the work."""
    if path is None:
        return None
    if path.is_dir():
        raise typer.BadParameter(f"{path} is a directory")
    if not path.parent.is_dir():
        raise typer.BadParameter(f"there is no directory {path.parent}")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise typer.BadParameter(f"{path} may not be written")
    return path


_BACKENDS = f"[{'|'.join(BACKEND_NAMES)}]"

Backend = Annotated[
    str, typer.Option(metavar=_BACKENDS, callback=_known_backend, help="The ML runtime that executes graphs.")
]
BackendOfReplay = Annotated[
    str | None,
    typer.Option(
        "--backend",
        metavar=_BACKENDS,
        callback=_known_backend,
        help="The ML runtime to replay on.",
        show_default="the recorded one",
    ),
]
Carrier = Annotated[
    CarrierName | None, typer.Option(help="What carries the timeline's commands.", show_default="the fastest")
]
Sandbox = Annotated[Level, typer.Option(help="Confinement of the GPU process; less than strict only by name.")]
Trace = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", callback=writable, help="Write what all processes do, stage by stage, for ui.perfetto.dev."
    ),
]
Record = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", callback=writable, help="Record all that crosses the boundary, for `webnn-sim replay`."
    ),
]
RendererSandbox = Annotated[Level, typer.Option(help="Confinement of the renderer; less than strict only by name.")]
Preload = Annotated[
    list[str] | None, typer.Option(metavar="MODULE", help="Import MODULE in the GPU process before it locks itself in.")
]


def host_arguments(
    *, backend: str, sandbox: str, preload: list[str] | None = None, extra: list[str] | None = None
) -> list[str]:
    """Arguments of `python -m gpu_process`, without the socket."""
    modules = [argument for module in preload or [] for argument in ("--preload", module)]
    return ["--backend", backend, "--sandbox", sandbox, *modules, *(extra or [])]


Socket = Annotated[Path, typer.Option(metavar="PATH", help="Where renderers will find it.")]
