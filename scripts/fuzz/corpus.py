"""Cases on disk that reach something that no other one does."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from scripts.fuzz.findings import FindingError, Stored, load, write_json
from scripts.fuzz.mode import CoverageKey


class Corpus:
    """A folder with one file per case, by mode. Several processes may write into it: files appear whole."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def cases(self, mode: str) -> Iterator[tuple[Path, Stored]]:
        """All cases of a mode, in the order of their names; what is no case is passed over only if it is no JSON file.

        Raises:
            FindingError: a file is none.
        """
        for path in sorted((self._folder / mode).glob("*.json")):
            yield path, load(path)

    def add(self, stored: Stored) -> Path:
        """Keep a case; its name follows from its content, so that the same one is kept once."""
        value = stored.to_json()
        digest = hashlib.sha256(json.dumps(value["case"], sort_keys=True).encode()).hexdigest()[:20]
        folder = self._folder / stored.mode
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / f"{digest}.json"
        if not target.exists():
            unfinished = target.with_suffix(".unfinished")
            write_json(unfinished, value)
            unfinished.replace(target)
        return target

    def merge(self, other: Path, mode: str) -> int:
        """Take over the cases of another corpus; how many there were."""
        taken = [self.add(stored) for _, stored in Corpus(other).cases(mode)]
        return len(taken)

    def minimise(
        self, mode: str, reach: Callable[[Mapping[str, Any]], tuple[tuple[int, ...], Iterable[CoverageKey]]]
    ) -> tuple[int, int]:
        """Keep only what is needed to reach all that is reached, small cases first; how many there were and are.

        Args:
            reach: runs a case; its size, and what it reaches.
        """
        measured = []
        for path, stored in self.cases(mode):
            size, keys = reach(stored.case)
            measured.append((size, path, frozenset(keys)))
        measured.sort(key=lambda item: (item[0], item[1]))
        seen: set[CoverageKey] = set()
        kept = 0
        for _, path, keys in measured:
            if keys <= seen:
                path.unlink()
            else:
                seen |= keys
                kept += 1
        return len(measured), kept


__all__ = ["Corpus", "FindingError"]
