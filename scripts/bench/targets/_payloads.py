"""P6 to P9: tensors on their way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from scripts.bench.ipc import transport
from scripts.bench.peer import Peer, PeerError
from scripts.bench.run import Run, samples
from scripts.bench.statistics import Samples, ratio_estimate
from scripts.bench.targets._latency import compared
from scripts.bench.targets._target import Result, Target, figures

_KIB, _MIB = 1 << 10, 1 << 20

P6_SHARED = Target(name="P6", what="write + dispatch + read, tensors shared / Chromium", gate=0.7, aim=0.4)
P6_PRIVATE = Target(name="P6", what="write + dispatch + read, tensors private / Chromium", gate=1.0, aim=0.6)
P7 = Target(name="P7", what="(copies + kernel) / round trip, large", gate=0.7, aim=0.9, at_least=True)
P8 = Target(name="P8", what="copies / round trip without a kernel", gate=0.85, aim=0.95, at_least=True)
P9 = Target(name="P9", what="the carrier `inline` / a bare gRPC echo", gate=1.2, aim=1.1)


def payloads(run: Run) -> Iterator[Result]:
    """P6 to P9."""
    yield from _against_chromium(run)
    yield from _against_copies_and_kernel(run)
    yield from _against_copies(run)
    yield from _against_grpc(run)


def _against_chromium(run: Run) -> Iterator[Result]:
    targets = {"auto": P6_SHARED, "private": P6_PRIVATE}
    try:
        chromium = run.chromium()
    except PeerError as error:
        yield from (Result(target, why=str(error)) for target in targets.values())
        return
    for size in (64 * _KIB, _MIB, 4 * _MIB, 16 * _MIB):
        calls = max(3, min(60, 16 * _MIB // size))
        peers: dict[str, Peer] = {memory: run.ours(tensor_memory=memory) for memory in targets}
        peers["Chromium"] = chromium
        sums: dict[str, list[float]] = {}
        sources = {
            name: partial(_payload, peer, size, calls, sums.setdefault(name, [])) for name, peer in peers.items()
        }
        found = run.measure("write, dispatch, read", sources, rounds=run.rounds(10), parameters={"bytes": size})
        if len({tuple(found_sums) for found_sums in sums.values()}) != 1:
            yield Result(P6_SHARED, {"bytes": size}, why=f"the results differ: {sums}")
            continue
        for memory, target in targets.items():
            yield compared(target, found, memory, "Chromium", {"bytes": size, "tensor_memory": memory})


def _payload(peer: Peer, size: int, calls: int, sums: list[float]) -> Samples:
    answer = peer.ask("payload", size=size, calls=calls)
    sums.append(answer["checksum"])
    return samples(answer)


def _against_copies_and_kernel(run: Run) -> Iterator[Result]:
    try:
        kernel, copies = run.in_process(), run.program("memory_copies")
    except PeerError as error:
        yield Result(P7, why=str(error))
        return
    for size in (64 * _MIB, 256 * _MIB):
        sources: dict[str, Callable[[], Samples]] = {
            "ours": partial(_payload, run.ours(), size, 3, []),
            "copies": partial(_copies, copies, size, 3),
            "kernel": partial(_kernel, kernel, size, 3),
        }
        found = run.measure("write, dispatch, read", sources, rounds=run.rounds(8), parameters={"bytes": size})
        least = [np.array([np.median(a) + np.median(b)]) for a, b in zip(found["copies"], found["kernel"], strict=True)]
        ours = [np.array([np.median(samples)]) for samples in found["ours"]]
        text = figures("µs", ours=float(np.median(ours)), copies_and_kernel=float(np.median(least)))
        yield Result(P7, {"bytes": size}, ratio_estimate(least, ours), figures=text)


def _kernel(peer: Peer, size: int, calls: int) -> Samples:
    return samples(peer.ask("relu", elements=size // 4, calls=calls))


def _copies(peer: Peer, size: int, calls: int) -> Samples:
    return samples(peer.ask("copies", size=size, calls=calls))


def _echo(peer: Peer, size: int, calls: int) -> Samples:
    return samples(peer.ask("echo", size=size, calls=calls))


def _against_copies(run: Run) -> Iterator[Result]:
    copies = run.program("memory_copies")
    for size in (4 * _MIB, 16 * _MIB, 64 * _MIB):
        calls = max(3, 64 * _MIB // size)
        sources: dict[str, Callable[[], Samples]] = {
            "ours": partial(transport, run.ours(), size, calls),
            "copies": partial(_copies, copies, size, calls),
        }
        found = run.measure("write and read", sources, rounds=run.rounds(10), parameters={"bytes": size})
        values = {name: float(np.median(np.concatenate(rounds))) for name, rounds in found.items()}
        estimate = ratio_estimate(found["copies"], found["ours"])
        yield Result(P8, {"bytes": size}, estimate, figures=figures("µs", **values))


def _against_grpc(run: Run) -> Iterator[Result]:
    echo = run.program("grpc_echo")
    for size in (64 * _KIB, _MIB, 4 * _MIB):
        calls = max(4, min(60, 16 * _MIB // size))
        sources: dict[str, Callable[[], Samples]] = {
            "inline": partial(transport, run.ours(carrier="inline"), size, calls),
            "gRPC": partial(_echo, echo, size, calls),
        }
        found = run.measure("write and read inside messages", sources, rounds=run.rounds(8), parameters={"bytes": size})
        yield compared(P9, found, "inline", "gRPC", {"bytes": size})
