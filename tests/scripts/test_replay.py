"""Recordings of real processes, replayed against real processes."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf.message import DecodeError

from ipc.generated.webnn.v1 import recording_pb2, timeline_pb2
from ipc.recording import Reader
from renderer import ML, MLContext, MLGraphBuilder
from scripts.recording import recording
from scripts.replay import replay
from scripts.simulator import Simulator, simulator
from tests.scripts.test_demo import webnn_sim


@pytest.fixture(scope="module")
def host() -> Iterator[Simulator]:
    """One that replays; recordings are made with hosts of their own."""
    with simulator(["--backend", "reference"]) as running:
        yield running


def record(path: Path, carrier: str, use: Any) -> None:
    """Have `use` do something with a context of the reference backend, recorded."""
    with (
        recording(path) as descriptor,
        ML(backend="reference", recording=descriptor) as ml,
        ml.create_context(carrier=carrier) as context,
    ):
        use(context)


def double_and_read(context: MLContext) -> None:
    b = MLGraphBuilder(context)
    x = b.input("x", "float32", (2, 2))
    with (
        b.build({"y": b.add(b.mul(x, b.constant(np.full((2, 2), 2, np.float32))), x)}) as graph,
        context.create_tensor("float32", (2, 2), writable=True) as tx,
        context.create_tensor("float32", (2, 2), readable=True) as ty,
    ):
        for number in range(5):
            context.write_tensor(tx, np.full((2, 2), number, np.float32))
            context.dispatch(graph, {"x": tx}, {"y": ty})
            assert context.read_tensor(ty)[0, 0] == 3 * number


@pytest.mark.parametrize(
    "backend",
    [
        "reference",
        pytest.param("onnxruntime", marks=pytest.mark.campaign),
        pytest.param("openvino", marks=pytest.mark.campaign),
    ],
)
def test_the_digits_demo_replays_bit_for_bit(tmp_path: Path, backend: str) -> None:
    path = tmp_path / "digits"
    result = webnn_sim("demo", "--backend", backend, "--samples", "1", "--record", str(path), "--json")
    assert result.returncode == 0, result.stderr
    result = webnn_sim("replay", str(path), "--json")
    assert result.returncode == 0, result.stdout + result.stderr
    report = json.loads(result.stdout)
    assert report["identical"]
    assert report["exact"]
    assert report["results"] >= 300
    assert report["result_bytes"] == 40 * report["results"]


@pytest.mark.parametrize("carrier", ["inline", "stream", "ring"])
def test_every_carrier_replays_and_another_backend_agrees(tmp_path: Path, carrier: str, host: Simulator) -> None:
    path = tmp_path / "r"
    record(path, carrier, double_and_read)
    events = list(Reader(path))
    outcome = replay(events, host.socket)
    assert (outcome.differences, outcome.results, outcome.exact) == ([], 5, True)
    outcome = replay(events, host.socket, "onnxruntime")
    assert (outcome.differences, outcome.results, outcome.exact) == ([], 5, False)
    assert outcome.backend == "onnxruntime"


def _changed(path: Path, change: Any) -> list[recording_pb2.Recorded]:
    """The recording with every event as `change` leaves it."""
    events = list(Reader(path))
    for event in events:
        change(event)
    return events


def test_a_result_that_is_not_as_recorded_is_a_difference(tmp_path: Path, host: Simulator) -> None:
    path = tmp_path / "r"
    record(path, "ring", double_and_read)

    def change(event: recording_pb2.Recorded) -> None:
        if event.seen.is_result:
            event.seen.data = b"\1" + event.seen.data[1:]

    outcome = replay(_changed(path, change), host.socket)
    assert [difference.what for difference in outcome.differences] == ["result of a read"] * 5


@pytest.mark.parametrize("carrier", ["stream", "ring"])
def test_what_a_command_saw_is_what_it_sees_again(tmp_path: Path, carrier: str, host: Simulator) -> None:
    path = tmp_path / "r"
    record(path, carrier, double_and_read)

    def change(event: recording_pb2.Recorded) -> None:
        if event.HasField("seen") and not event.seen.is_result:
            event.seen.data = np.full((2, 2), 7, np.float32).tobytes()

    outcome = replay(_changed(path, change), host.socket)
    assert len(outcome.differences) == 5
    assert np.float32(21).tobytes().hex(" ", 4) in outcome.differences[0].replayed


def test_a_bad_message_is_refused_for_its_reason(tmp_path: Path, host: Simulator) -> None:
    path = tmp_path / "r"
    record(path, "stream", double_and_read)

    def change(event: recording_pb2.Recorded) -> None:
        if event.HasField("call_received"):
            batch = timeline_pb2.CommandBatch()
            with contextlib.suppress(DecodeError):  # of another call
                batch.ParseFromString(event.call_received.data)
            for command in batch.commands:
                if command.HasField("dispatch") and command.dispatch.binding:
                    command.dispatch.binding = 999
                    event.call_received.data = batch.SerializeToString()

    outcome = replay(_changed(path, change), host.socket)
    assert "unknown_binding" in outcome.differences[-1].replayed


def test_a_recording_holds_no_token_that_was_in_use(tmp_path: Path) -> None:
    path = tmp_path / "r"
    used: list[bytes] = []

    def use(context: MLContext) -> None:
        with context.create_tensor("float32", (2,), readable=True) as tensor:
            used.extend((tensor._handle.token, context._token, context._session.metadata[0][1]))
            context.read_tensor(tensor)

    record(path, "ring", use)
    data = path.read_bytes()
    assert b"token#0000000002" in data
    assert not any(token in data for token in used)


def test_a_process_that_is_not_recorded_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "r"
    with recording(path), ML(backend="reference") as ml, ml.create_context() as context:
        double_and_read(context)
    assert list(Reader(path)) == []
