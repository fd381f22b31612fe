"""Find out what an installed native runtime does with hostile values and with memory that changes under its hands.

    python -m scripts.probe_backends onnxruntime            # shows what it found
    python -m scripts.probe_backends openvino --write       # and writes the table of the installed version

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
from scripts.probe import calls, findings, trial
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
    if arguments.write and len(arguments.operators) < len(REGISTRY):
        parser.error("--write takes all operators")
    table = probe(arguments.backend, arguments.operators, progress=sys.stderr.isatty())
    for line in findings.told(table):
        print(line)
    if arguments.write:
        place = path(table.backend, table.version)
        place.parent.mkdir(exist_ok=True)
        place.write_text(table.dumps())
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
    steps = [step for subject in subjects for step in _steps(backend, subject)]
    results = outcomes(steps)
    for name, slot, types in subjects:
        given = [next(results) for _ in range(2 * len(trial.POSITIONS) + 5)]
        guarded, unguarded = given[: len(trial.POSITIONS)], given[len(trial.POSITIONS) : 2 * len(trial.POSITIONS)]
        racing, racing_guarded, again, output, (kernels, native) = given[2 * len(trial.POSITIONS) :]
        yield Row(
            operator=name,
            slot=slot,
            types=(types[slot].value,),
            guarded=dict(zip(trial.POSITIONS, guarded, strict=True)),
            unguarded=dict(zip(trial.POSITIONS, unguarded, strict=True)),
            racing=racing,
            racing_guarded=racing_guarded,
            reads_again=again,
            reads_output=output,
            kernels=kernels,
            native=native,
        )


def _steps(backend: str, subject: _Subject) -> Iterator[Callable[[], Any]]:
    from scripts.probe import kernels, racing  # after the fork would do; before it, numpy alone is loaded

    name, slot, types = subject
    small, large = calls.call(name, calls.SMALL), calls.call(name, calls.LARGE)
    for guards in (True, False):
        for position in trial.POSITIONS:
            yield functools.partial(trial.worst, backend, small, types, slot, position, guards=guards)
    for guards in (False, True):
        yield functools.partial(racing.hostile, backend, large, types, slot, guards=guards)
    yield functools.partial(racing.reads_again, backend, large, types, slot)
    yield functools.partial(racing.reads_output, backend, large, types)
    yield functools.partial(kernels.of, backend, small, types)


def _processor() -> str:
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if "model name" in line
    ]
    return names[0] if names else platform.processor()


if __name__ == "__main__":
    main()
