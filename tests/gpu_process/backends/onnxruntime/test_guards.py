"""Hostile values give the right result, wherever they are; without the guards the runtime still faults on them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from gpu_process.backends import Backend, BackendOptions, load_backend
from gpu_process.backends.onnxruntime import _session
from tests.gpu_process.backends.onnxruntime import _hazards
from tests.gpu_process.backends.onnxruntime._hazards import HAZARDS, POSITIONS, RACES, SIGSEGV, WRONG, computed

_ROOT = Path(__file__).parents[4]


@pytest.fixture(scope="module")
def backend() -> Backend:
    return load_backend("onnxruntime", BackendOptions())


@pytest.fixture(scope="module")
def unguarded() -> dict[str, int]:
    command = [sys.executable, "-m", _hazards.__name__]
    finished = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=True)
    codes: dict[str, int] = json.loads(finished.stdout)
    return codes


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("name", HAZARDS)
def test_a_hostile_value_is_harmless_and_the_result_right(backend: Backend, name: str, position: str) -> None:
    np.testing.assert_array_equal(computed(backend, HAZARDS[name], position), HAZARDS[name].right)


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("name", HAZARDS)
def test_the_list_of_hazards_is_still_true(unguarded: dict[str, int], name: str, position: str) -> None:
    assert unguarded[f"{name}, {position}"] == HAZARDS[name].unguarded


def test_indices_that_change_while_gather_runs_still_leave_its_table(unguarded: dict[str, int]) -> None:
    assert unguarded["gather races, input"] == SIGSEGV


def test_lstm_still_reads_its_state_from_the_caller_s_output(unguarded: dict[str, int]) -> None:
    assert unguarded["lstm races, input"] == WRONG


def test_every_race_is_told_of() -> None:
    assert set(RACES) == {"gather races", "lstm races"}


def test_a_boolean_of_255_still_is_neither_true_nor_false_to_the_runtime() -> None:
    nodes = [helper.make_node("Where", ["condition", "a", "b"], ["y"]), helper.make_node("Not", ["condition"], ["n"])]
    named = {
        name: helper.make_tensor_value_info(name, data_type, [64])
        for name, data_type in {"condition": TensorProto.BOOL, "a": 1, "b": 1, "y": 1, "n": TensorProto.BOOL}.items()
    }
    graph = helper.make_graph(nodes, "g", [named["condition"], named["a"], named["b"]], [named["y"], named["n"]])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    condition = np.full(64, 255, np.uint8)
    ones = np.ones(64, np.float32)
    chosen, inverted = session.run(None, {"condition": condition.view(np.bool_), "a": ones, "b": 2 * ones})
    assert not np.isin(chosen, (1, 2)).all() or inverted.view(np.uint8).any()


@pytest.mark.parametrize(
    ("name", "guard", "kernel", "operand"),
    [
        ("gather", "Clip", "Gather", 1),
        ("gather_elements", "Clip", "GatherElements", 1),
        ("gather_nd", "Max", "GatherND", 1),
        ("scatter_elements", "Clip", "ScatterElements", 1),
        ("scatter_nd", "Max", "ScatterND", 1),
        ("int64 by -1", "Add", "Div", 1),
        ("where", "Cast", "Where", 0),
    ],
)
@pytest.mark.parametrize("position", ["input", "intermediate"])
def test_a_guard_survives_the_optimiser(
    name: str, guard: str, kernel: str, operand: int, position: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    optimised = tmp_path / "optimised.onnx"
    settings = _session._settings

    def writing(options: BackendOptions) -> onnxruntime.SessionOptions:
        made = settings(options)
        made.optimized_model_filepath = str(optimised)
        return made

    monkeypatch.setattr(_session, "_settings", writing)
    computed(load_backend("onnxruntime", BackendOptions()), HAZARDS[name], position)
    nodes = onnx.load(optimised).graph.node
    makers = {output: node.op_type for node in nodes for output in node.output}
    (dangerous,) = [node for node in nodes if node.op_type == kernel]
    assert makers[dangerous.input[operand]] == guard
