"""Find out what an installed native runtime does with hostile values and with memory that changes under its hands.

    python -m scripts.probe_backends onnxruntime            # shows what it found
    python -m scripts.probe_backends openvino --write       # and writes the table of the installed version, of these
                                                            # operators, where only some are named

Every operator, data type and operand is tried as input, as constant and as intermediate value, with guards and without,
and is changed by another process while it is read; so are outputs while they are written. Each try runs in a child that
it may crash. The tables, `gpu_process/backends/<name>/probed/<version>.json`, are what the backends' lists of kernels
that may work on a renderer's memory are held to (`tests/gpu_process/backends/test_probed.py`). With a version that has
no table, all tensors are private.
"""

from __future__ import annotations

import argparse
import functools
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from gpu_process.backends import BackendOptions, import_runtime, load_backend
from ipc.descriptors import DataType
from ipc.operators import REGISTRY
from scripts.probe import calls, findings, kernels, racing, trial
from scripts.probe.isolation import outcomes
from scripts.probe.table import Row, Table, merged, path

_BACKENDS = ("onnxruntime", "openvino")
_Subject = tuple[str, str, dict[str, DataType]]
"""Operator, operand, data types of all operands."""


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m scripts.probe_backends", description=__doc__.partition("\n")[0])
    parser.add_argument("backend", choices=_BACKENDS)
    parser.add_argument("--operators", nargs="+", choices=list(REGISTRY), default=list(REGISTRY), metavar="NAME")
    parser.add_argument("--write", action="store_true", help="write the table of the installed version")
    arguments = parser.parse_args()
    table = probe(arguments.backend, arguments.operators, progress=sys.stderr.isatty())
    for line in findings.told(table):
        print(line)
    if arguments.write:
        place = path(table.backend, table.version)
        place.parent.mkdir(exist_ok=True)
        known = Table.loads(place.read_text()) if place.exists() else table
        place.write_text(known.updated(table).dumps())
        print(f"written: {place}")


def probe(backend: str, operators: Sequence[str], *, progress: bool = False) -> Table:
    """The table of the installed version, of these operators."""
    import_runtime(backend)  # starts no thread: what is forked from here is whole
    (version, subjects), *_ = outcomes([functools.partial(_inspect, backend, operators)])
    rows: list[Row] = []
    for number, (row, _) in enumerate(zip(_rows(backend, subjects), subjects, strict=True)):
        rows.append(row)
        if progress:
            print(f"\r{number + 1}/{len(subjects)} {row.operator:24}", end="", file=sys.stderr, flush=True)
    return Table(backend, version, _processor(), merged(rows))


def _inspect(backend: str, operators: Sequence[str]) -> tuple[str, list[_Subject]]:
    """Version and subjects, found in a child since the backend has to be loaded for them."""
    loaded = load_backend(backend, BackendOptions())
    limits = loaded.support_limits().operators
    return loaded.version, [
        subject for name in operators if name in limits for subject in _subjects(name, limits[name])
    ]


def _subjects(name: str, limits: Any) -> Iterator[_Subject]:
    probed: set[tuple[str, DataType]] = set()
    call = calls.call(name, calls.SMALL)
    for types in calls.types(call, limits):
        for slot in call.shapes:
            if (slot, types[slot]) not in probed:
                probed.add((slot, types[slot]))
                yield name, slot, types


def _rows(backend: str, subjects: Sequence[_Subject]) -> Iterator[Row]:
    guarded = outcomes([step for subject in subjects for step in _steps(backend, subject, guards=True)])
    facts = [[next(guarded) for _ in range(_GUARDED)] for _ in subjects]
    unguarded = outcomes(
        [step for subject in subjects for step in _steps(backend, subject, guards=False)],
        clean=lambda outcome: outcome == trial.RIGHT,  # a race that ended well may have written anywhere
    )
    for (name, slot, types), (*right, racing_guarded, again, output, (names, native)) in zip(
        subjects, facts, strict=True
    ):
        *left_alone, raced = [next(unguarded) for _ in range(_UNGUARDED)]
        yield Row(
            operator=name,
            slot=slot,
            types=(types[slot].value,),
            guarded=dict(zip(trial.POSITIONS, right, strict=True)),
            unguarded=dict(zip(trial.POSITIONS, left_alone, strict=True)),
            racing=raced,
            racing_guarded=racing_guarded,
            reads_again=again,
            reads_output=output,
            kernels=names,
            native=native,
        )


def _steps(backend: str, subject: _Subject, *, guards: bool) -> Iterator[Callable[[], Any]]:
    name, slot, types = subject
    small, large = calls.call(name, calls.SMALL), calls.call(name, calls.LARGE)
    for position in trial.POSITIONS:
        yield functools.partial(trial.worst, backend, small, types, slot, position, guards=guards)
    yield functools.partial(racing.hostile, backend, large, types, slot, guards=guards)
    if guards:
        yield functools.partial(racing.reads_again, backend, large, types, slot)
        yield functools.partial(racing.reads_output, backend, large, types)
        yield functools.partial(kernels.of, backend, small, types)


_UNGUARDED = len(trial.POSITIONS) + 1
_GUARDED = _UNGUARDED + 3


def _processor() -> str:
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if "model name" in line
    ]
    return names[0] if names else platform.processor()


if __name__ == "__main__":
    main()
