"""A run of benchmarks: who takes part, in what order they are asked, and what has been found out so far."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from operator import mul
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np

from ipc.options import HostOptions
from scripts.bench import machine
from scripts.bench.chromium import ChromiumError
from scripts.bench.peer import ChromiumPeer, Ours, Peer, PeerError, PeerProcess
from scripts.bench.statistics import Rounds, Samples, quantile_estimate

T = TypeVar("T")
Say = Callable[[str], None]

QUANTILES = (0.5, 0.9, 0.99, 0.999)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the user chose.

    Attributes:
        carrier: None for the fastest there is.
        spin: how long waiting polls before it blocks, as `HostOptions` has it; 0 never polls, None is the default.
        rounds: None for each benchmark's own number.
        trace: descriptor that our processes append their traces to; 0 for none.
    """

    carrier: str | None = None
    backend: str = "onnxruntime"
    threads: int = 1
    spin: int | None = None
    sandbox: str = "strict"
    tensor_memory: str = "auto"
    rounds: int | None = None
    quick: bool = False
    chromium: Path | None = None
    trace: int = 0

    def to_json(self) -> dict[str, Any]:
        chosen = asdict(self)
        del chosen["trace"]
        return chosen | {"chromium": None if self.chromium is None else str(self.chromium)}


@dataclass(frozen=True, slots=True)
class Measurement:
    """Samples of one thing.

    Attributes:
        group: which plot it belongs to.
        name: which line in it.
        parameters: what tells it from others of that name: a size, a number of renderers.
        unit: of the samples.
        extra: more about it, by name.
    """

    group: str
    name: str
    parameters: Mapping[str, Any]
    unit: str
    rounds: Rounds
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """What identifies it from run to run."""
        given = ", ".join(f"{name} {value}" for name, value in self.parameters.items())
        return f"{self.group}: {self.name}" + (f" ({given})" if given else "")

    def to_json(self) -> dict[str, Any]:
        pooled = np.concatenate(self.rounds)
        return {
            "key": self.key,
            "group": self.group,
            "name": self.name,
            "parameters": dict(self.parameters),
            "unit": self.unit,
            "count": len(pooled),
            **{f"p{quantile * 100:g}": float(np.quantile(pooled, quantile)) for quantile in QUANTILES},
            "p50_interval": quantile_estimate(self.rounds).to_json()["interval"],
            "round_p50": [float(np.median(samples)) for samples in self.rounds],
            **self.extra,
        }


