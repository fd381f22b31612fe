"""What the renderer logs is shown as the program configures `logging`, or as `WEBNN_SIM_LOG` says."""

from __future__ import annotations

import logging
import os

from ipc.processes import LOG_LEVEL_VARIABLE


def follow_environment() -> None:
    """Show what the renderer logs on standard error, if the environment names a level. Other loggers are left alone."""
    level = logging.getLevelNamesMapping().get(os.environ.get(LOG_LEVEL_VARIABLE, "").upper())
    logger = logging.getLogger("renderer")
    if level is None:
        return
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(level)
