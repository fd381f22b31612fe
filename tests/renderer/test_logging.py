"""The environment decides what the renderer logs; the root logger is the program's."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ipc.processes import LOG_LEVEL_VARIABLE, python_environment

SCRIPT = """
import logging
import renderer
logging.getLogger("renderer._session").info("told")
assert not logging.getLogger().handlers
"""


@pytest.mark.parametrize(("level", "told"), [("info", True), ("error", False), ("nonsense", False), ("", False)])
def test_the_environment_names_the_level(level: str, told: bool) -> None:
    environment = {**python_environment(), LOG_LEVEL_VARIABLE: level}
    command = [sys.executable, "-c", SCRIPT]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert ("told" in result.stderr) == told
