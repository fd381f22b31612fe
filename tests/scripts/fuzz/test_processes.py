"""The modes that start processes: clean on the product, and they find what was planted in a GPU process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from scripts.fuzz.graph_mode import GraphMode
from scripts.fuzz.known import reason_for
from scripts.fuzz.mode import Mode, ModeOptions, Problem, random_of
from scripts.fuzz.wire.attacks import WireCase
from scripts.fuzz.wire.mode import WireMode


@pytest.fixture(scope="module")
def graph_mode() -> Iterator[GraphMode]:
    with closing(GraphMode(ModeOptions())) as mode:
        yield mode


@pytest.fixture(scope="module")
def wire_mode() -> Iterator[WireMode]:
    with closing(WireMode(ModeOptions())) as mode:
        yield mode


def _problems(mode: Mode, executions: int, seed: int = 1) -> list[Problem]:
    found = []
    for number in range(executions):
        problem = mode.run(mode.generate(random_of(mode.name, seed, number))).problem
        if problem is not None and reason_for(problem) is None:
            found.append(problem)
    return found


def test_graphs_go_through_both_processes_unchanged_and_leave_nothing(graph_mode: GraphMode) -> None:
    assert graph_mode.rest() is None
    assert _problems(graph_mode, 150) == []
    assert graph_mode.rest() is None


def test_attacks_have_one_of_the_verdicts_and_disturb_nobody(wire_mode: WireMode) -> None:
    assert wire_mode.rest() is None
    assert _problems(wire_mode, 120) == []
    assert wire_mode.rest() is None


# Asks right after the packet was sent, so that a busy machine may answer before it has looked; tests/boundary holds the
# same verdicts by waiting for them.
@pytest.mark.campaign
@pytest.mark.parametrize("handle", ["none", "two", "hole", "unsealed", "device", "socket", "short"])
def test_a_region_with_a_wrong_descriptor_is_a_bad_message(wire_mode: WireMode, handle: str) -> None:
    from ipc.generated.webnn.v1 import session_pb2

    offered = session_pb2.RegionOffered(token=bytes(range(16)), size=4096)
    packet = session_pb2.SessionMessage(region_offered=offered).SerializeToString()
    verdict = wire_mode.run(WireCase("socket", (packet,), handle))
    assert (verdict.outcome, verdict.problem) == ("bad_message", None)


def test_a_packet_without_bytes_ends_the_session(wire_mode: WireMode) -> None:
    assert wire_mode.run(WireCase("socket", (b"",))).problem is None


def test_a_wrong_kernel_is_found() -> None:
    options = ModeOptions(profile={"hostile": 0.0}, preload=("tests.scripts.fuzz.planted_kernel",))
    with closing(GraphMode(options)) as mode:
        found = _problems(mode, 250)
    assert "results: reverse" in {problem.signature for problem in found}


def test_a_validation_that_was_taken_out_is_found() -> None:
    options = ModeOptions(preload=("tests.scripts.fuzz.planted_validation",))
    with closing(GraphMode(options)) as mode:
        for number in range(400):
            case = mode.generate(random_of("graph", 1, number))
            if case.rule and (problem := mode.run(case).problem) is not None:
                assert problem.kind in ("verdict", "crash")
                return
    raise AssertionError("nothing was found")
