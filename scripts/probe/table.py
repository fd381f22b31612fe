"""The probe's findings as rows, and as the file that is checked in."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import gpu_process.backends

Verdicts = Mapping[str, str]
"""By position."""


@dataclass(frozen=True, slots=True)
class Row:
    """What was found out about one operand of one operator.

    Attributes:
        types: of the operand, for which all of this is the same.
        guarded: with hostile values, by position: right, wrong, leak, refused, or the signal that ended the process.
        unguarded: the same without guards, which is how the runtime itself takes them.
        racing: what becomes of runs, without guards, while the operand changes between ordinary and hostile values:
            plain, error, leak, refused, or a signal.
        racing_guarded: the same with guards.
        reads_again: whether one element was read twice with guards; None where it can't be told.
        reads_output: whether results show what was written into the output meanwhile.
        kernels: of the runtime, that the unguarded graph consists of, with the type of their first result.
        native: whether the runtime computes it at all when there are guards.
    """

    operator: str
    slot: str
    types: tuple[str, ...]
    guarded: Verdicts
    unguarded: Verdicts
    racing: str
    racing_guarded: str
    reads_again: bool | None
    reads_output: bool
    kernels: tuple[str, ...]
    native: bool


@dataclass(frozen=True, slots=True)
class Table:
    """Of one version of one runtime.

    Attributes:
        processor: on which it was made: a runtime chooses kernels by it.
    """

    backend: str
    version: str
    processor: str
    rows: tuple[Row, ...]

    def dumps(self) -> str:
        """JSON with a row per line."""
        head = {"backend": self.backend, "version": self.version, "processor": self.processor}
        rows = ",\n".join(f"  {json.dumps(_compact(row))}" for row in self.rows)
        return json.dumps(head)[:-1] + f', "rows": [\n{rows}\n]}}\n'

    def updated(self, other: Table) -> Table:
        """This table with the other's rows for all operators that the other has."""
        newer = {row.operator for row in other.rows}
        return replace(other, rows=(*(row for row in self.rows if row.operator not in newer), *other.rows))

    @classmethod
    def loads(cls, text: str) -> Table:
        document = json.loads(text)
        rows = tuple(_row(item) for item in document["rows"])
        return cls(document["backend"], document["version"], document["processor"], rows)


def path(backend: str, version: str) -> Path:
    """Where the table of a version lies."""
    return Path(gpu_process.backends.__file__).parent / backend / "probed" / f"{version}.json"


def merged(rows: Iterable[Row]) -> tuple[Row, ...]:
    """Rows that differ in their types alone as one."""
    found: dict[str, Row] = {}
    for row in rows:
        kinds = tuple(kernel.partition(":")[0] for kernel in row.kernels)
        key = repr(replace(row, types=(), kernels=kinds))
        if key in found:
            same = found[key]
            kernels = tuple(dict.fromkeys((*same.kernels, *row.kernels)))
            found[key] = replace(same, types=(*same.types, *row.types), kernels=kernels)
        else:
            found[key] = row
    return tuple(found.values())


def _compact(row: Row) -> dict[str, Any]:
    """Verdicts that are the same in all positions as one word."""
    document = asdict(row)
    for name in ("guarded", "unguarded"):
        verdicts = document[name]
        if len(set(verdicts.values())) == 1:
            document[name] = next(iter(verdicts.values()))
    return document


def _row(document: Mapping[str, Any]) -> Row:
    verdicts = {
        name: dict.fromkeys(("input", "constant", "intermediate"), document[name])
        if isinstance(document[name], str)
        else document[name]
        for name in ("guarded", "unguarded")
    }
    lists = {name: tuple(document[name]) for name in ("types", "kernels")}
    return Row(**{**document, **verdicts, **lists})
