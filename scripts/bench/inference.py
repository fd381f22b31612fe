"""`webnn-sim bench models`: whole networks, built and run, with the memory they take."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial

import numpy as np

from scripts.bench import machine
from scripts.bench.models import MODELS
from scripts.bench.peer import Peer, PeerError
from scripts.bench.run import Measurement, Run, samples
from scripts.bench.statistics import Samples

TOLERANCE = 1e-3
"""Relative, of checksums: runtimes add in different orders."""

seeds = itertools.count(1)
"""Of weights that nobody in this run has seen before."""


def measure(run: Run) -> None:
    """Every model: building, running, memory."""
    for name in MODELS:
        built = []
        for _ in range(run.rounds(4)):
            peer = run.ours(fresh=True)
            try:
                run.say(f"{name}: build in a new GPU process")
                built.append(np.array([peer.ask("build", model=name, seed=next(seeds))["ms"]]))
                samples(peer.ask("run", model=name, calls=run.calls(10)))
                memory(run, peer, name)
            finally:
                peer.close()
        parameters = {"model": name}
        run.measurements.append(Measurement("build and first result", run.options.backend, parameters, "ms", built))
        peer = run.ours()
        peer.ask("build", model=name, seed=0)
        source = ModelRuns({run.options.backend: peer}, name, run.calls(12))
        run.measure("model", source.sources(), rounds=run.rounds(8), parameters=parameters)


def memory(run: Run, peer: Peer, model: str) -> None:
    """Peak and proportional memory of each process of a peer."""
    for pid, role in peer.processes().items():
        for group, value in (
            ("peak memory", machine.peak_memory(pid)),
            ("proportional memory", machine.proportional_memory(pid)),
        ):
            if value is not None:
                rounds = [np.array([value / 2**20])]
                run.measurements.append(Measurement(group, role, {"model": model}, "MiB", rounds))


class ModelRuns:
    """Sources that run a model on several peers, and compare the checksums of what they compute."""

    def __init__(self, peers: dict[str, Peer], model: str, calls: int) -> None:
        """The model is built on each of them already, from the same weights, and has not run yet."""
        self._peers = peers
        self._model = model
        self._calls = calls
        self._sums: dict[str, list[float]] = {name: [] for name in peers}

    def sources(self) -> dict[str, Callable[[], Samples]]:
        return {name: partial(self._run, name) for name in self._peers}

    def _run(self, name: str) -> Samples:
        answer = self._peers[name].ask("run", model=self._model, calls=self._calls)
        self._sums[name].append(answer["checksum"])
        return samples(answer)

    def check(self) -> None:
        """Raise PeerError unless all have computed the same in every round."""
        for name, found in self._sums.items():
            for first, second in zip(next(iter(self._sums.values())), found, strict=True):
                if abs(first - second) > TOLERANCE * max(abs(first), 1.0):
                    raise PeerError(f"{self._model}: {name} computed {second}, and {next(iter(self._sums))} {first}")
