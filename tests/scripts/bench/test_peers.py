"""Peers and ourselves compute the same from the same weights, so that what is compared is the time alone."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.bench.ipc import burst, chained
from scripts.bench.peer import ChromiumPeer, Ours, PeerError, PeerProcess
from scripts.bench.targets._networks import build_in_browser

_SMALL_MODEL = "nsnet2"


@pytest.fixture(scope="module")
def ours() -> Iterator[Ours]:
    with contextlib.closing(Ours({"backend": "onnxruntime"}, None)) as peer:
        yield peer


@pytest.fixture(scope="module", params=["onnxruntime", "openvino"])
def in_process(request: pytest.FixtureRequest) -> Iterator[PeerProcess]:
    with contextlib.closing(PeerProcess(f"scripts.bench.peers.{request.param}_in_process")) as peer:
        peer.ask("configure", threads=1)
        yield peer


@pytest.fixture(scope="module")
def chromium() -> Iterator[ChromiumPeer]:
    path = os.environ.get("CHROMIUM")
    if not path:
        pytest.skip("$CHROMIUM names no executable")
    with contextlib.closing(ChromiumPeer(Path(path))) as peer:
        yield peer


def _same(first: dict[str, Any], second: dict[str, Any]) -> bool:
    return bool(first["checksum"] == pytest.approx(second["checksum"], rel=1e-3, abs=1e-3))


def test_a_chain_proves_that_every_call_was_computed(ours: Ours, in_process: PeerProcess) -> None:
    assert len(chained(ours, 7)) == len(chained(in_process, 7)) == 7
    assert len(burst(ours, 3, 5)) == 5


def test_a_model_in_process_computes_what_ours_does(ours: Ours, in_process: PeerProcess) -> None:
    first = ours.ask("build", model=_SMALL_MODEL, seed=3), ours.ask("run", model=_SMALL_MODEL, calls=3)
    second = in_process.ask("build", model=_SMALL_MODEL, seed=3), in_process.ask("run", model=_SMALL_MODEL, calls=3)
    assert _same(first[0], second[0])
    assert _same(first[1], second[1])


def test_other_weights_and_other_inputs_make_other_results(in_process: PeerProcess) -> None:
    sums = [in_process.ask("build", model=_SMALL_MODEL, seed=seed)["checksum"] for seed in (3, 4)]
    sums += [in_process.ask("run", model=_SMALL_MODEL, calls=1)["checksum"] for _ in range(2)]
    assert len(set(sums)) == 4


def test_a_browser_computes_what_ours_does(ours: Ours, chromium: ChromiumPeer) -> None:
    assert len(chained(chromium, 7)) == 7
    assert len(burst(chromium, 3, 5)) == 5
    assert _same(ours.ask("build", model=_SMALL_MODEL, seed=5), build_in_browser(chromium, _SMALL_MODEL, 5))
    runs = ours.ask("run", model=_SMALL_MODEL, calls=3), chromium.ask("run", name=_SMALL_MODEL, calls=3)
    assert _same(*runs)
    assert (
        ours.ask("payload", size=4096, calls=4)["checksum"] == chromium.ask("payload", size=4096, calls=4)["checksum"]
    )


def test_the_processes_of_ours_are_named(ours: Ours) -> None:
    roles = set(ours.processes().values())
    assert {"renderer", "host", "launcher", "GPU process"} <= roles


def test_a_crash_ends_in_a_right_result_of_a_new_process() -> None:
    with contextlib.closing(Ours({"backend": "reference"}, None)) as peer:
        answer = peer.ask("crash")
    assert answer["is_new"]
    assert answer["value"] == 3


@pytest.mark.parametrize(("name", "call"), [("memory_copies", "copies"), ("grpc_echo", "echo")])
def test_what_only_moves_bytes_moves_them(name: str, call: str) -> None:
    with contextlib.closing(PeerProcess(f"scripts.bench.peers.{name}")) as peer:
        us = peer.ask(call, size=100_000, calls=3)["us"]
    assert len(us) == 3
    assert min(us) > 0


def test_a_peer_that_can_not_do_it_says_why() -> None:
    with contextlib.closing(PeerProcess("scripts.bench.peers.memory_copies")) as peer:
        with pytest.raises(PeerError, match="memory_copies: KeyError: 'dance'"):
            peer.ask("dance")
        assert len(peer.ask("copies", size=8, calls=1)["us"]) == 1
    with contextlib.closing(PeerProcess("scripts.bench.peers.no_such_peer")) as peer:  # noqa: SIM117
        with pytest.raises(PeerError, match="no_such_peer"):
            peer.ask("dance")
