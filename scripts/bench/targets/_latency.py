"""P1 to P5 and P21: the way there and back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

import numpy as np

from scripts.bench import machine
from scripts.bench.ipc import burst, chained
from scripts.bench.peer import Peer, PeerError
from scripts.bench.run import Measurement, Run, samples, spin_option
from scripts.bench.statistics import Rounds, Samples, ratio_estimate
from scripts.bench.targets._target import Result, Target, figures

P1 = Target(name="P1", what="round trip of a relu-sized graph / Chromium", gate=0.35, aim=0.15)
P2 = Target(name="P2", what="its p99 / Chromium's", gate=0.5, aim=0.2)
P3 = Target(name="P3", what="the same without spinning / Chromium", gate=1.0, aim=0.7)
P4 = Target(name="P4", what="the carrier `stream` / Chromium", gate=3.0, aim=2.0)
P5 = Target(name="P5", what="one of 1000 chained dispatches with one read / Chromium", gate=0.5, aim=0.2)
P21 = Target(name="P21", what="64-byte round trip of the ring / iceoryx2", gate=2.0, aim=1.0)

_CALLS = 1000
_DISPATCHES = 1000


def latency(run: Run) -> Iterator[Result]:
    """P1 to P5."""
    chromium = _browser(run)
    yield from _round_trips(run, chromium)
    yield from _bursts(run, chromium)
    _arrivals(run, chromium)


def ring(run: Run) -> Iterator[Result]:
    """P21."""
    try:
        if "ring" not in run.carriers():
            raise PeerError("this version has no carrier `ring`")
        ours, theirs = run.ours(carrier="ring"), run.program("iceoryx2_echo")
        calls = run.calls(1000)
        sources: dict[str, Callable[[], Samples]] = {
            "ours": lambda: samples(ours.ask("echo", calls=calls)),
            "iceoryx2": lambda: samples(theirs.ask("echo", calls=calls)),
        }
        found = run.measure("64-byte round trip", sources, rounds=run.rounds(20))
    except PeerError as error:
        yield Result(P21, why=str(error))
        return
    yield compared(P21, found, "ours", "iceoryx2")


def compared(
    target: Target,
    found: Mapping[str, Rounds],
    ours: str,
    theirs: str,
    parameters: Mapping[str, object] | None = None,
    *,
    quantile: float = 0.5,
    unit: str = "µs",
    binds: bool = True,
) -> Result:
    """The ratio of two measured things as a result."""
    values = {
        "ours": float(np.quantile(np.concatenate(found[ours]), quantile)),
        theirs: float(np.quantile(np.concatenate(found[theirs]), quantile)),
    }
    estimate = ratio_estimate(found[ours], found[theirs], quantile)
    return Result(target, parameters or {}, estimate, figures=figures(unit, **values), binds=binds)


def _browser(run: Run) -> Peer | str:
    """Chromium, or why there is none."""
    try:
        return run.chromium()
    except PeerError as error:
        return str(error)


def _round_trips(run: Run, chromium: Peer | str) -> Iterator[Result]:
    peers, missing = _ours(run)
    if not isinstance(chromium, str):
        peers["Chromium"] = chromium
    others: dict[str, Callable[[], Peer]] = {
        "in process": run.in_process,
        "PyTorch": partial(run.program, "pytorch_eager", threads=1),
    }
    for name, make in others.items():
        try:
            peers[name] = make()
        except PeerError as error:
            run.say(f"{name}: not run: {error}")
    rounds, calls = run.rounds(24), run.calls(_CALLS)
    spent = {name: machine.cpu_seconds(peer.processes()) for name, peer in peers.items()}
    sources = {name: partial(chained, peer, calls) for name, peer in peers.items()}
    found = run.measure("round trip", sources, rounds=rounds)
    for name, peer in peers.items():
        us = (machine.cpu_seconds(peer.processes()) - spent[name]) / (calls * (rounds + 1)) * 1e6
        run.measurements.append(Measurement("processor time per call", name, {}, "µs", [np.array([us])]))
    backend = run.options.backend
    for target, name, quantile in ((P1, backend, 0.5), (P2, backend, 0.99), (P3, "no spin", 0.5), (P4, "stream", 0.5)):
        if isinstance(chromium, str) or name in missing:
            yield Result(target, why=chromium if isinstance(chromium, str) else missing[name])
        else:
            yield compared(target, found, name, "Chromium", {"backend": backend}, quantile=quantile)
    for other in peers.keys() - {backend, "no spin", "stream", "Chromium", "in process", "PyTorch"}:
        if not isinstance(chromium, str):
            yield compared(P1, found, other, "Chromium", {"backend": other}, binds=False)


def _ours(run: Run) -> tuple[dict[str, Peer], dict[str, str]]:
    """Every backend over the fastest carrier, and two variations; and why one of them is missing."""
    makers: dict[str, Callable[[], Peer]] = {run.options.backend: run.ours}
    for other in ("onnxruntime", "openvino"):
        if other != run.options.backend:
            makers[other] = partial(run.ours, backend=other)
    makers["no spin"] = lambda: run.ours(**spin_option(0))
    makers["stream"] = partial(run.ours, carrier="stream")
    peers, missing = {}, {}
    for name, make in makers.items():
        try:
            peers[name] = make()
        except PeerError as error:
            missing[name] = str(error)
    return peers, missing


def _bursts(run: Run, chromium: Peer | str) -> Iterator[Result]:
    if isinstance(chromium, str):
        yield Result(P5, why=chromium)
        return
    sources = {
        "ours": partial(burst, run.ours(), _DISPATCHES, 3),
        "Chromium": partial(burst, chromium, _DISPATCHES, 3),
    }
    found = run.measure("one of 1000 dispatches", sources, rounds=run.rounds(12))
    yield compared(P5, found, "ours", "Chromium", {"backend": run.options.backend})


def _arrivals(run: Run, chromium: Peer | str) -> None:
    """Reported with P1: calls that come now and then."""
    peers: dict[str, Peer] = {"ours": run.ours()}
    if not isinstance(chromium, str):
        peers["Chromium"] = chromium
    for interval in (10.0, 16.7):
        sources = {name: partial(chained, peer, run.calls(40), interval) for name, peer in peers.items()}
        run.measure("round trip after idle", sources, rounds=run.rounds(8), parameters={"ms": interval})
