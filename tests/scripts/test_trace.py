"""A trace of the demo is one that viewers load, from all processes, and its stages add up to the round trip."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer.main

from ipc import trace
from ipc.processes import python_command, python_environment
from renderer import ML, MLGraphBuilder
from scripts.cli._app import app
from scripts.trace import STAGES, Collector, chrome_trace, round_trips
from tests.scripts.commands import webnn_sim


@pytest.fixture(scope="module")
def traced_demo(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = tmp_path_factory.mktemp("trace") / "demo.json"
    result = webnn_sim("demo", "--json", "--samples", "400", "--trace", str(path))
    assert result.returncode == 0, result.stderr
    recorded: dict[str, Any] = json.loads(path.read_text())
    return recorded


def test_a_trace_of_the_demo_is_in_the_trace_event_format(traced_demo: dict[str, Any]) -> None:
    events = traced_demo["traceEvents"]
    assert {event["ph"] for event in events} == {"X", "M", "s", "t", "f"}
    for event in events:
        assert isinstance(event["name"], str)
        assert isinstance(event["pid"], int)
        assert isinstance(event["tid"], int)
        assert event["ts"] >= 0
        if event["ph"] == "X":
            assert event["dur"] >= 0
        if event["ph"] in "stf":
            assert isinstance(event["id"], str)
    assert traced_demo["otherData"]["refused records"] == 0


def test_a_trace_of_the_demo_has_all_processes_by_name(traced_demo: dict[str, Any]) -> None:
    names = {event["args"]["name"] for event in traced_demo["traceEvents"] if event["name"] == "process_name"}
    assert names == {"renderer", "host", "launcher", "GPU process"}


def test_arrows_lead_from_each_call_to_its_execution_and_completion(traced_demo: dict[str, Any]) -> None:
    slices = [event for event in traced_demo["traceEvents"] if event["ph"] == "X"]
    arrows: dict[str, dict[str, Any]] = {}
    for event in traced_demo["traceEvents"]:
        if event["ph"] in "stf":
            arrows.setdefault(event["id"], {})[event["ph"]] = event
    assert len(arrows) >= 1200  # of 400 samples, three commands each
    for arrow in arrows.values():
        assert arrow["s"]["ts"] <= arrow["t"]["ts"] <= arrow["f"]["ts"]
        assert arrow["s"]["pid"] == arrow["f"]["pid"] != arrow["t"]["pid"]
    begins = {(event["pid"], event["tid"], event["ts"]) for event in slices}
    assert all((end["pid"], end["tid"], end["ts"]) in begins for arrow in arrows.values() for end in arrow.values())


def test_the_stages_add_up_to_the_round_trip() -> None:
    measured, stages = [], []
    with contextlib.closing(Collector()) as collector:
        trace.start(collector.descriptor, trace.Role.RENDERER)
        try:
            with ML(backend="reference", trace=collector.descriptor) as ml, ml.create_context() as context:
                builder = MLGraphBuilder(context)
                graph = builder.build({"y": builder.relu(builder.input("x", "float32", (64,)))})
                x = context.create_tensor("float32", (64,), writable=True)
                y = context.create_tensor("float32", (64,), readable=True)
                data = np.ones(64, np.float32)
                for _ in range(800):
                    start = time.perf_counter_ns()
                    context.write_tensor(x, data)
                    context.dispatch(graph, {"x": x}, {"y": y})
                    context.read_tensor(y)
                    measured.append((time.perf_counter_ns() - start) / 1e3)
        finally:
            trace.stop()
        stages = round_trips(collector.collect().spans)
    assert len(stages) == len(measured)
    sums = [sum(trip[stage] for stage in STAGES) for trip in stages]
    assert np.median(sums) == pytest.approx(np.median(measured), rel=0.05)
    assert np.median([trip["run"] for trip in stages]) > 0


def test_records_that_can_not_be_are_counted_and_left_out() -> None:
    good = trace.Span(trace.Role.RENDERER, trace.Stage.RUN, 1, 1, 1, 1, 7, 100, 200)
    bad = [
        good._replace(role=99),
        good._replace(stage=99),
        good._replace(ended=50),
        good._replace(ended=1 << 60),
        good._replace(first=2, last=1),
    ]
    with contextlib.closing(Collector()) as collector:
        os.write(collector.descriptor, b"".join(trace.RECORD.pack(*span) for span in [*bad, good]) + b"half a rec")
        found = collector.collect()
    assert list(found.spans) == [good]
    assert found.refused == len(bad) + 1
    assert json.loads(json.dumps(chrome_trace(found)))["otherData"]["refused records"] == len(bad) + 1


def test_a_span_of_very_many_commands_makes_few_arrows() -> None:
    everything = trace.Span(trace.Role.RENDERER, trace.Stage.ENCODE, 1, 1, 1, 2**32 - 1, 7, 100, 200)
    stages = (trace.Stage.ENCODE, trace.Stage.EXECUTE, trace.Stage.RECEIVE)
    with contextlib.closing(Collector()) as collector:
        os.write(collector.descriptor, b"".join(trace.RECORD.pack(*everything._replace(stage=it)) for it in stages))
        assert len(chrome_trace(collector.collect())["traceEvents"]) < 20_000


def test_who_is_given_the_descriptor_can_neither_read_nor_shorten_what_others_wrote() -> None:
    with contextlib.closing(Collector()) as collector:
        os.write(collector.descriptor, b"others")
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.pread(collector.descriptor, 6, 0)
        with pytest.raises(PermissionError):
            os.ftruncate(collector.descriptor, 0)
        os.pwrite(collector.descriptor, b"mine", 0)  # appended, wherever it was meant for
        reader = os.open(f"/proc/self/fd/{collector.descriptor}", os.O_RDONLY)
        try:
            assert os.read(reader, 100) == b"othersmine"
        finally:
            os.close(reader)


def test_a_process_that_is_not_traced_records_nothing_and_uses_the_plain_parts() -> None:
    assert trace.recorder is None
    with ML(backend="reference") as ml, ml.create_context() as context:
        assert type(context).__module__ == "renderer.context"
        assert type(context).__mro__[1].__name__ == "ContextCore"


def test_the_trace_file_that_can_not_be_written_is_told_before_anything_runs(tmp_path: Path) -> None:
    result = webnn_sim("demo", "--trace", str(tmp_path / "no" / "such" / "folder"))
    assert result.returncode == 2
    assert "--trace" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    "words", ["demo", "run", "serve", "replay", "bench ipc", "bench models", "bench lifecycle", "bench peers"]
)
def test_whatever_starts_a_simulator_to_work_with_can_trace_it(words: str) -> None:
    command: Any = typer.main.get_command(app)
    for word in words.split():
        command = command.commands[word]
    assert "trace" in {parameter.name for parameter in command.params}


def test_what_was_served_is_traced_and_the_trace_is_written_in_the_end(tmp_path: Path) -> None:
    socket, path = tmp_path / "broker", tmp_path / "trace.json"
    command = python_command("scripts.cli", "serve", "--socket", str(socket), "--json", "--trace", str(path))
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=python_environment()) as served:
        assert served.stdout is not None
        assert json.loads(served.stdout.readline())["ready"]
        with ML(socket=socket) as ml, ml.create_context() as context:
            context.create_tensor("float32", (1,)).destroy()
        served.send_signal(signal.SIGTERM)
        assert served.wait() == 0
    events = json.loads(path.read_text())["traceEvents"]
    assert {"host", "launcher", "GPU process"} <= {
        event["args"]["name"] for event in events if event["name"] == "process_name"
    }
