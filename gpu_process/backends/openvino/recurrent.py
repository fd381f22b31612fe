"""Recurrent networks.

Sequences are OpenVINO's, which agree with the specification where there are no peepholes (it has none in its current
operators); single steps are said in elementary operations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from openvino import opset15 as opset

from gpu_process.backends.openvino._lowering import Node, Value, lowers
from gpu_process.backends.openvino._values import constant, int_constant, product, transpose
from ipc import operators as ops

_DIRECTIONS = {"forward": "forward", "backward": "reverse", "both": "bidirectional"}
_ACTIVATIONS: dict[str, Callable[[Any], Any]] = {"relu": opset.relu, "sigmoid": opset.sigmoid, "tanh": opset.tanh}
_GRU_ORDER = "zrn"
_LSTM_ORDER = "figo"


@lowers(ops.gru)
def gru(
    node: Node,
    input: Value,
    weight: Value,
    recurrent_weight: Value,
    bias: Value | None,
    recurrent_bias: Value | None,
    initial_hidden_state: Value | None,
    *,
    steps: int,
    hidden_size: int,
    reset_after: bool,
    return_sequence: bool,
    direction: str,
    layout: str,
    activations: Sequence[str],
) -> list[Value]:
    sequence = _Sequence(node, steps, hidden_size, direction, layout, _GRU_ORDER)
    biases = sequence.bias(bias), sequence.bias(recurrent_bias)
    if reset_after:  # the new gate's recurrent bias stays apart, inside the reset
        shared = opset.add(sequence.gates(biases[0], 0, 2), sequence.gates(biases[1], 0, 2))
        joined = opset.concat([shared, sequence.gates(biases[0], 2, 3), sequence.gates(biases[1], 2, 3)], 1)
    else:
        joined = opset.add(*biases)
    results = opset.gru_sequence(
        sequence.batch_first(input),
        sequence.state(initial_hidden_state),
        sequence.lengths(),
        sequence.ordered(weight),
        sequence.ordered(recurrent_weight),
        joined,
        hidden_size,
        _DIRECTIONS[direction],
        list(activations),
        [],
        [],
        0.0,
        reset_after,
    )
    return sequence.results(results, return_sequence)


def _has_no_peephole(node: Node) -> bool:
    return node.inputs["peephole_weight"] is None


@lowers(ops.lstm, when=_has_no_peephole)
def lstm(
    node: Node,
    input: Value,
    weight: Value,
    recurrent_weight: Value,
    bias: Value | None,
    recurrent_bias: Value | None,
    _peephole_weight: None,
    initial_hidden_state: Value | None,
    initial_cell_state: Value | None,
    *,
    steps: int,
    hidden_size: int,
    return_sequence: bool,
    direction: str,
    layout: str,
    activations: Sequence[str],
) -> list[Value]:
    sequence = _Sequence(node, steps, hidden_size, direction, layout, _LSTM_ORDER)
    results = opset.lstm_sequence(
        sequence.batch_first(input),
        sequence.state(initial_hidden_state),
        sequence.state(initial_cell_state),
        sequence.lengths(),
        sequence.ordered(weight),
        sequence.ordered(recurrent_weight),
        opset.add(sequence.bias(bias), sequence.bias(recurrent_bias)),
        hidden_size,
        _DIRECTIONS[direction],
        list(activations),
    )
    return sequence.results(results, return_sequence)


class _Sequence:
    """The operands of a sequence as OpenVINO wants them: batch first, gates in its own order, nothing absent."""

    def __init__(self, node: Node, steps: int, hidden_size: int, direction: str, layout: str, order: str) -> None:
        self._node = node
        self._steps = steps
        self._batch = node.inputs["input"].shape[1]
        self._hidden = hidden_size
        self._directions = 2 if direction == "both" else 1
        self._layout = layout
        self._order = order

    def batch_first(self, input: Value) -> Value:
        return transpose(input, (1, 0, 2))

    def state(self, given: Value | None) -> Value:
        if given is None:
            return self._zeros(self._batch, self._directions, self._hidden)
        return transpose(given, (1, 0, 2))

    def lengths(self) -> Value:
        return constant(np.full(self._batch, self._steps, np.int32))

    def ordered(self, weights: Value) -> Value:
        """Gates along axis 1 brought from the caller's order into OpenVINO's."""
        return _gates_reordered(weights, self._layout, self._order, 1)

    def bias(self, given: Value | None) -> Value:
        return self._zeros(self._directions, len(self._order) * self._hidden) if given is None else self.ordered(given)

    def gates(self, value: Value, first: int, last: int) -> Value:
        """The gates `first` up to `last` (exclusive) of a bias."""
        bounds = (int_constant([gate * self._hidden]) for gate in (first, last))
        return opset.slice(value, *bounds, int_constant([1]), int_constant([1]))

    def results(self, node: Any, return_sequence: bool) -> list[Value]:
        """Final states [directions, batch, hidden], then the sequence [steps, directions, batch, hidden]."""
        sequence, *states = node.outputs()
        results = [transpose(state, (1, 0, 2)) for state in states]
        return [*results, transpose(sequence, (2, 1, 0, 3))] if return_sequence else results

    def _zeros(self, *shape: int) -> Value:
        return constant(np.zeros(shape, self._node.output.data_type.storage))


@lowers(ops.gru_cell)
def gru_cell(
    node: Node,
    input: Value,
    weight: Value,
    recurrent_weight: Value,
    hidden_state: Value,
    bias: Value | None,
    recurrent_bias: Value | None,
    *,
    reset_after: bool,
    layout: str,
    activations: Sequence[str],
    **_hidden_size: int,
) -> Value:
    gate, new = (_ACTIVATIONS[name] for name in activations)
    order = {letter: index for index, letter in enumerate(layout)}
    taken = _split_gates(_affine(input, weight, bias), 3)
    recurrent_weights = _split_gates(recurrent_weight, 3, axis=0)
    recurrent_biases = [None] * 3 if recurrent_bias is None else _split_gates(recurrent_bias, 3, axis=0)

    def recurrent(letter: str, state: Value) -> Value:
        return _affine(state, recurrent_weights[order[letter]], recurrent_biases[order[letter]])

    update = gate(opset.add(taken[order["z"]], recurrent("z", hidden_state)))
    reset = gate(opset.add(taken[order["r"]], recurrent("r", hidden_state)))
    if reset_after:
        remembered = opset.multiply(reset, recurrent("n", hidden_state))
    else:
        remembered = recurrent("n", opset.multiply(reset, hidden_state))
    candidate = new(opset.add(taken[order["n"]], remembered))
    kept = opset.multiply(update, hidden_state)
    return opset.add(kept, opset.multiply(opset.subtract(node.scalar(1), update), candidate))


@lowers(ops.lstm_cell)
def lstm_cell(
    _node: Node,
    input: Value,
    weight: Value,
    recurrent_weight: Value,
    hidden_state: Value,
    cell_state: Value,
    bias: Value | None,
    recurrent_bias: Value | None,
    peephole_weight: Value | None,
    *,
    layout: str,
    activations: Sequence[str],
    **_hidden_size: int,
) -> list[Value]:
    """All three peepholes look at the previous cell state, as in the specification's emulation."""
    gate, cell_gate, output = (_ACTIVATIONS[name] for name in activations)
    sums = opset.add(_affine(input, weight, bias), _affine(hidden_state, recurrent_weight, recurrent_bias))
    parts = dict(zip(layout, _split_gates(sums, 4), strict=True))
    if peephole_weight is not None:
        for letter, peephole in zip("iof", _split_gates(peephole_weight, 3, axis=0), strict=True):
            parts[letter] = opset.add(parts[letter], opset.multiply(peephole, cell_state))
    cell = opset.add(
        opset.multiply(gate(parts["f"]), cell_state), opset.multiply(gate(parts["i"]), cell_gate(parts["g"]))
    )
    return [opset.multiply(gate(parts["o"]), output(cell)), cell]


def _affine(value: Value, weights: Value, bias: Value | None) -> Value:
    whole = product(value, weights, b_transpose=True)
    return whole if bias is None else opset.add(whole, bias)


def _split_gates(value: Value, count: int, axis: int = 1) -> list[Value]:
    return list(opset.split(value, int_constant(axis), count).outputs())


def _gates_reordered(value: Value, layout: str, wanted: str, axis: int) -> Value:
    if layout == wanted:
        return value
    gates = _split_gates(value, len(layout), axis)
    return opset.concat([gates[layout.index(letter)] for letter in wanted], axis)
