"""The checked-in conformance vectors are what their script says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from scripts.make_vectors import FOLDER, main, suites


def test_the_checked_in_vectors_are_current(tmp_path: Path) -> None:
    main(tmp_path)
    written = {path.name: path.read_text() for path in tmp_path.iterdir()}
    checked_in = {path.name: path.read_text() for path in FOLDER.glob("*.json")}
    assert written.keys() == checked_in.keys()
    stale = [name for name, text in written.items() if text != checked_in[name]]
    assert stale == [], "run python -m scripts.make_vectors"


def test_expected_values_are_computed_without_numpy() -> None:
    check = "import sys, scripts.make_vectors as m; m.suites(); sys.exit('numpy' in sys.modules)"
    subprocess.run([sys.executable, "-P", "-c", check], check=True, cwd=FOLDER.parents[2], env={"PYTHONPATH": "."})


def test_every_vector_is_named_once_in_its_file() -> None:
    for suite in suites():
        names = [test["name"] for test in suite.tests]
        assert len(names) == len(set(names))
