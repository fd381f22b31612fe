"""Recurrent networks: both layouts, all directions, with and without each optional operand."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from scripts.vectors._suite import Suite, Tolerance, atol
from scripts.vectors._tensor import FLOATS, Tensor, mixed, tensor

_Vector = list[float]
_CLOSE: dict[str, Tolerance] = {"float32": atol(1e-5), "float16": atol(1 / 128)}
_FUNCTIONS: dict[str, Callable[[float], float]] = {
    "relu": lambda x: max(x, 0.0),
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "tanh": math.tanh,
}
_STEPS, _BATCH, _INPUT, _HIDDEN = 3, 2, 3, 2

_GRU_OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"bias": 3},
    {"recurrentBias": 3},
    {"bias": 3, "recurrentBias": 3, "resetAfter": False},
    {"bias": 3, "recurrentBias": 3, "layout": "rzn"},
    {"activations": ["tanh", "relu"], "resetAfter": False},
)
_LSTM_OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"bias": 4},
    {"recurrentBias": 4, "peepholeWeight": 3},
    {"bias": 4, "recurrentBias": 4, "layout": "ifgo"},
    {"bias": 4, "peepholeWeight": 3, "layout": "ifgo"},
    {"activations": ["tanh", "relu", "sigmoid"], "peepholeWeight": 3},
)
_RUNS: tuple[dict[str, Any], ...] = (
    {},
    {"returnSequence": True},
    {"direction": "backward", "returnSequence": True},
    {"direction": "both", "returnSequence": True},
    {"direction": "both"},
    {"direction": "both", "returnSequence": True, "initial": True},
    {"direction": "backward", "returnSequence": True, "initial": True},
)


def suite() -> Suite:
    """Vectors of the cells and the networks. In the options above, numbers stand for tensors of so many gates."""
    suite = Suite("recurrent")
    for data_type in FLOATS:
        for options in _GRU_OPTIONS:
            _cell(suite, data_type, "gruCell", options)
        for options in _LSTM_OPTIONS:
            _cell(suite, data_type, "lstmCell", options)
    for run in _RUNS:
        for options in _GRU_OPTIONS[3:5] if run else _GRU_OPTIONS:
            _network(suite, "float32", "gru", {**options, **run})
        for options in _LSTM_OPTIONS[2:5] if run else _LSTM_OPTIONS:
            _network(suite, "float32", "lstm", {**options, **run})
    everything = {"direction": "both", "returnSequence": True, "initial": True}
    _network(suite, "float16", "gru", {**_GRU_OPTIONS[4], **everything})
    _network(suite, "float16", "lstm", {**_LSTM_OPTIONS[4], **everything})
    return suite


def gru_step(x: _Vector, h: _Vector, p: Mapping[str, Any]) -> tuple[_Vector]:
    """One sample's new hidden state, by the formulas of the specification."""
    gate_function, new_function = (_FUNCTIONS[name] for name in p.get("activations", ["sigmoid", "tanh"]))
    order = p.get("layout", "zrn")

    def driven(gate: str, unit: int) -> float:
        row = order.index(gate) * _HIDDEN + unit
        return _affine(p["weight"], p["bias"], row, x)

    def recurrent(gate: str, unit: int, state: _Vector) -> float:
        row = order.index(gate) * _HIDDEN + unit
        return _affine(p["recurrentWeight"], p["recurrentBias"], row, state)

    z = [gate_function(driven("z", unit) + recurrent("z", unit, h)) for unit in range(_HIDDEN)]
    r = [gate_function(driven("r", unit) + recurrent("r", unit, h)) for unit in range(_HIDDEN)]
    reset = [r[unit] * h[unit] for unit in range(_HIDDEN)]
    new = [
        new_function(
            driven("n", unit)
            + (r[unit] * recurrent("n", unit, h) if p.get("resetAfter", True) else recurrent("n", unit, reset))
        )
        for unit in range(_HIDDEN)
    ]
    return ([z[unit] * h[unit] + (1 - z[unit]) * new[unit] for unit in range(_HIDDEN)],)


def lstm_step(x: _Vector, h: _Vector, c: _Vector, p: Mapping[str, Any]) -> tuple[_Vector, _Vector]:
    """One sample's new hidden and cell states; peepholes look at the previous cell state, for the output gate too."""
    names = p.get("activations", ["sigmoid", "tanh", "tanh"])
    gate_function, cell_function, output_function = (_FUNCTIONS[name] for name in names)
    order = p.get("layout", "iofg")

    def total(gate: str, unit: int) -> float:
        row = order.index(gate) * _HIDDEN + unit
        peephole: float = p["peepholeWeight"]["iof".index(gate) * _HIDDEN + unit] * c[unit] if gate != "g" else 0.0
        driven = _affine(p["weight"], p["bias"], row, x)
        return driven + _affine(p["recurrentWeight"], p["recurrentBias"], row, h) + peephole

    hidden, cell = [], []
    for unit in range(_HIDDEN):
        i, f, o = (gate_function(total(gate, unit)) for gate in "ifo")
        cell.append(f * c[unit] + i * cell_function(total("g", unit)))
        hidden.append(o * output_function(cell[unit]))
    return hidden, cell


def _affine(matrix: Sequence[float], bias: Sequence[float], row: int, vector: _Vector) -> float:
    return math.fsum(matrix[row * len(vector) + k] * value for k, value in enumerate(vector)) + bias[row]


