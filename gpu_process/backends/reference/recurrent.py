"""Recurrent networks: the cells, and their application step by step.

Weights are [gates * hidden, input], recurrent ones [gates * hidden, hidden], with the gates in the order of `layout`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gpu_process.backends._interface import Array
from gpu_process.backends.reference._kernels import kernel
from gpu_process.backends.reference.activation import relu, sigmoid, tanh
from ipc import operators as ops

_ACTIVATIONS: dict[str, Callable[[Array], Array]] = {"relu": relu, "sigmoid": sigmoid, "tanh": tanh}
_State = tuple[Array, ...]


@kernel(ops.gru_cell)
def gru_cell(
    x: Array,
    weight: Array,
    recurrent_weight: Array,
    hidden_state: Array,
    bias: Array | None,
    recurrent_bias: Array | None,
    *,
    hidden_size: int,  # noqa: ARG001 - the shapes say it too
    reset_after: bool,
    layout: str,
    activations: Sequence[str],
) -> Array:
    """h' = z * h + (1 - z) * n, where

    z = f(Wz x + bz + Rz h + rbz)
    r = f(Wr x + br + Rr h + rbr)
    n = g(Wn x + bn + r * (Rn h + rbn)) if reset_after, else g(Wn x + bn + Rn (r * h) + rbn)
    """
    h = hidden_state
    f, g = (_ACTIVATIONS[name] for name in activations)
    w, r_w = _gates(weight, layout), _gates(recurrent_weight, layout)
    b, r_b = _biases(bias, layout), _biases(recurrent_bias, layout)

    def driven(gate: str) -> Array:
        return x @ w[gate].T + b[gate]

    def recurrent(gate: str, state: Array) -> Array:
        return state @ r_w[gate].T + r_b[gate]

    z = f(driven("z") + recurrent("z", h))
    r = f(driven("r") + recurrent("r", h))
    n = g(driven("n") + (r * recurrent("n", h) if reset_after else recurrent("n", r * h)))
    return z * h + (1 - z) * n


@kernel(ops.lstm_cell)
def lstm_cell(
    x: Array,
    weight: Array,
    recurrent_weight: Array,
    hidden_state: Array,
    cell_state: Array,
    bias: Array | None,
    recurrent_bias: Array | None,
    peephole_weight: Array | None,
    *,
    hidden_size: int,  # noqa: ARG001 - the shapes say it too
    layout: str,
    activations: Sequence[str],
) -> tuple[Array, Array]:
    """c' = f * c + i * g and h' = o * C(c'), where

    i = F(Wi x + bi + Ri h + rbi + pi * c)
    f = F(Wf x + bf + Rf h + rbf + pf * c)
    g = G(Wg x + bg + Rg h + rbg)
    o = F(Wo x + bo + Ro h + rbo + po * c), with the previous cell state (ONNX takes the new one)
    """
    h, c = hidden_state, cell_state
    gate_function, cell_function, output_function = (_ACTIVATIONS[name] for name in activations)
    w, r_w = _gates(weight, layout), _gates(recurrent_weight, layout)
    b, r_b = _biases(bias, layout), _biases(recurrent_bias, layout)
    p = None if peephole_weight is None else _gates(peephole_weight, "iof")  # whatever the layout

    def total(gate: str) -> Array:
        return x @ w[gate].T + b[gate] + h @ r_w[gate].T + r_b[gate]

    i, f, o = (gate_function(total(gate) + (p[gate] * c if p else 0)) for gate in "ifo")  # no peephole: not even of inf
    g = cell_function(total("g"))
    new_cell = f * c + i * g
    return o * output_function(new_cell), new_cell


@kernel(ops.gru)
def gru(
    x: Array,
    weight: Array,
    recurrent_weight: Array,
    bias: Array | None,
    recurrent_bias: Array | None,
    initial_hidden_state: Array | None,
    *,
    steps: int,  # noqa: ARG001 - the first size of x
    hidden_size: int,
    reset_after: bool,
    return_sequence: bool,
    direction: str,
    layout: str,
    activations: Sequence[str],
) -> list[Array]:
    """`gru_cell` on each step, in each direction: the last hidden states, and the sequence if asked for."""

    def cell(of: int, step: Array, state: _State) -> _State:
        new_hidden = gru_cell(
            step,
            weight[of],
            recurrent_weight[of],
            *state,
            _of(bias, of),
            _of(recurrent_bias, of),
            hidden_size=hidden_size,
            reset_after=reset_after,
            layout=layout,
            activations=activations,
        )
        return (new_hidden,)

    states, sequence = _run(cell, x, [_initial(initial_hidden_state, weight, x, hidden_size)], direction)
    return [*states, sequence] if return_sequence else states


@kernel(ops.lstm)
def lstm(
    x: Array,
    weight: Array,
    recurrent_weight: Array,
    bias: Array | None,
    recurrent_bias: Array | None,
    peephole_weight: Array | None,
    initial_hidden_state: Array | None,
    initial_cell_state: Array | None,
    *,
    steps: int,  # noqa: ARG001 - the first size of x
    hidden_size: int,
    return_sequence: bool,
    direction: str,
    layout: str,
    activations: Sequence[str],
) -> list[Array]:
    """`lstm_cell` on each step, in each direction: the last hidden and cell states, and the sequence if asked for."""

    def cell(of: int, step: Array, state: _State) -> _State:
        new_state: _State = lstm_cell(
            step,
            weight[of],
            recurrent_weight[of],
            *state,
            _of(bias, of),
            _of(recurrent_bias, of),
            _of(peephole_weight, of),
            hidden_size=hidden_size,
            layout=layout,
            activations=activations,
        )
        return new_state

    initial = [_initial(state, weight, x, hidden_size) for state in (initial_hidden_state, initial_cell_state)]
    states, sequence = _run(cell, x, initial, direction)
    return [*states, sequence] if return_sequence else states


def _run(
    cell: Callable[[int, Array, _State], _State], x: Array, initial: Sequence[Array], direction: str
) -> tuple[list[Array], Array]:
    """Last states [directions, batch, hidden] each, and hidden states [steps, directions, batch, hidden].

    Backward goes from the last step to the first; the sequence is in the order of the input for both.
    """
    backward = {"forward": [False], "backward": [True], "both": [False, True]}[direction]
    steps = x.shape[0]
    sequence = np.empty((steps, *initial[0].shape))
    finals: list[_State] = []
    for number, is_backward in enumerate(backward):
        state: _State = tuple(each[number] for each in initial)
        for step in reversed(range(steps)) if is_backward else range(steps):
            state = cell(number, x[step], state)
            sequence[step, number] = state[0]
        finals.append(state)
    return [np.stack(states) for states in zip(*finals, strict=True)], sequence


def _gates(parameter: Array, layout: str) -> dict[str, Array]:
    """The parts of a parameter by gate; gates are along the first axis in the order of `layout`."""
    return dict(zip(layout, np.split(parameter, len(layout)), strict=True))


def _biases(parameter: Array | None, layout: str) -> dict[str, Any]:
    return dict.fromkeys(layout, 0.0) if parameter is None else _gates(parameter, layout)


def _of(parameter: Array | None, direction: int) -> Array | None:
    return None if parameter is None else parameter[direction]


def _initial(state: Array | None, weight: Array, x: Array, hidden_size: int) -> Array:
    return np.zeros((weight.shape[0], x.shape[1], hidden_size)) if state is None else state
