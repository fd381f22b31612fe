"""Whatever is injected: a call fails with the specification's exception at once, `lost` says why, nothing is left."""

from __future__ import annotations

import json
import signal
from typing import Any

import pytest

from tests.scripts.commands import script, webnn_sim

# Ten dispatches, then the same again with a new context, where one is needed; tells what it saw and how long it took.
WORKS = """
import json, time
import numpy as np
from renderer import ML, MLGraphBuilder
from ipc.errors import MLError

seen = []

def work(ml):
    with ml.create_context(carrier="stream") as context:
        try:
            builder = MLGraphBuilder(context)
            weights = builder.constant(np.ones((64, 64), np.float32))
            graph = builder.build({"y": builder.add(builder.input("x", "float32", (64, 64)), weights)})
            for number in range(10):
                start = time.monotonic()
                x = np.full((64, 64), number, np.float32)
                assert np.all(context.compute(graph, {"x": x})["y"] == number + 1)
            seen.append({"result": "right"})
        except MLError as error:
            took = time.monotonic() - start if "start" in locals() else 0
            lost = context.lost.result(5) if context.lost.done() else None
            seen.append({"result": error.name, "message": str(error), "took": took,
                         "lost": lost.message if lost else ""})

with ML() as ml:
    for _ in range(2):
        try:
            work(ml)
        except MLError as error:
            seen.append({"result": error.name, "message": str(error), "took": 0, "lost": ""})
print(json.dumps(seen))
"""


def injected(*plan: str) -> list[dict[str, Any]]:
    """What the script saw, with these faults."""
    arguments = [argument for item in plan for argument in ("--inject", item)]
    with script(WORKS) as path:
        result = webnn_sim("run", "--backend", "reference", *arguments, str(path))
    assert result.returncode == 0, result.stderr
    seen: list[dict[str, Any]] = json.loads(result.stdout)
    return seen


@pytest.mark.parametrize(
    ("plan", "error", "reason"),
    [
        ("gpu.run:crash-before@5", "InvalidStateError", "memory-safety"),
        ("gpu.run:fail@5", "OperationError", ""),
        ("gpu.compile:fail@1", "OperationError", ""),
        ("gpu.compile:crash-before@1", "InvalidStateError", "memory-safety"),
        ("gpu.session:close-after@2", "InvalidStateError", ""),
        ("renderer.call:close-before@2", "InvalidStateError", "a call failed"),
        ("renderer.call:close-after@4", "InvalidStateError", "a call failed"),
    ],
)
def test_a_fault_fails_what_it_hits_and_a_new_context_works(plan: str, error: str, reason: str) -> None:
    first, second = injected(plan)
    assert first["result"] == error, first
    assert first["took"] < 2  # a second, and what a busy machine adds
    assert reason.lower() in (first["lost"] or first["message"]).lower()
    assert second == {"result": "right"}


@pytest.mark.parametrize(
    ("plan", "reason"), [("renderer.session:drop@2", "unknown_region"), ("renderer.timeline:duplicate@3", "sequence")]
)
def test_a_message_that_no_correct_renderer_sends_costs_it_its_life(plan: str, reason: str) -> None:
    with script(WORKS) as path:
        result = webnn_sim("run", "--backend", "reference", "--inject", plan, str(path))
    assert result.returncode == 128 + signal.SIGKILL
    assert f"the renderer was killed for a bad message: {reason}" in " ".join(result.stderr.split())


def test_calls_that_are_late_or_come_twice_change_no_result() -> None:
    plan = "renderer.call:delay=0.01@1", "renderer.call:duplicate@2-3"
    assert injected(*plan) == [{"result": "right"}, {"result": "right"}]


def test_memory_that_the_kernel_refuses_is_told() -> None:
    first, second = injected("gpu.allocate:fail@1")
    assert (first["result"], second["result"]) == ("UnknownError", "right")
    assert "memory" in first["message"]


def test_a_plan_that_is_none_is_a_users_mistake() -> None:
    with script("") as path:
        result = webnn_sim("run", "--inject", "gpu.run:explode", str(path))
    assert result.returncode == 2
    assert "fault 'gpu.run:explode'" in " ".join(result.stderr.replace("│", " ").split())