def _small(data_type: str, shape: Sequence[int], seed: int) -> Tensor:
    x = mixed(data_type, shape, seed)
    return tensor(data_type, shape, [value / 4 for value in x.values])


def _parameters(data_type: str, options: Mapping[str, Any], gates: int, leading: Sequence[int]) -> dict[str, Any]:
    """The tensors of a network or a cell; numbers among the options become tensors of so many gates."""
    made: dict[str, Any] = {
        "weight": _small(data_type, [*leading, gates * _HIDDEN, _INPUT], 1),
        "recurrentWeight": _small(data_type, [*leading, gates * _HIDDEN, _HIDDEN], 2),
    }
    for seed, (name, value) in enumerate(options.items()):
        is_count = type(value) is int
        made[name] = _small(data_type, [*leading, value * _HIDDEN], 3 + seed) if is_count else value
    return made


def _of_direction(parameters: Mapping[str, Any], gates: int, direction: int, directions: int) -> dict[str, Any]:
    """Flat values of one direction, absent biases and peepholes as zeros."""
    values: dict[str, Any] = {
        "bias": [0.0] * gates * _HIDDEN,
        "recurrentBias": [0.0] * gates * _HIDDEN,
        "peepholeWeight": [0.0] * 3 * _HIDDEN,
    }
    for name, value in parameters.items():
        if isinstance(value, Tensor):
            size = len(value.values) // directions
            values[name] = value.values[direction * size : (direction + 1) * size]
        else:
            values[name] = value
    return values


def _step(method: str) -> Callable[..., tuple[_Vector, ...]]:
    return gru_step if method.startswith("gru") else lstm_step


def _cell(suite: Suite, data_type: str, method: str, options: Mapping[str, Any]) -> None:
    is_gru = method == "gruCell"
    gates = 3 if is_gru else 4
    parameters = _parameters(data_type, options, gates, [])
    x = _small(data_type, [_BATCH, _INPUT], 11)
    states = [_small(data_type, [_BATCH, _HIDDEN], 12 + number) for number in range(1 if is_gru else 2)]
    rows = [
        _step(method)(
            list(x.values[sample * _INPUT : (sample + 1) * _INPUT]),
            *(list(state.values[sample * _HIDDEN : (sample + 1) * _HIDDEN]) for state in states),
            _of_direction(parameters, gates, 0, 1),
        )
        for sample in range(_BATCH)
    ]
    outputs = [
        tensor(data_type, [_BATCH, _HIDDEN], [value for row in rows for value in row[number]])
        for number in range(len(states))
    ]
    arguments = {"input": x, "weight": parameters.pop("weight"), "recurrentWeight": parameters.pop("recurrentWeight")}
    arguments |= dict(zip(("hiddenState", "cellState"), states, strict=False)) | {"hiddenSize": _HIDDEN}
    expected = outputs[0] if is_gru else outputs
    name = f"{data_type} {_said(options)}"
    suite.add(name, method, arguments, expected, options=parameters, tolerance=_CLOSE[data_type])


def _network(suite: Suite, data_type: str, method: str, options: Mapping[str, Any]) -> None:
    is_gru = method == "gru"
    gates, state_count = (3, 1) if is_gru else (4, 2)
    backward = {"forward": [False], "backward": [True], "both": [False, True]}[options.get("direction", "forward")]
    directions = len(backward)
    given = {name: value for name, value in options.items() if name != "initial"}
    parameters = _parameters(data_type, given, gates, [directions])
    x = _small(data_type, [_STEPS, _BATCH, _INPUT], 21)
    shape = [directions, _BATCH, _HIDDEN]
    zeros = tensor(data_type, shape, [0.0] * math.prod(shape))
    initial = [_small(data_type, shape, 22 + k) if "initial" in options else zeros for k in range(state_count)]

    sequence: dict[tuple[int, int, int], _Vector] = {}
    finals: dict[tuple[int, int], tuple[_Vector, ...]] = {}
    for direction, is_backward in enumerate(backward):
        values = _of_direction(parameters, gates, direction, directions)
        for sample in range(_BATCH):
            state = tuple([each[(direction, sample, unit)] for unit in range(_HIDDEN)] for each in initial)
            for step in sorted(range(_STEPS), reverse=is_backward):
                features = [x[(step, sample, k)] for k in range(_INPUT)]
                state = _step(method)(features, *state, values)
                sequence[step, direction, sample] = state[0]
            finals[direction, sample] = state

    outputs = [
        tensor(data_type, shape, [value for key in sorted(finals) for value in finals[key][number]])
        for number in range(state_count)
    ]
    if given.get("returnSequence"):
        flat = [value for key in sorted(sequence) for value in sequence[key]]
        outputs.append(tensor(data_type, [_STEPS, *shape], flat))
    arguments = {"input": x, "weight": parameters.pop("weight"), "recurrentWeight": parameters.pop("recurrentWeight")}
    arguments |= {"steps": _STEPS, "hiddenSize": _HIDDEN}
    if "initial" in options:
        parameters |= dict(zip(("initialHiddenState", "initialCellState"), initial, strict=False))
    name = f"{data_type} {_said(options)}"
    suite.add(name, method, arguments, outputs, options=parameters, tolerance=_CLOSE[data_type])


def _said(options: Mapping[str, Any]) -> str:
    named = (name if type(value) in (int, bool) and value else f"{name} {value}" for name, value in options.items())
    return ", ".join(named) or "defaults"
