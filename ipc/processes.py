"""How a process of this product starts another one: the same interpreter, the same packages, a clean environment."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from ipc.channel import GRPC_ENVIRONMENT

LOG_LEVEL_VARIABLE: Final = "WEBNN_SIM_LOG"

# What a user's environment holds besides may be secrets: nothing for a process that may be taken over.
_PASSED_ON: Final = (
    "HOME",  # where a user's own site-packages are
    "LANG",
    "LC_ALL",
    "LD_LIBRARY_PATH",
    "PATH",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONHOME",
    "PYTHONPATH",
    "PYTHONPYCACHEPREFIX",
    "TMPDIR",
    "TZ",
    "VIRTUAL_ENV",
    "XDG_RUNTIME_DIR",
    LOG_LEVEL_VARIABLE,
)


def python_command(module: str, *arguments: str) -> list[str]:
    """The command that runs `module` as a program. `-P`: a folder beside the user called `ipc` is not ours."""
    return [sys.executable, "-P", "-m", module, *arguments]


def python_environment() -> Mapping[str, str]:
    """The environment of such a process: it finds the very packages that this one runs."""
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    environment.update(GRPC_ENVIRONMENT)
    root = Path(__file__).resolve().parents[1]
    if root.name not in ("site-packages", "dist-packages"):  # where Python looks by itself
        inherited = environment.get("PYTHONPATH")
        environment["PYTHONPATH"] = os.pathsep.join([str(root), *([inherited] if inherited else [])])
    return environment