class Run:
    """Whoever takes part is started when first asked for, kept, and ended with the run."""

    def __init__(self, options: Options, say: Say) -> None:
        self.options = options
        self.say = say
        self.measurements: list[Measurement] = []
        self._kept: dict[object, Peer] = {}
        self._missing: dict[object, str] = {}
        self._processors = machine.processor_seconds()

    # --- Who takes part -----------------------------------------------------------------------------------------------

    def ours(self, *, carrier: str | None = None, fresh: bool = False, **overrides: Any) -> Ours:
        """Ourselves with the user's options but for `overrides`, which are those of a host.

        Args:
            carrier: instead of the user's choice.
            fresh: not one that was used before; it is the caller's to close.

        Raises:
            PeerError: it does not start, or has no such carrier.
        """
        options = {**self.host_options(), **overrides}
        carrier = carrier or self.options.carrier or self.fastest_carrier()
        if fresh:
            return Ours(options, carrier)
        return self._keep(("ours", carrier, *sorted(options.items(), key=str)), lambda: Ours(options, carrier))

    def host_options(self) -> dict[str, Any]:
        chosen = self.options
        options: dict[str, Any] = {
            "backend": chosen.backend,
            "threads": chosen.threads,
            "sandbox": chosen.sandbox,
            "tensor_memory": chosen.tensor_memory,
            "trace": chosen.trace,
        }
        return options if chosen.spin is None else {**options, **spin_option(chosen.spin)}

    def carriers(self) -> list[str]:
        """Those that work, the fastest first.

        Raises:
            PeerError: none does.
        """
        found, reason = [], ""
        for carrier in ("ring", "stream", "inline"):
            try:
                self.ours(carrier=carrier)
            except PeerError as error:
                reason = str(error)
            else:
                found.append(carrier)
        if not found:
            raise PeerError(reason)
        return found

    def fastest_carrier(self) -> str:
        return self.carriers()[0]

    def program(self, name: str, **configuration: Any) -> PeerProcess:
        """A peer that is a program, configured.

        Raises:
            PeerError: it does not run here.
        """

        def start() -> PeerProcess:
            process = PeerProcess(f"scripts.bench.peers.{name}")
            try:
                if configuration:
                    process.ask("configure", **configuration)
            except PeerError:
                process.close()
                raise
            return process

        return self._keep((name, *configuration.items()), start)

    def in_process(self, backend: str | None = None, threads: int | None = None, **configuration: bool) -> PeerProcess:
        """The backend in the process of its caller.

        Args:
            configuration: what only this peer knows.

        Raises:
            PeerError: there is no such peer.
        """
        backend = backend or self.options.backend
        if backend == "reference":
            raise PeerError("the reference backend has no runtime of its own to compare with")
        return self.program(f"{backend}_in_process", threads=threads or self.options.threads, **configuration)

    def chromium(self, *, fresh: bool = False) -> ChromiumPeer:
        """A real Chromium with WebNN.

        Raises:
            PeerError: there is none, or it has no WebNN.
        """
        path = self.options.chromium
        if path is None:
            raise PeerError("no Chromium was given: --chromium PATH or $CHROMIUM")

        def start() -> ChromiumPeer:
            try:
                peer = ChromiumPeer(path)
            except ChromiumError as error:
                raise PeerError(str(error)) from error
            try:
                peer.browser.run("await sim.context(); return true")
            except Exception as error:
                peer.close()
                raise PeerError(f"WebNN does not work in {path}: {error}") from error
            return peer

        return start() if fresh else self._keep("chromium", start)

    def _keep(self, key: object, start: Callable[[], T]) -> T:
        if key in self._missing:
            raise PeerError(self._missing[key])
        if key not in self._kept:
            try:
                self._kept[key] = start()  # type: ignore[assignment]  # T is a Peer
            except PeerError as error:
                self._missing[key] = str(error)
                raise
        return self._kept[key]  # type: ignore[return-value]

    def let_go(self) -> None:
        """End everybody who was kept; who is asked for again starts anew."""
        kept, self._kept = self._kept, {}
        for peer in kept.values():
            peer.close()

    # --- What is found out --------------------------------------------------------------------------------------------

    def rounds(self, usual: int) -> int:
        """How many rounds: the user's number, or `usual`, or fewer when it must be quick."""
        if self.options.rounds is not None:
            return self.options.rounds
        return max(3, usual // 4) if self.options.quick else usual

    def calls(self, usual: int) -> int:
        """How many calls in each round."""
        return max(3, usual // 4) if self.options.quick else usual

    def measure(
        self,
        group: str,
        sources: Mapping[str, Callable[[], Samples]],
        *,
        rounds: int,
        parameters: Mapping[str, Any] | None = None,
        unit: str = "µs",
    ) -> dict[str, Rounds]:
        """Interleaved rounds of all sources, after one that warms up; kept as measurements.

        The order changes from round to round: nobody always comes after the same neighbour.
        """
        found = interleaved(sources, rounds, lambda number: self._progress(group, parameters, number, rounds))
        for name, samples in found.items():
            self.measurements.append(Measurement(group, name, parameters or {}, unit, samples))
        return found

    def _progress(self, group: str, parameters: Mapping[str, Any] | None, number: int, rounds: int) -> None:
        given = ", ".join(f"{name} {value}" for name, value in (parameters or {}).items())
        self.say(f"{group}{f' ({given})' if given else ''}: round {number} of {rounds}")

    def report(self, **more: Any) -> dict[str, Any]:
        """Everything, JSON-ready."""
        busy, stolen = machine.busy_seconds(self._processors)
        return {
            "format": 1,
            "environment": {**machine.environment(), "busy_seconds": round(busy), "stolen_seconds": round(stolen)},
            "options": self.options.to_json(),
            "measurements": [measurement.to_json() for measurement in self.measurements],
            **more,
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.let_go()


def interleaved(
    sources: Mapping[str, Callable[[], Samples]], rounds: int, progress: Callable[[int], None] = lambda _: None
) -> dict[str, Rounds]:
    """One sample array of every source per round, in an order that rotates; a first round is thrown away."""
    found: dict[str, list[Samples]] = {name: [] for name in sources}
    names = list(sources)
    for source in sources.values():
        source()
    for number in range(rounds):
        progress(number + 1)
        shift = number % max(1, len(names))
        for name in [*names[shift:], *names[:shift]]:
            found[name].append(sources[name]())
    return dict(found)


def samples(answer: Mapping[str, Any]) -> Samples:
    """The times in what a peer answered."""
    return np.asarray(answer["us"], np.float64)


def spin_option(value: int) -> dict[str, Any]:
    """The host's option for it.

    Raises:
        PeerError: this version has none.
    """
    names = [option.name for option in fields(HostOptions) if option.name.startswith("spin")]
    if not names:
        raise PeerError("no carrier of this version spins")
    return {names[0]: value}


def sizes(first: int, last: int) -> Sequence[int]:
    """Powers of four from `first` to `last` bytes."""
    powers = itertools.accumulate(itertools.repeat(4), mul, initial=first)
    return list(itertools.takewhile(lambda size: size <= last, powers))
