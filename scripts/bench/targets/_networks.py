"""P10 to P13, P15 and P20: whole networks."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from renderer import ML, MLGraphBuilder
from scripts.bench import machine
from scripts.bench.inference import ModelRuns, memory, seeds
from scripts.bench.models import MODELS
from scripts.bench.peer import ChromiumPeer, Peer, PeerError
from scripts.bench.recipe import recipe, recorded
from scripts.bench.run import Run
from scripts.bench.statistics import Estimate, Rounds, Samples
from scripts.bench.targets._latency import compared
from scripts.bench.targets._target import Result, Target, figures
from scripts.bench.weights import ENCODER_VOCABULARY

IN_BROWSER = ("mobilenet_v2", "nsnet2", "encoder")

P10 = Target(name="P10", what="end to end / the backend in process", gate=1.05, aim=1.02)
P11 = {
    model: Target(name="P11", what="end to end / Chromium", gate=gate, aim=aim)
    for model, gate, aim in zip(IN_BROWSER, (0.85, 0.2, 0.9), (0.6, 0.1, 0.5), strict=True)
}
P12 = Target(name="P12", what="build and first result, new weights / Chromium", gate=1.0, aim=0.7)
P13 = Target(name="P13", what="build and first result, new weights / in process", gate=1.3, aim=1.15)
P15 = Target(name="P15", what="peak memory of the GPU process / Chromium's", gate=1.0, aim=0.7)
P20 = {
    what: Target(name="P20", what=f"price of the {what}: on / off", gate=None, aim=1.02)
    for what in ("sandbox", "guards")
}

_BACKENDS = ("onnxruntime", "openvino")


def networks(run: Run) -> Iterator[Result]:
    """P10 to P13 and P20, for both backends and one and two threads."""
    for backend in _BACKENDS:
        for threads in (1,) if run.options.quick else (1, 2):
            for model in MODELS:
                binds = backend == run.options.backend
                yield from _running(run, backend, threads, model, binds)
        for model in MODELS:
            yield from _building(run, backend, model, backend == run.options.backend)
    for model in MODELS:
        yield from _prices(run, model)


def peak_memory(run: Run) -> Iterator[Result]:
    """P15: processes that have done nothing else."""
    for model in IN_BROWSER:
        with contextlib.closing(run.ours(fresh=True)) as ours:
            ours.ask("build", model=model, seed=0)
            ours.ask("run", model=model, calls=20)
            own = _gpu_process_peak(ours, "GPU process")
            memory(run, ours, model)
        try:
            with contextlib.closing(run.chromium(fresh=True)) as chromium:
                build_in_browser(chromium, model, 0)
                chromium.ask("run", name=model, calls=20)
                theirs = _gpu_process_peak(chromium, "gpu-process")
                memory(run, chromium, model)
        except PeerError as error:
            yield Result(P15, {"model": model}, why=str(error))
            continue
        ratio = own / theirs
        text = figures("MiB", ours=own / 2**20, Chromium=theirs / 2**20)
        yield Result(P15, {"model": model}, Estimate(ratio, ratio, ratio), figures=text)


def build_in_browser(peer: ChromiumPeer, model: str, seed: int) -> dict[str, float]:
    """The call `build` of our own peers in a page: what is built is derived from what we record."""
    definition = MODELS[model]
    # A context is needed to record; the reference backend supports everything, and nothing is built on it.
    with ML(backend="reference") as ml, ml.create_context() as context:
        builder = MLGraphBuilder(context)
        outputs = definition.outputs(builder, definition.weights(seed))
        made, data = recipe(*recorded(builder, outputs))
    fresh = definition.fresh_input()
    description = {
        "model": model,
        "path": peer.browser.offer("input", fresh.array.tobytes()),
        "tokens": fresh.array.dtype == np.int32,
        "vocabulary": ENCODER_VOCABULARY,
    }
    path = peer.browser.offer("weights", data)
    answer: dict[str, float] = peer.ask("build", recipe=made, path=path, fresh=description)
    return answer


def _gpu_process_peak(peer: Peer, role: str) -> float:
    pid = next(pid for pid, it in peer.processes().items() if it == role)
    peak = machine.peak_memory(pid)
    if peak is None:
        raise PeerError(f"the peak memory of process {pid} can't be read")
    return peak


def _running(run: Run, backend: str, threads: int, model: str, binds: bool) -> Iterator[Result]:
    """P10 and P11."""
    # The gather's indices must be private, so that this model is what private memory costs.
    peers: dict[str, Peer] = {"ours": run.ours(backend=backend, threads=threads)}
    peers["in process"] = run.in_process(backend, threads)
    if backend == "onnxruntime" and threads > 1:  # which is better depends on how busy the machine is
        peers["in process, threads asleep"] = run.in_process(backend, threads, spin=False)
    parameters = {"model": model, "backend": backend, "threads": threads}
    missing = ""
    for peer in peers.values():
        peer.ask("build", model=model, seed=0)
    if model in IN_BROWSER:
        try:
            browser = run.chromium()
            build_in_browser(browser, model, 0)
            peers["Chromium"] = browser
        except PeerError as error:
            missing = str(error)
    runs = ModelRuns(peers, model, run.calls(8))
    found = run.measure("model", runs.sources(), rounds=run.rounds(8), parameters=parameters)
    try:
        runs.check()
    except PeerError as error:
        missing = str(error)
        yield Result(P10, parameters, why=missing, binds=binds)
    else:
        best = min((name for name in found if name.startswith("in process")), key=lambda name: _p50(found[name]))
        yield compared(P10, found, "ours", best, parameters, binds=binds)
    if model in IN_BROWSER:
        if missing:
            yield Result(P11[model], parameters, why=missing, binds=binds)
        else:
            yield compared(P11[model], found, "ours", "Chromium", parameters, binds=binds)


def _p50(rounds: Rounds) -> float:
    return float(np.median(np.concatenate(rounds)))


def _building(run: Run, backend: str, model: str, binds: bool) -> Iterator[Result]:
    """P12 and P13."""
    parameters = {"model": model, "backend": backend}
    seed = [0]

    def build(peer: Peer) -> Samples:
        return np.array([peer.ask("build", model=model, seed=seed[0])["ms"]])

    def build_there(peer: ChromiumPeer) -> Samples:
        return np.array([build_in_browser(peer, model, seed[0])["ms"]])

    def new_weights() -> Samples:
        seed[0] = next(seeds)
        return np.zeros(1)

    sources: dict[str, Callable[[], Samples]] = {
        "ours": partial(build, run.ours(backend=backend)),
        "in process": partial(build, run.in_process(backend)),
    }
    missing = ""
    if model in IN_BROWSER:
        try:
            sources["Chromium"] = partial(build_there, run.chromium())
        except PeerError as error:
            missing = str(error)
    # Each has its own weights in each round: nobody's are known from another's turn.
    sources = {name: partial(_after, new_weights, source) for name, source in sources.items()}
    found = run.measure("build and first result", sources, rounds=run.rounds(6), parameters=parameters, unit="ms")
    yield compared(P13, found, "ours", "in process", parameters, unit="ms", binds=binds)
    if model in IN_BROWSER:
        if missing:
            yield Result(P12, parameters, why=missing, binds=binds)
        else:
            yield compared(P12, found, "ours", "Chromium", parameters, unit="ms", binds=binds)


def _after(before: Callable[[], object], source: Callable[[], Samples]) -> Samples:
    before()
    return source()


def _prices(run: Run, model: str) -> Iterator[Result]:
    """P20: each switched off alone."""
    peers: dict[str, Peer] = {
        "ours": run.ours(),
        "without sandbox": run.ours(sandbox="off"),
        "without guards": run.ours(guards="off"),
    }
    for peer in peers.values():
        peer.ask("build", model=model, seed=0)
    runs = ModelRuns(peers, model, run.calls(8))
    parameters = {"model": model}
    found = run.measure("price of safety", runs.sources(), rounds=run.rounds(8), parameters=parameters)
    for what, target in P20.items():
        yield compared(target, found, "ours", f"without {what}", parameters, binds=False)
