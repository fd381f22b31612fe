"""P14 and P16 to P19: beginnings, ends, and bad company."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import numpy as np

from scripts.bench.crowd import Crowd, crowd
from scripts.bench.lifecycle import build_sizes, cold_sizes, cold_start, crashes
from scripts.bench.peer import PeerError
from scripts.bench.run import Measurement, Run, samples
from scripts.bench.statistics import Rounds, quantile_estimate, ratio_estimate
from scripts.bench.targets._latency import compared
from scripts.bench.targets._target import Result, Target, figures

P14 = Target(name="P14", what="createTensor of 4 MiB, the first 32 sizes, cold / Chromium", gate=0.5, aim=0.1)
P16 = Target(name="P16", what="µs per operator of build(), at the large end / at the small end", gate=1.3, aim=1.1)
P17 = Target(name="P17", what="nine renderers' p99.9 beside large graphs / without", gate=3.0, aim=1.5)
P18 = Target(name="P18", what="cold start to the first result / Chromium's", gate=2.0, aim=1.0)
P19 = Target(name="P19", what="SIGKILL of the GPU process to the next right result, seconds", gate=0.5, aim=0.1)

_RENDERERS = 9
_LARGEST_GRAPH = 16_000  # operators; just below the quota


def lifecycle(run: Run) -> Iterator[Result]:
    """P14 and P16 to P19."""
    yield from _cold_tensors(run)
    yield from _build_slopes(run)
    yield from _bad_company(run)
    yield from _cold_starts(run)
    seconds = [samples / 1e3 for samples in crashes(run)]
    run.measurements.append(Measurement("crash", "SIGKILL to the next right result", {}, "s", seconds))
    yield Result(P19, {"backend": run.options.backend}, quantile_estimate(seconds))


def _cold_tensors(run: Run) -> Iterator[Result]:
    found: dict[str, Rounds] = {}
    try:
        ours, theirs = [], []
        for number in range(run.rounds(5)):
            run.say(f"tensors in new processes: round {number + 1}")
            with contextlib.closing(run.ours(fresh=True)) as peer:
                ours.append(samples(peer.ask("create_tensors", sizes=cold_sizes())))
            with contextlib.closing(run.chromium(fresh=True)) as browser:
                theirs.append(samples(browser.ask("create_tensors", sizes=cold_sizes())))
    except PeerError as error:
        yield Result(P14, why=str(error))
        return
    found = {"ours": ours, "Chromium": theirs}
    for name, rounds in found.items():
        run.measurements.append(Measurement("tensor", f"create, cold: {name}", {"bytes": 4 << 20}, "µs", rounds))
    yield compared(P14, found, "ours", "Chromium")


def _build_slopes(run: Run) -> Iterator[Result]:
    for backend in ("reference", "onnxruntime"):
        found = build_sizes(run, backend)
        sizes = sorted(found)
        small, large = (_slopes(found, *ends) for ends in (sizes[:2], sizes[-2:]))
        text = figures(
            "µs per operator", small_end=float(np.median(small)), large_end=float(np.median(large))
        )  # fmt: skip
        yield Result(P16, {"backend": backend, "largest": sizes[-1]}, ratio_estimate(large, small), figures=text)


def _slopes(found: dict[int, Rounds], fewer: int, more: int) -> Rounds:
    return [
        np.array([(np.median(high) - np.median(low)) * 1e3 / (more - fewer)])
        for low, high in zip(found[fewer], found[more], strict=True)
    ]


def _bad_company(run: Run) -> Iterator[Result]:
    """Nine call every 20 ms; in every other round a tenth sends the largest allowed graphs as fast as it can."""
    calls, interval = run.calls(250), 20.0
    alone, beside = [], []
    carrier = run.options.carrier or run.fastest_carrier()
    with crowd(run.host_options(), carrier, _RENDERERS + 1) as members:
        tenth, nine = members.members[0], Crowd(members.members[1:])
        nine.chain(20, interval)
        for number in range(run.rounds(8)):
            run.say(f"nine renderers and a tenth: round {number + 1}")
            alone.append(nine.chain(calls, interval))
            tenth.begin("build_large_graphs", operators=_LARGEST_GRAPH, seconds=calls * interval / 1e3)
            beside.append(nine.chain(calls, interval))
            tenth.finish()
    found: dict[str, Rounds] = {"ours": beside, "alone": alone}
    for name, rounds in found.items():
        run.measurements.append(Measurement("nine renderers every 20 ms", name, {}, "µs", rounds))
    yield compared(P17, found, "ours", "alone", quantile=0.999)


def _cold_starts(run: Run) -> Iterator[Result]:
    ours, theirs = [], []
    run.fastest_carrier()
    try:
        for number in range(run.rounds(6)):
            run.say(f"cold starts: round {number + 1}")
            ours.append(np.array([cold_start(run)]))
            with contextlib.closing(run.chromium(fresh=True)) as browser:
                browser.ask("chain", calls=1, interval_ms=0)
                theirs.append(np.array([(time.perf_counter() - browser.browser.started) * 1e3]))
    except PeerError as error:
        yield Result(P18, why=str(error))
        return
    found: dict[str, Rounds] = {"ours": ours, "Chromium": theirs}
    for name, rounds in found.items():
        run.measurements.append(Measurement("start", f"to the first result: {name}", {}, "ms", rounds))
    yield compared(P18, found, "ours", "Chromium", unit="ms")
