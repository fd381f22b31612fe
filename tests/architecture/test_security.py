"""What SECURITY.md and its page promise is what the tests hold and the code says."""

from __future__ import annotations

import ast
import re
from dataclasses import fields
from functools import cache
from pathlib import Path

import pytest

from gpu_process.exit_status import Cause
from gpu_process.quotas import Quotas

ROOT = Path(__file__).resolve().parents[2]
SECURITY = (ROOT / "SECURITY.md").read_text()
BOUNDARY = (ROOT / "docs" / "boundary.md").read_text()

NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", SECURITY + BOUNDARY)))


@cache
def functions(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text())
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize(("path", "name"), NAMED, ids=[name for _, name in NAMED])
def test_every_test_that_is_named_exists(path: str, name: str) -> None:
    assert name in functions(path)


def test_every_guarantee_names_its_test() -> None:
    section = SECURITY.partition("## Guarantees")[2].partition("## Not promised")[0]
    rows = [
        row for row in section.splitlines() if row.startswith("| ") and not row.startswith(("| guarantee", "| ---"))
    ]
    assert len(rows) > 20
    assert [row for row in rows if "::test_" not in row] == []


def test_every_quota_is_told_with_its_default() -> None:
    told = dict(re.findall(r"^\| `(\w+)` \| (\d+) \|", BOUNDARY, re.MULTILINE))
    assert told == {quota.name: str(quota.default) for quota in fields(Quotas)}


def test_every_cause_of_death_is_told_with_its_weight() -> None:
    told = dict(re.findall(r"^\| `([\w-]+)` \| [^|]+ \| (yes|no) \|", BOUNDARY, re.MULTILINE))
    assert told == {cause.value: "yes" if cause.is_crash else "no" for cause in Cause}
