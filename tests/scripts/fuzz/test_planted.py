"""Planted bugs are found, each by the mode that should find it, and by nothing but the bug."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scripts.fuzz import planted
from tests.scripts.fuzz.bench import BUGS, SECONDS, Planted, search

_QUICK = frozenset(
    {"validator_concat", "codec_labels", "codec_tokens", "quota_contexts", "life_stale_copy", "life_destroyed_tensor"}
)


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    "bug",
    [pytest.param(bug, id=bug.name, marks=[] if bug.name in _QUICK else pytest.mark.campaign) for bug in BUGS],
)
def test_a_planted_bug_is_found_and_without_it_nothing(bug: Planted) -> None:
    told = search(bug)
    assert told["found"], f"nothing after {told['executions']} cases in {SECONDS:g} s"
    assert search(bug, control=told["executions"])["found"] == ""


def test_every_bug_has_its_module_and_every_class_of_checks_its_bugs() -> None:
    modules = {path.stem for path in Path(planted.__file__).parent.glob("*.py")} - {"__init__"}
    assert modules == {bug.name for bug in BUGS}
    assert len(BUGS) >= 25
    classes = {bug.name.partition("_")[0] for bug in BUGS}
    assert classes == {"validator", "codec", "ring", "quota", "life", "guard", "kernel"}
