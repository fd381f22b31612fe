"""Mutants that no test can notice, because they behave as the original does; each with the reason."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from scripts.mutation.mutants import Mutant

_LIST = Path(__file__).with_name("equivalents.toml")


@dataclass(frozen=True)
class Equivalent:
    """An entry of the list: it names a mutant by what it does, not by its line, which moves."""

    path: str
    function: str
    original: str
    changed: str
    reason: str

    def matches(self, mutant: Mutant) -> bool:
        return (self.path, self.function, _plain(self.original), _plain(self.changed)) == (
            mutant.path,
            mutant.function,
            _plain(mutant.original),
            _plain(mutant.changed),
        )


def load() -> list[Equivalent]:
    entries = tomllib.loads(_LIST.read_text())["equivalent"]
    return [Equivalent(**entry) for entry in entries]


def stale(listed: Iterable[Equivalent], mutants: Iterable[Mutant]) -> list[Equivalent]:
    """Entries that name no mutant any more."""
    known = list(mutants)
    return [entry for entry in listed if not any(entry.matches(mutant) for mutant in known)]


def _plain(text: str) -> str:
    return " ".join(text.split())
