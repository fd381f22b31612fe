"""A table in words: what is worth reading, and which kernels are plain."""

from __future__ import annotations

from collections.abc import Iterator

from scripts.probe import racing, trial
from scripts.probe.table import Row, Table


def told(table: Table) -> Iterator[str]:
    """A line per finding."""
    yield f"{table.backend} {table.version} on {table.processor}: {len(table.rows)} rows"
    for row in table.rows:
        faults = "; ".join(_faults(row))
        if faults:
            yield f"{row.operator}.{row.slot} ({', '.join(row.types)}): {faults}"


def _faults(row: Row) -> Iterator[str]:
    for name, verdicts in (("guarded", row.guarded), ("unguarded", row.unguarded)):
        bad = {position: verdict for position, verdict in verdicts.items() if verdict != trial.RIGHT}
        if bad:
            yield f"{name} {bad}"
    if row.racing != racing.PLAIN:
        yield f"racing {row.racing}"
    if row.racing_guarded != racing.PLAIN:
        yield f"racing even with guards {row.racing_guarded}"
    if row.reads_again:
        yield "reads an element twice"
    if row.reads_output:
        yield "reads its output"


def plain_kernels(table: Table) -> frozenset[str]:
    """Kernels, as `Add:float`, that took every operand only as plain values, whatever it was and became meanwhile."""
    return frozenset(kernel for row in table.rows for kernel in row.kernels) - _suspects(table)


def _suspects(table: Table) -> frozenset[str]:
    """Kernels of the graphs that faulted, but for those that others clear, or that stood beside a known culprit."""
    faulty = {row.operator for row in table.rows if not _is_harmless(row)}
    cleared = {kernel for row in table.rows if row.operator not in faulty for kernel in row.kernels}
    graphs = [set(row.kernels) for row in table.rows if not _is_harmless(row)]
    alone = {kernel for graph in graphs if len({each.partition(":")[0] for each in graph}) == 1 for kernel in graph}
    beside = (graph - cleared or graph for graph in graphs if not graph & alone)
    return frozenset(alone.union(*beside))


def plain_operators(table: Table) -> frozenset[str]:
    """Operators all of whose operands the runtime took as plain values, of every type that it computes."""
    native = [row for row in table.rows if row.native]
    faulty = {row.operator for row in native if not _is_harmless(row)}
    return frozenset({row.operator for row in native} - faulty)


def _is_harmless(row: Row) -> bool:
    """Whether nothing but values depends on the operand, at run time."""
    hostile = {row.unguarded["input"], row.unguarded["intermediate"]}
    return row.racing == row.racing_guarded == racing.PLAIN and hostile <= {trial.RIGHT, trial.WRONG}
