"""What is known to fail and what backends do not list, from `expected_failures.toml`; everything else must pass."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ipc.descriptors import DataType
from ipc.limits import SupportLimits
from ipc.operators import declared_limits

_FILE = Path(__file__).parent / "expected_failures.toml"

Unlisted = Mapping[tuple[str, str], frozenset[DataType]]
"""(operator, operand or output) -> data types that are allowed but not listed."""


@dataclass(frozen=True, slots=True)
class Expectations:
    """Of one backend.

    Attributes:
        failures: vector id -> why it fails.
        unlisted: what it leaves out of its support limits.
    """

    failures: Mapping[str, str]
    unlisted: Unlisted


def expectations(backend: str) -> Expectations:
    """The expectations for a backend; empty where the file says nothing."""
    document = tomllib.loads(_FILE.read_text())
    return Expectations(
        failures={entry["vector"]: entry["reason"] for entry in document["failure"] if backend in entry["backends"]},
        unlisted={
            (operator, slot): frozenset(map(DataType, data_types))
            for operator, slots in document["unlisted"].get(backend, {}).items()
            for slot, data_types in slots.items()
        },
    )


def unlisted(limits: SupportLimits) -> Unlisted:
    """What these limits leave out of what the declarations allow; all of an operator that they lack."""
    left_out = {
        (operator, slot): entry.data_types - _listed(limits, operator, slot)
        for operator, slots in declared_limits().operators.items()
        for slot, entry in slots.items()
    }
    return {place: data_types for place, data_types in left_out.items() if data_types}


def _listed(limits: SupportLimits, operator: str, slot: str) -> frozenset[DataType]:
    listed = limits.operators.get(operator, {}).get(slot)
    return frozenset() if listed is None else listed.data_types
