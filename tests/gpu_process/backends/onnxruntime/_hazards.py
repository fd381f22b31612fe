"""Graphs and values that the runtime, left alone, faults on.

Run as a module, it runs each of them without guards, in a process of its own, and prints what became of it as JSON.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gpu_process.backends import BackendError, BackendOptions, load_backend
from gpu_process.backends._interface import Backend
from ipc.descriptors import DataType, Descriptor
from tests.conformance._in_process import BackendBuilder

Array = npt.NDArray[Any]
POSITIONS = ("input", "constant", "intermediate")
REFUSED = 3
WRONG = 4


@dataclass(frozen=True)
class Hazard:
    """One call with hostile values.

    Attributes:
        operands: by slot; `hostile` names the slot that is put in each position.
        right: what must come out.
        unguarded: what happens to a process without the guard: the exit codes that the list of hazards predicts.
    """

    operator: str
    operands: Mapping[str, Array]
    hostile: str
    right: Array
    unguarded: int
    options: Mapping[str, Any]


def _hazard(
    operator: str, operands: Mapping[str, Array], hostile: str, right: Array, unguarded: int, **options: Any
) -> Hazard:
    return Hazard(operator, operands, hostile, right, unguarded, options)


SIGFPE, SIGSEGV = -8, -11
_X = np.arange(6, dtype=np.float32).reshape(3, 2)


def _division(
    dtype: type[np.signedinteger[Any]], divisor: int, quotients: Callable[[int], list[int]], outcome: int
) -> Hazard:
    low = int(np.iinfo(dtype).min)
    dividend = np.array([low, -7, 7], dtype)
    right = np.array(quotients(low), dtype)
    return _hazard("div", {"a": dividend, "b": np.full(3, divisor, dtype)}, "b", right, outcome)


HAZARDS: dict[str, Hazard] = {
    # H1
    "int32 by -1": _division(np.int32, -1, lambda low: [low, 7, -7], SIGFPE),
    "int64 by -1": _division(np.int64, -1, lambda low: [low, 7, -7], SIGFPE),
    "int8 by -1": _division(np.int8, -1, lambda low: [low, 7, -7], 0),
    "int32 by 0": _division(np.int32, 0, lambda _: [0, 0, 0], REFUSED),
    "int64 by 0": _division(np.int64, 0, lambda _: [0, 0, 0], REFUSED),
    "int8 by 0": _division(np.int8, 0, lambda _: [0, 0, 0], REFUSED),
    # H12; there is no unguarded form: no memory of a caller's is ever bound as the runtime's boolean
    "where": _hazard(
        "where",
        {
            "condition": np.array([0, 1, 2, 255], np.uint8),
            "true_value": np.ones(4, np.float32),
            "false_value": np.zeros(4, np.float32),
        },
        "condition",
        np.array([0, 1, 1, 1], np.float32),
        0,
    ),
    "logical_and": _hazard(
        "logical_and",
        {"a": np.array([0, 1, 2, 255], np.uint8), "b": np.full(4, 4, np.uint8)},
        "a",
        np.array([0, 1, 1, 1], np.uint8),
        0,
    ),
    "logical_not": _hazard(
        "logical_not", {"a": np.array([0, 1, 2, 255], np.uint8)}, "a", np.array([1, 0, 0, 0], np.uint8), 0
    ),
    # H15
    "gather": _hazard(
        "gather", {"input": _X, "indices": np.array([99, -99, -1], np.int32)}, "indices", _X[[2, 0, 2]], REFUSED
    ),
    "gather uint32": _hazard(
        "gather", {"input": _X, "indices": np.array([2**32 - 1, 0], np.uint32)}, "indices", _X[[2, 0]], REFUSED
    ),
    "gather_elements": _hazard(
        "gather_elements",
        {"input": _X, "indices": np.array([[2**62, -(2**62)]], np.int64)},
        "indices",
        np.array([[4, 1]], np.float32),
        REFUSED,
    ),
    "gather_nd": _hazard(
        "gather_nd",
        {"input": _X, "indices": np.array([[9, -9], [-1, 1]], np.int32)},
        "indices",
        np.array([4, 5], np.float32),
        REFUSED,
    ),
    "scatter_elements": _hazard(
        "scatter_elements",
        {
            "input": np.zeros((3, 2), np.float32),
            "indices": np.array([[99, -99]], np.int32),
            "updates": np.array([[7, 8]], np.float32),
        },
        "indices",
        np.array([[0, 8], [0, 0], [7, 0]], np.float32),
        REFUSED,
    ),
    "scatter_nd": _hazard(
        "scatter_nd",
        {
            "input": np.zeros((3, 2), np.float32),
            "indices": np.array([[99, -99], [0, 1]], np.int64),
            "updates": np.array([7, 8], np.float32),
        },
        "indices",
        np.array([[0, 8], [0, 0], [7, 0]], np.float32),
        REFUSED,
    ),
}


def computed(backend: Backend, hazard: Hazard, position: str) -> Array:
    """What the backend makes of the hazard, with the hostile operand in that position."""
    builder = BackendBuilder(backend.support_limits())
    inputs: dict[str, Array] = {}

    def entered(name: str, array: Array) -> int:
        inputs[name] = array
        return builder.input(name, Descriptor(DataType.of(array.dtype), array.shape))

    operands = {slot: entered(slot, array) for slot, array in hazard.operands.items() if slot != hazard.hostile}
    hostile = hazard.operands[hazard.hostile]
    if position == "constant":  # all operands: the runtime then folds the whole call at build
        operands = {
            slot: builder.constant(Descriptor(DataType.of(array.dtype), array.shape), array)
            for slot, array in hazard.operands.items()
        }
        inputs.clear()
        builder.graph.inputs.clear()
    elif position == "input":
        operands[hazard.hostile] = entered("hostile", hostile)
    else:
        halves = entered("half", hostile // 2), entered("rest", hostile - hostile // 2)
        operands[hazard.hostile] = builder.call("add", halves, {})
    output = builder.call(hazard.operator, [], {**operands, **hazard.options})
    graph = builder.build({"output": output})
    compiled = backend.compile(graph.graph, graph.constants)
    result = np.zeros(hazard.right.shape, hazard.right.dtype)
    compiled.bind(inputs, {"output": result}).run()
    compiled.close()
    return result


def _unguarded(name: str, position: str) -> int:
    backend = load_backend("onnxruntime", BackendOptions(guards=False))
    if name in RACES:
        return RACES[name](backend)
    try:
        result = computed(backend, HAZARDS[name], position)
    except BackendError:
        return REFUSED
    return 0 if np.array_equal(result, HAZARDS[name].right) else WRONG


# --- memory that changes while the graph runs -----------------------------------------------------------------------


def gather_of_inputs(backend: Backend, count: int) -> tuple[Any, dict[str, Array], dict[str, Array]]:
    """A gather of `count` indices that are an input, compiled, with its memory."""
    builder = BackendBuilder(backend.support_limits())
    table = builder.input("table", Descriptor(DataType.FLOAT32, (4,)))
    indices = builder.input("indices", Descriptor(DataType.INT32, (count,)))
    graph = builder.build({"output": builder.call("gather", [table, indices], {})})
    compiled = backend.compile(graph.graph, graph.constants)
    inputs: dict[str, Array] = {"table": np.ones(4, np.float32), "indices": np.zeros(count, np.int32)}
    return compiled, inputs, {"output": np.zeros(count, np.float32)}


def _changing_indices(backend: Backend) -> int:
    """H10: the indices change between the check and the use."""
    compiled, inputs, outputs = gather_of_inputs(backend, 1 << 20)
    assert "indices" in compiled.in_place_inputs
    binding, stop = compiled.bind(inputs, outputs), threading.Event()

    def flip() -> None:
        while not stop.is_set():
            inputs["indices"][-1] = 2**30
            inputs["indices"][-1] = 0

    thread = threading.Thread(target=flip, daemon=True)
    thread.start()
    for _ in range(2000):
        try:
            binding.run()
        except BackendError:
            continue
    stop.set()
    thread.join()
    return 0


def lstm_of_zeros(backend: Backend, steps: int) -> tuple[Any, dict[str, Array], dict[str, Array]]:
    """An LSTM all of whose outputs are zero, compiled, with its memory."""
    size = 16
    builder = BackendBuilder(backend.support_limits())
    x = builder.input("x", Descriptor(DataType.FLOAT32, (steps, 1, size)))
    weights = np.full((1, 4 * size, size), 0.1, np.float32)
    weight = builder.constant(Descriptor(DataType.FLOAT32, weights.shape), weights)
    options = {"steps": steps, "hidden_size": size, "return_sequence": True}
    hidden, cell, sequence = builder.call("lstm", [x, weight, weight], options)
    graph = builder.build({"hidden": hidden, "cell": cell, "sequence": sequence})
    compiled = backend.compile(graph.graph, graph.constants)
    state, whole = (1, 1, size), (steps, 1, 1, size)
    outputs: dict[str, Array] = {
        name: np.zeros(shape, np.float32) for name, shape in (("hidden", state), ("cell", state), ("sequence", whole))
    }
    return compiled, {"x": np.zeros((steps, 1, size), np.float32)}, outputs


def _changing_state(backend: Backend) -> int:
    """H11: what a renderer writes into the output comes back out of the cell state."""
    compiled, inputs, outputs = lstm_of_zeros(backend, 2000)
    assert "sequence" in compiled.in_place_outputs
    binding, stop = compiled.bind(inputs, outputs), threading.Event()

    def scribble() -> None:
        while not stop.is_set():
            outputs["sequence"][:] = 100

    thread = threading.Thread(target=scribble, daemon=True)
    thread.start()
    changed = False
    for _ in range(200):
        binding.run()
        changed = changed or bool(outputs["cell"].any())
    stop.set()
    thread.join()
    return WRONG if changed else 0


RACES: dict[str, Callable[[Backend], int]] = {"gather races": _changing_indices, "lstm races": _changing_state}


def _all_unguarded() -> dict[str, int]:
    """The exit code of a process per hazard and position; negative is the number of the signal that ended it."""
    load_backend("onnxruntime", BackendOptions())  # imports, but starts no thread: a fork is whole
    runs = [(name, position) for name in HAZARDS for position in POSITIONS] + [(name, "input") for name in RACES]
    return {f"{name}, {position}": _in_child(name, position) for name, position in runs}


def _in_child(name: str, position: str) -> int:
    child = os.fork()
    if child == 0:
        os._exit(_unguarded(name, position))
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    print(json.dumps(_all_unguarded()))
