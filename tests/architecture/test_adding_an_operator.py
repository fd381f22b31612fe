"""What `docs/adding-an-operator.md` shows works as it stands there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from ipc.processes import python_environment

PAGE = Path(__file__).resolve().parents[2] / "docs/adding-an-operator.md"


@pytest.fixture
def listings(tmp_path: Path) -> Path:
    """The page's listings, each in the file that its first line names."""
    names = []
    for listing in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL):
        name = listing.split(maxsplit=2)[1]
        (tmp_path / name).write_text(listing)
        names.append(name)
    assert names == ["hypot_declaration.py", "hypot_implementations.py", "script.py"]
    return tmp_path


@pytest.mark.parametrize("backend", ["reference", "onnxruntime", "openvino"])
def test_an_operator_added_from_outside_runs_on_every_backend(listings: Path, backend: str) -> None:
    script = listings / "script.py"
    script.write_text(script.read_text().replace("create_context()", f"create_context(backend={backend!r})"))
    environment = dict(python_environment())
    environment["PYTHONPATH"] = f"{listings}:{environment['PYTHONPATH']}"
    command = [sys.executable, "-P", str(script)]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=50)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "[ 5. 13.]"
