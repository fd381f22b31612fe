"""Recurrent networks and their cells, by the fused kernels; with peepholes by a Scan over the steps.

ONNX orders the gates as WebNN's "zrn" and "iofg" do; other layouts are reordered. Its LSTM's peephole for the output
gate looks at the new cell state, WebNN's at the previous one: so peepholes can't be given to the kernel.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gpu_process.backends.onnxruntime._lowering import Lowered, Lowering, in_float32, lowers
from gpu_process.backends.onnxruntime._values import Value
from ipc import operators as ops

_ACTIVATIONS = {"relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh"}
_DIRECTIONS = {"forward": "forward", "backward": "reverse", "both": "bidirectional"}
_GRU_GATES = "zrn"
_LSTM_GATES = "iofg"


@lowers(ops.gru)
@in_float32
def gru(node: Lowering, *operands: Any, return_sequence: bool, **attributes: Any) -> Lowered:
    last, sequence = _gru(node, *operands, **attributes)
    return [last, sequence] if return_sequence else [last]


@lowers(ops.gru_cell)
@in_float32
def gru_cell(
    node: Lowering,
    x: Value,
    weight: Value,
    recurrent_weight: Value,
    hidden_state: Value,
    bias: Value | None,
    recurrent_bias: Value | None,
    **attributes: Any,
) -> Lowered:
    """One step of one direction."""
    operands = (x, weight, recurrent_weight, bias, recurrent_bias, hidden_state)
    last, _ = _gru(node, *_unsqueezed_each(node, operands), steps=1, direction="forward", **attributes)
    return node.reshape(last, hidden_state.shape)


@lowers(ops.lstm)
@in_float32
def lstm(node: Lowering, *operands: Any, return_sequence: bool, **attributes: Any) -> Lowered:
    hidden, cell, sequence = _lstm(node, *operands, **attributes)
    return [hidden, cell, sequence] if return_sequence else [hidden, cell]


@lowers(ops.lstm_cell)
@in_float32
def lstm_cell(
    node: Lowering,
    x: Value,
    weight: Value,
    recurrent_weight: Value,
    hidden_state: Value,
    cell_state: Value,
    *options: Value | None,
    **attributes: Any,
) -> Lowered:
    """One step of one direction."""
    operands = (x, weight, recurrent_weight, *options, hidden_state, cell_state)
    hidden, cell, _ = _lstm(node, *_unsqueezed_each(node, operands), steps=1, direction="forward", **attributes)
    return [node.reshape(hidden, hidden_state.shape), node.reshape(cell, cell_state.shape)]


def _gru(
    node: Lowering,
    x: Value,
    weight: Value,
    recurrent_weight: Value,
    bias: Value | None,
    recurrent_bias: Value | None,
    hidden_state: Value | None,
    *,
    steps: int,  # noqa: ARG001 - the first size of x
    hidden_size: int,
    reset_after: bool,
    direction: str,
    layout: str,
    activations: Sequence[str],
) -> list[Value]:
    """[last hidden state, sequence]."""

    def ordered(value: Value) -> Value:
        return _in_gate_order(node, value, layout, _GRU_GATES)

    directions, batch = weight.shape[0], x.shape[1]
    sequence, last = node.several(
        "GRU",
        (
            x,
            ordered(weight),
            ordered(recurrent_weight),
            _both_biases(node, bias and ordered(bias), recurrent_bias and ordered(recurrent_bias)),
            None,
            hidden_state,
        ),
        [
            (x.data_type, (x.shape[0], directions, batch, hidden_size)),
            (x.data_type, (directions, batch, hidden_size)),
        ],
        hidden_size=hidden_size,
        linear_before_reset=int(reset_after),
        direction=_DIRECTIONS[direction],
        activations=[_ACTIVATIONS[name] for name in activations] * directions,
    )
    return [last, sequence]


def _lstm(
    node: Lowering,
    x: Value,
    weight: Value,
    recurrent_weight: Value,
    bias: Value | None,
    recurrent_bias: Value | None,
    peephole_weight: Value | None,
    hidden_state: Value | None,
    cell_state: Value | None,
    *,
    steps: int,  # noqa: ARG001 - the first size of x
    hidden_size: int,
    direction: str,
    layout: str,
    activations: Sequence[str],
) -> list[Value]:
    """[last hidden state, last cell state, sequence]."""

    def ordered(value: Value) -> Value:
        return _in_gate_order(node, value, layout, _LSTM_GATES)

    directions, batch = weight.shape[0], x.shape[1]
    weight, recurrent_weight = ordered(weight), ordered(recurrent_weight)
    biases = _both_biases(node, bias and ordered(bias), recurrent_bias and ordered(recurrent_bias))
    names = [_ACTIVATIONS[name] for name in activations]
    state_shape = (directions, batch, hidden_size)
    if peephole_weight is None:
        sequence, hidden, cell = node.several(
            "LSTM",
            (x, weight, recurrent_weight, biases, None, hidden_state, cell_state),
            [(x.data_type, (x.shape[0], *state_shape)), (x.data_type, state_shape), (x.data_type, state_shape)],
            hidden_size=hidden_size,
            direction=_DIRECTIONS[direction],
            activations=names * directions,
        )
    else:
        zeros = node.expand(node.scalar(0, x), state_shape)
        operands = (weight, recurrent_weight, biases, peephole_weight, hidden_state or zeros, cell_state or zeros)
        one_way = [
            _scan(node, x, [value and _direction(node, value, d) for value in operands], names, direction, d)
            for d in range(directions)
        ]
        hidden, cell = (node.concat([_unsqueezed(node, way[i]) for way in one_way], 0) for i in (0, 1))
        shape = (x.shape[0], 1, batch, hidden_size)
        sequence = node.concat([node.reshape(way[2], shape) for way in one_way], 1)
    return [hidden, cell, sequence]


def _scan(
    node: Lowering,
    x: Value,
    operands: Sequence[Value | None],
    activations: Sequence[str],
    direction: str,
    d: int,
) -> list[Value]:
    """One direction of an LSTM with peepholes: last hidden state, last cell state, sequence in input order."""
    weight, recurrent_weight, biases, peephole_weight, hidden_state, cell_state = operands
    assert weight is not None
    assert recurrent_weight is not None
    assert peephole_weight is not None
    assert hidden_state is not None
    assert cell_state is not None
    size = hidden_state.shape[1]
    gates_shape = (*x.shape[:2], 4 * size)
    inputs = node("MatMul", x, node.transpose(weight, (1, 0)), shape=gates_shape)
    if biases is not None:
        for half in node.split(biases, [4 * size] * 2, 0):
            inputs = node.binary("Add", inputs, half)
    transposed = node.transpose(recurrent_weight, (1, 0))
    p_i, p_o, p_f = node.split(peephole_weight, [size] * 3, 0)
    f, g, h = activations

    body = node.body()
    hidden, cell = body.parameter(x.data_type, hidden_state.shape), body.parameter(x.data_type, cell_state.shape)
    step = body.parameter(x.data_type, gates_shape[1:])
    gates = body.binary("Add", step, body("MatMul", hidden, transposed, shape=step.shape))
    i, o, forget, new = body.split(gates, [size] * 4, 1)

    def gate(gate: Value, peephole: Value) -> Value:
        return body(f, body.binary("Add", gate, body.binary("Mul", cell, peephole)))

    kept = body.binary("Mul", gate(forget, p_f), cell)
    next_cell = body.binary("Add", kept, body.binary("Mul", gate(i, p_i), body(g, new)))
    next_hidden = body.binary("Mul", gate(o, p_o), body(h, next_cell))
    graph = body.finished([hidden, cell, step], [next_hidden, next_cell, body("Identity", next_hidden)])

    backward = int(direction == "backward" or d == 1)
    return node.several(
        "Scan",
        (hidden_state, cell_state, inputs),
        [(x.data_type, shape) for shape in (hidden_state.shape, cell_state.shape, (x.shape[0], *hidden_state.shape))],
        body=graph,
        num_scan_inputs=1,
        scan_input_directions=[backward],
        scan_output_directions=[backward],
    )


def _in_gate_order(node: Lowering, value: Value, layout: str, wanted: str) -> Value:
    """Weights or biases [D, gates * H, ...] with the gates in the kernel's order."""
    if layout == wanted:
        return value
    size = value.shape[1] // len(layout)
    pieces = node.split(value, [size] * len(layout), 1)
    return node.concat([pieces[layout.index(gate)] for gate in wanted], 1)


def _both_biases(node: Lowering, bias: Value | None, recurrent_bias: Value | None) -> Value | None:
    """Both biases side by side, as ONNX takes them; an absent one is zero if the other is there."""
    given = bias or recurrent_bias
    if given is None:
        return None
    zeros = node.constant(np.zeros(given.shape, given.data_type.dtype))
    return node.concat([bias or zeros, recurrent_bias or zeros], 1)


def _unsqueezed_each(node: Lowering, values: Sequence[Value | None]) -> list[Any]:
    return [value and _unsqueezed(node, value) for value in values]


def _unsqueezed(node: Lowering, value: Value) -> Value:
    return node.reshape(value, (1, *value.shape))


def _direction(node: Lowering, value: Value, d: int) -> Value:
    """The part [d] of an operand whose first axis is the direction."""
    whole = node.slice(value, [d], [d + 1], [1])
    return node.reshape(whole, value.shape[1:])
