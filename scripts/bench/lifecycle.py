"""`webnn-sim bench lifecycle`: beginnings and ends, from the start of everything to the restart after a crash."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from functools import partial

import numpy as np

from scripts.bench.peer import Ours, PeerError
from scripts.bench.run import Measurement, Run, samples
from scripts.bench.statistics import Rounds, Samples

_MIB = 1 << 20

GRAPH_SIZES = (1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000)
"""Operators. The slopes at both ends are between the first two and the last two."""


def measure(run: Run) -> None:
    """All of it."""
    _starts(run)
    _objects(run)
    build_sizes(run, run.options.backend)
    _crashes(run)


def cold_start(run: Run) -> float:
    """Milliseconds from the start of a Python renderer to its first result, with nothing of ours running before."""
    start = time.perf_counter_ns()
    peer = run.ours(fresh=True)
    value = peer.ask("chain", calls=1)["value"]
    ms = (time.perf_counter_ns() - start) / 1e6
    peer.close()
    if value != 1:
        raise PeerError(f"the first result is {value}, not 1")
    return ms


def _starts(run: Run) -> None:
    run.fastest_carrier()
    cold, opened = [], []
    for number in range(run.rounds(6)):
        run.say(f"start: {number + 1}")
        cold.append(np.array([cold_start(run)]))
        with contextlib.closing(run.ours(fresh=True)) as peer:
            opened.append(np.array([peer.opened["ms"]]))
    run.measurements.append(Measurement("start", "everything, to the first result", {}, "ms", cold))
    run.measurements.append(Measurement("start", "ML() and first context", {}, "ms", opened))


def _objects(run: Run) -> None:
    made, ended = [], []
    peer = run.ours()
    for _ in range(run.rounds(6)):
        run.say("contexts")
        answer = peer.ask("create_contexts", calls=5)
        made.append(samples(answer))
        ended.append(np.asarray(answer["destroy_us"], np.float64))
    run.measurements.append(Measurement("context", "create", {}, "µs", made))
    run.measurements.append(Measurement("context", "destroy", {}, "µs", ended))
    for size in (4, 64 << 10, 4 * _MIB):
        create = partial(_created, peer, [size] * 20)
        run.measure("tensor", {"create": create}, rounds=run.rounds(6), parameters={"bytes": size})
    cold = []
    for _ in range(run.rounds(4)):
        run.say("tensors in a new GPU process")
        with contextlib.closing(run.ours(fresh=True)) as fresh:
            cold.append(_created(fresh, cold_sizes()))
    run.measurements.append(Measurement("tensor", "create, cold", {"bytes": 4 * _MIB}, "µs", cold))


def _created(peer: Ours, sizes: Sequence[int]) -> Samples:
    return samples(peer.ask("create_tensors", sizes=sizes))


def cold_sizes() -> list[int]:
    """32 sizes from 4 MiB on that no pool can have ready for each other."""
    return [4 * _MIB + 4096 * i for i in range(32)]


def build_sizes(run: Run, backend: str) -> dict[int, Rounds]:
    """Milliseconds of build() by number of operators; the graphs are chains of additions."""
    largest = 10_000 if run.options.quick else 100_000
    sizes = [size for size in GRAPH_SIZES if size <= largest]
    quotas = {"operations": largest + 1, "operands": largest * 2 + 4}
    found: dict[int, list[Samples]] = {size: [] for size in sizes}
    with contextlib.closing(_with_quotas(run, backend, quotas)) as peer:
        peer.ask("build_chain", operators=sizes[0])
        for number in range(run.rounds(5)):
            for size in sizes:
                run.say(f"build() of {size} operators on {backend}: round {number + 1}")
                repeats = max(1, 4_000 // size)
                ms = [peer.ask("build_chain", operators=size)["ms"] for _ in range(repeats)]
                found[size].append(np.array(ms))
    for size, rounds in found.items():
        run.measurements.append(Measurement("build", backend, {"operators": size}, "ms", rounds))
    return dict(found)


def _with_quotas(run: Run, backend: str, quotas: dict[str, int]) -> Ours:
    return run.ours(fresh=True, backend=backend, quotas=quotas)


def _crashes(run: Run) -> None:
    run.measurements.append(Measurement("crash", "SIGKILL to the next right result", {}, "ms", crashes(run)))


def crashes(run: Run) -> Rounds:
    """Milliseconds from SIGKILL of the GPU process to a right result from the next one."""
    found = []
    for number in range(run.rounds(6)):
        run.say(f"crash: {number + 1}")
        with contextlib.closing(run.ours(fresh=True)) as peer:  # a host that has seen many gives up, as it should
            answer = peer.ask("crash")
        if not answer["is_new"] or answer["value"] != 3:
            raise PeerError(f"after the crash: {answer}")
        found.append(np.array([answer["ms"]]))
    return found
