"""Mutants of a small tree: those that tests notice, in this process or another one, and those that none can notice."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import scripts.mutation
from scripts.mutation.campaign import Campaign
from scripts.mutation.equivalents import Equivalent, load, stale
from scripts.mutation.laboratory import Outcome, copy_tree
from scripts.mutation.mutants import Mutant, mutants_of
from scripts.mutation.targets import targets

_ROOT = Path(__file__).resolve().parents[2]

_MODULE = '''\
"""Checks."""

import sys


def positive(value):
    if value <= 0:
        raise ValueError(value)
    return value


def clipped(value):
    return 0 if value < 0 else value


class Limits:
    smallest = 5 if sys.maxsize > 9 else 6


def main():
    if len(sys.argv) != 2:
        raise SystemExit("one argument")
    note(sys.argv)


def note(what):
    assert what


if __name__ == "__main__":
    main()
'''

_TESTS = """\
import subprocess
import sys
from pathlib import Path

import pytest

from ipc import checks

_FILE = str(Path(checks.__file__))


def test_zero_is_not_positive():
    with pytest.raises(ValueError):
        checks.positive(0)


def test_positive_goes_through():
    assert checks.positive(1) == 1


def test_clipped():
    assert [checks.clipped(value) for value in (-2, 0, 2)] == [0, 0, 2]


def test_limits():
    assert checks.Limits.smallest == 5


def test_arguments_are_counted_where_they_arrive():
    environment = {"PYTHONPATH": str(Path(_FILE).parents[1])}
    for arguments, status in (["a"], 0), ([], 1):
        command = [sys.executable, _FILE, *arguments]
        assert subprocess.run(command, env=environment, stderr=subprocess.DEVNULL).returncode == status
"""

# What becomes of some of its mutants.
_EXPECTED = {
    ("positive", "value <= 0", "False"): Outcome.KILLED,
    ("Limits", "sys.maxsize > 9", "not (sys.maxsize > 9)"): Outcome.KILLED,  # seen on import alone
    ("main", "len(sys.argv) != 2", "False"): Outcome.KILLED,  # seen in another process alone
    ("clipped", "value < 0", "value <= 0"): Outcome.SURVIVED,  # 0 either way
    ("main", "note(sys.argv)", "pass"): Outcome.SURVIVED,
}


def _identity(mutant: Mutant) -> tuple[str, str, str]:
    return mutant.function, mutant.original, mutant.changed


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "small"
    for file, text in {"ipc/checks.py": _MODULE, "tests/test_checks.py": _TESTS, "pyproject.toml": ""}.items():
        (tree / file).parent.mkdir(parents=True, exist_ok=True)
        (tree / file).write_text(text)
    shutil.copytree(Path(scripts.mutation.__file__).parent, tree / "scripts/mutation")
    for room in ("ipc", "scripts", "tests"):
        (tree / room / "__init__.py").touch()
    return tree


@pytest.mark.timeout(180)
def test_mutants_are_noticed_exactly_where_a_test_can_tell_them(tree: Path, tmp_path: Path) -> None:
    mutants = [it for it in mutants_of(tree, "ipc/checks.py") if _identity(it) in _EXPECTED]
    folder = tmp_path / "laboratories"
    folder.mkdir()
    campaign = Campaign(tree, {"ipc/checks.py": ("tests/test_checks.py",)}, folder, jobs=1, quick=False)
    findings = {_identity(it.mutant): it for it in campaign.try_out(mutants)}
    assert {identity: it.outcome for identity, it in findings.items()} == _EXPECTED
    assert findings["positive", "value <= 0", "False"].test == "tests/test_checks.py::test_zero_is_not_positive"
    assert (tree / "ipc/checks.py").read_text() == _MODULE


def test_tests_that_fail_by_themselves_are_told(tree: Path, tmp_path: Path) -> None:
    (tree / "tests/test_checks.py").write_text("def test_nothing():\n    raise AssertionError('as ever')\n")
    folder = tmp_path / "laboratories"
    folder.mkdir()
    campaign = Campaign(tree, {"ipc/checks.py": ("tests/test_checks.py",)}, folder, jobs=1, quick=True)
    with pytest.raises(RuntimeError, match=r"(?s)tests fail while nothing is broken.*as ever"):
        list(campaign.try_out(mutants_of(tree, "ipc/checks.py")))


def test_tests_that_cannot_be_collected_are_told(tree: Path, tmp_path: Path) -> None:
    (tree / "tests/test_checks.py").write_text("import nothing_like_it\n")
    folder = tmp_path / "laboratories"
    folder.mkdir()
    campaign = Campaign(tree, {"ipc/checks.py": ("tests/test_checks.py",)}, folder, jobs=1, quick=True)
    with pytest.raises(RuntimeError, match=r"(?s)no tests to run.*nothing_like_it"):
        list(campaign.try_out(mutants_of(tree, "ipc/checks.py")))


def test_every_target_and_its_tests_are_there() -> None:
    for module, tests in targets(_ROOT).items():
        for path in (module, *tests):
            assert (_ROOT / path).exists(), path


def test_what_is_listed_as_equivalent_is_a_mutant_and_has_a_reason() -> None:
    listed = load()
    mutants = [mutant for path in {entry.path for entry in listed} for mutant in mutants_of(_ROOT, path)]
    assert stale(listed, mutants) == []
    assert all(len(entry.reason.split()) > 5 for entry in listed)


def test_an_entry_names_a_mutant_wherever_it_has_gone() -> None:
    mutant = Mutant("a.py", 7, "f", "boundary moved", "x <\n    1", "x <= 1", 0, 5)
    assert Equivalent("a.py", "f", "x < 1", "x <= 1", "no reason").matches(mutant)
    assert not Equivalent("a.py", "g", "x < 1", "x <= 1", "no reason").matches(mutant)


def test_a_copy_of_the_tree_holds_no_bytecode(tmp_path: Path, tree: Path) -> None:
    (tree / "ipc/__pycache__").mkdir()
    copy_tree(tree, tmp_path / "copy")
    assert not (tmp_path / "copy/ipc/__pycache__").exists()
