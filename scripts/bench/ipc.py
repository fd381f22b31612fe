"""`webnn-sim bench ipc`: what the way to the GPU process and back costs, by carrier, size, depth and company."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from scripts.bench import machine
from scripts.bench.crowd import crowd
from scripts.bench.peer import Ours, Peer, PeerError
from scripts.bench.run import Measurement, Run, samples, sizes
from scripts.bench.statistics import Samples
from scripts.trace import STAGES, Collector, round_trips

_MIB = 1 << 20


def measure(run: Run) -> None:
    """All of it."""
    carriers = run.carriers() if run.options.carrier is None else [run.options.carrier]
    ours = {carrier: run.ours(carrier=carrier) for carrier in carriers}
    _round_trips(run, ours)
    _one_core(run, ours)
    _arrivals(run, ours)
    _depths(run, ours)
    _payloads(run, ours)
    run.let_go()
    _renderers(run, carriers)
    _stages(run, carriers)


def chained(peer: Peer, calls: int, interval_ms: float = 0.0) -> Samples:
    """A chain of calls; its state proves that every one of them was computed.

    Raises:
        PeerError: it doesn't.
    """
    pause = {"interval_ms": interval_ms} if interval_ms else {}  # which only some peers know
    answer = peer.ask("chain", calls=calls, **pause)
    if answer["value"] != calls:
        raise PeerError(f"after {calls} additions of 1 the value is {answer['value']}")
    return samples(answer)


def burst(peer: Peer, dispatches: int, calls: int) -> Samples:
    """Chained dispatches in flight before one read; time per dispatch.

    Raises:
        PeerError: the state doesn't prove that all were computed.
    """
    answer = peer.ask("burst", dispatches=dispatches, calls=calls)
    if answer["value"] != (wanted := dispatches * calls):
        raise PeerError(f"after {wanted} additions of 1 the value is {answer['value']}")
    return samples(answer) / dispatches


def transport(peer: Peer, size: int, calls: int) -> Samples:
    """Write and read of one tensor."""
    return samples(peer.ask("transport", size=size, calls=calls))


def _round_trips(run: Run, ours: dict[str, Ours]) -> None:
    calls = run.calls(1000)
    spent = {carrier: _spent(peer) for carrier, peer in ours.items()}
    rounds = run.rounds(20)
    found = run.measure("round trip", {c: partial(chained, peer, calls) for c, peer in ours.items()}, rounds=rounds)
    total = calls * (rounds + 1)
    for carrier, peer in ours.items():
        us = (_spent(peer) - spent[carrier]) / total * 1e6
        rate = np.array([1e6 / np.mean(samples) for samples in found[carrier]])
        run.measurements.append(Measurement("processor time per call", carrier, {}, "µs", [np.array([us])]))
        run.measurements.append(Measurement("throughput of one caller", carrier, {}, "calls/s", [rate]))


def _spent(peer: Peer) -> float:
    return machine.cpu_seconds(peer.processes())


def _one_core(run: Run, ours: dict[str, Ours]) -> None:
    """The same with all processes of ours on one core: a wake-up across cores costs more than the work."""
    with contextlib.ExitStack() as moved:
        for peer in ours.values():
            moved.enter_context(_on_one_core(list(peer.processes())))
        sources = {carrier: partial(chained, peer, run.calls(1000)) for carrier, peer in ours.items()}
        run.measure("round trip on one core", sources, rounds=run.rounds(10))


@contextlib.contextmanager
def _on_one_core(pids: Sequence[int]) -> Iterator[None]:
    cores = os.sched_getaffinity(0)
    _move(pids, {min(cores)})
    try:
        yield
    finally:
        _move(pids, cores)


def _move(pids: Sequence[int], cores: set[int]) -> None:
    for pid in pids:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(int(thread), cores)


def _arrivals(run: Run, ours: dict[str, Ours]) -> None:
    """Calls that come now and then, as frames of a video do: everybody sleeps in between."""
    for interval in (1.0, 10.0, 16.7):
        sources = {carrier: partial(chained, peer, run.calls(40), interval) for carrier, peer in ours.items()}
        run.measure("round trip after idle", sources, rounds=run.rounds(8), parameters={"ms": interval})


def _depths(run: Run, ours: dict[str, Ours]) -> None:
    """Dispatches in flight before one read; time per dispatch."""
    for depth in (1, 10, 100, 1000):
        calls = max(3, run.calls(2000) // (depth + 10))
        sources = {carrier: partial(burst, peer, depth, calls) for carrier, peer in ours.items()}
        run.measure("time per dispatch in flight", sources, rounds=run.rounds(8), parameters={"dispatches": depth})


def _payloads(run: Run, ours: dict[str, Ours]) -> None:
    """Write and read of one tensor, without a computation."""
    largest = 16 * _MIB if run.options.quick else 256 * _MIB
    for size in [1, *sizes(1024, largest)]:  # a tensor has no fewer bytes
        calls = max(2, min(200, 8 * _MIB // size))
        sources = {carrier: partial(transport, peer, size, calls) for carrier, peer in ours.items()}
        if size > 64 * _MIB and len(sources) > 1:  # in messages it takes seconds
            sources.pop("inline", None)
        run.measure("write and read", sources, rounds=run.rounds(6), parameters={"bytes": size})


def _renderers(run: Run, carriers: Sequence[str]) -> None:
    """Renderers that call at the same time, each in a process of its own, all at one GPU process."""
    for count in (1, 2, 4, 8):
        for carrier in carriers:
            with crowd(run.host_options(), carrier, count) as members:
                rounds = [members.chain(run.calls(200)) for _ in range(run.rounds(4))]
            run.say(f"{count} renderers over {carrier}")
            parameters = {"renderers": count}
            run.measurements.append(Measurement("round trip among renderers", carrier, parameters, "µs", rounds))


def _stages(run: Run, carriers: Sequence[str]) -> None:
    """Where the time of a round trip goes, from a trace of it."""
    for carrier in carriers:
        run.say(f"stages of a round trip over {carrier}")
        with contextlib.closing(Collector()) as collector:
            peer = run.ours(carrier=carrier, fresh=True, trace=collector.descriptor)
            began = time.monotonic_ns()
            chained(peer, run.calls(2000))
            peer.close()
            found = round_trips([span for span in collector.collect().spans if span.began >= began])
        for stage in (*STAGES, "none", "total"):
            column = np.array([trip[stage] for trip in found])
            run.measurements.append(Measurement("stages of a round trip", carrier, {"stage": stage}, "µs", [column]))
