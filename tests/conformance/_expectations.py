"""What is known to fail and what backends do not list, from `expected_failures.toml`; everything else must pass."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ipc.descriptors import DataType

_FILE = Path(__file__).parent / "expected_failures.toml"


@dataclass(frozen=True, slots=True)
class Expectations:
    """Of one backend.

    Attributes:
        failures: vector id -> why it fails.
        unlisted: (operator, operand or output) -> data types that it does not list.
    """

    failures: Mapping[str, str]
    unlisted: Mapping[tuple[str, str], frozenset[DataType]]


def expectations(backend: str) -> Expectations:
    """The expectations for a backend; empty where the file says nothing."""
    document = tomllib.loads(_FILE.read_text())
    return Expectations(
        failures={entry["vector"]: entry["reason"] for entry in document["failure"] if entry["backend"] == backend},
        unlisted={
            (operator, slot): frozenset(map(DataType, data_types))
            for operator, slots in document["unlisted"].get(backend, {}).items()
            for slot, data_types in slots.items()
        },
    )
