"""Recurrent networks and their single steps.

G gates (3 for GRU, 4 for LSTM) lie one after the other in weights and biases, in the order of `layout`; D is the number
of directions.
"""

from __future__ import annotations

from collections.abc import Sequence

from ipc.descriptors import FLOATS, MAX_DIMENSION, Descriptor
from ipc.operators._attributes import boolean, enumeration, list_of, uint32
from ipc.operators._declaration import Options, operand, operator, optional
from ipc.operators._rules import Rule

_ACTIVATION = enumeration("relu", "sigmoid", "tanh")
_GRU_GATES, _LSTM_GATES, _PEEPHOLES = 3, 4, 3


def _shape_rules(**sentences: str) -> dict[str, str]:
    return {f"{name}_shape": f"{name} has the shape {shape}" for name, shape in sentences.items()}


def _expect(rule: Rule, name: str, operand: Descriptor | None, *shape: int) -> None:
    """The rule `<name>_shape` for an operand that is there, after the checks of its slot where it is an option."""
    if operand is not None:
        rule.slot(name)
        rule(f"{name}_shape", operand.shape == shape, **{name: operand.shape, "expected": shape})


def _directions(direction: str) -> int:
    return 2 if direction == "both" else 1


class _GruOptions(Options):
    bias: Descriptor | None
    recurrent_bias: Descriptor | None
    reset_after: bool = boolean(True)
    layout: str = enumeration("zrn", "rzn", default="zrn")
    activations: tuple[str, ...] = list_of(_ACTIVATION, ("sigmoid", "tanh"))


class _LstmOptions(Options):
    bias: Descriptor | None
    recurrent_bias: Descriptor | None
    peephole_weight: Descriptor | None
    layout: str = enumeration("iofg", "ifgo", default="iofg")
    activations: tuple[str, ...] = list_of(_ACTIVATION, ("sigmoid", "tanh", "tanh"))


class GruCellOptions(_GruOptions):
    bias = optional(FLOATS, 1, like="input")
    recurrent_bias = optional(FLOATS, 1, like="input")


class GruOptions(_GruOptions):
    bias = optional(FLOATS, 2, like="input")
    recurrent_bias = optional(FLOATS, 2, like="input")
    initial_hidden_state: Descriptor | None = optional(FLOATS, 3, like="input")
    return_sequence: bool = boolean(False)
    direction: str = enumeration("forward", "backward", "both", default="forward")


class LstmCellOptions(_LstmOptions):
    bias = optional(FLOATS, 1, like="input")
    recurrent_bias = optional(FLOATS, 1, like="input")
    peephole_weight = optional(FLOATS, 1, like="input")


class LstmOptions(_LstmOptions):
    bias = optional(FLOATS, 2, like="input")
    recurrent_bias = optional(FLOATS, 2, like="input")
    peephole_weight = optional(FLOATS, 2, like="input")
    initial_hidden_state: Descriptor | None = optional(FLOATS, 3, like="input")
    initial_cell_state: Descriptor | None = optional(FLOATS, 3, like="input")
    return_sequence: bool = boolean(False)
    direction: str = enumeration("forward", "backward", "both", default="forward")


def _check_hidden_size(rule: Rule, hidden_size: int, gates: int) -> None:
    rule("hidden_size", 1 <= 2 * gates * hidden_size <= MAX_DIMENSION, hidden_size=hidden_size)


def _hidden_size_rule(gates: int) -> dict[str, str]:
    return {"hidden_size": f"{2 * gates} * hidden_size is a valid dimension"}


def _check_activations(rule: Rule, activations: Sequence[str], count: int) -> None:
    rule("activations_length", len(activations) == count, activations=activations)


@operator(
    input=operand(FLOATS, 2),
    weight=operand(FLOATS, 2, like="input"),
    recurrent_weight=operand(FLOATS, 2, like="input"),
    hidden_state=operand(FLOATS, 2, like="input"),
    hidden_size=uint32(),
    options=GruCellOptions,
    rules=_shape_rules(
        weight="[3 * hidden_size, input size]",
        recurrent_weight="[3 * hidden_size, hidden_size]",
        hidden_state="[batch, hidden_size]",
    )
    | _hidden_size_rule(_GRU_GATES)
    | _shape_rules(bias="[3 * hidden_size]", recurrent_bias="[3 * hidden_size]")
    | {"activations_length": "activations has 2 entries"},
)
def gru_cell(
    rule: Rule,
    input: Descriptor,
    weight: Descriptor,
    recurrent_weight: Descriptor,
    hidden_state: Descriptor,
    hidden_size: int,
    options: GruCellOptions,
) -> Descriptor:
    """z * h + (1 - z) * n, one step of a gated recurrent unit.

    With s, t = activations: z = s(Wz x + bz + Rz h + rz), r likewise, and n = t(Wn x + bn + r * (Rn h + rn)) where
    reset_after, else n = t(Wn x + bn + Rn (r * h) + rn).
    """
    batch, size = input.shape
    gates = _GRU_GATES * hidden_size
    _expect(rule, "weight", weight, gates, size)
    _expect(rule, "recurrent_weight", recurrent_weight, gates, hidden_size)
    _expect(rule, "hidden_state", hidden_state, batch, hidden_size)
    _check_hidden_size(rule, hidden_size, _GRU_GATES)
    _expect(rule, "bias", options.bias, gates)
    _expect(rule, "recurrent_bias", options.recurrent_bias, gates)
    _check_activations(rule, options.activations, 2)
    return Descriptor(input.data_type, (batch, hidden_size))


@operator(
    input=operand(FLOATS, 3),
    weight=operand(FLOATS, 3, like="input"),
    recurrent_weight=operand(FLOATS, 3, like="input"),
    steps=uint32(),
    hidden_size=uint32(),
    options=GruOptions,
    outputs={"output0": operand(FLOATS, 3), "output1": operand(FLOATS, 4)},
    returns_list=True,
    rules={"steps": "steps is the first size of the input"}
    | _shape_rules(
        weight="[D, 3 * hidden_size, input size]",
        recurrent_weight="[D, 3 * hidden_size, hidden_size]",
    )
    | _hidden_size_rule(_GRU_GATES)
    | _shape_rules(
        bias="[D, 3 * hidden_size]",
        recurrent_bias="[D, 3 * hidden_size]",
        initial_hidden_state="[D, batch, hidden_size]",
    )
    | {"activations_length": "activations has 2 entries"},
)
def gru(
    rule: Rule,
    input: Descriptor,
    weight: Descriptor,
    recurrent_weight: Descriptor,
    steps: int,
    hidden_size: int,
    options: GruOptions,
) -> Sequence[Descriptor]:
    """gru_cell once per step, per direction; the last hidden state and, where return_sequence, all of them.

    The sequence is in the order of the input, also backward.
    """
    length, batch, size = input.shape
    directions, gates = _directions(options.direction), _GRU_GATES * hidden_size
    rule("steps", steps == length, steps=steps, input=input.shape)
    _expect(rule, "weight", weight, directions, gates, size)
    _expect(rule, "recurrent_weight", recurrent_weight, directions, gates, hidden_size)
    _check_hidden_size(rule, hidden_size, _GRU_GATES)
    _expect(rule, "bias", options.bias, directions, gates)
    _expect(rule, "recurrent_bias", options.recurrent_bias, directions, gates)
    _expect(rule, "initial_hidden_state", options.initial_hidden_state, directions, batch, hidden_size)
    _check_activations(rule, options.activations, 2)
    last = Descriptor(input.data_type, (directions, batch, hidden_size))
    if not options.return_sequence:
        return [last]
    return [last, Descriptor(input.data_type, (steps, directions, batch, hidden_size))]


@operator(
    input=operand(FLOATS, 2),
    weight=operand(FLOATS, 2, like="input"),
    recurrent_weight=operand(FLOATS, 2, like="input"),
    hidden_state=operand(FLOATS, 2, like="input"),
    cell_state=operand(FLOATS, 2, like="input"),
    hidden_size=uint32(),
    options=LstmCellOptions,
    outputs={"output0": operand(FLOATS, 2), "output1": operand(FLOATS, 2)},
    returns_list=True,
    rules=_shape_rules(
        weight="[4 * hidden_size, input size]",
        recurrent_weight="[4 * hidden_size, hidden_size]",
        hidden_state="[batch, hidden_size]",
        cell_state="[batch, hidden_size]",
    )
    | _hidden_size_rule(_LSTM_GATES)
    | _shape_rules(bias="[4 * hidden_size]", recurrent_bias="[4 * hidden_size]", peephole_weight="[3 * hidden_size]")
    | {"activations_length": "activations has 3 entries"},
)
def lstm_cell(
    rule: Rule,
    input: Descriptor,
    weight: Descriptor,
    recurrent_weight: Descriptor,
    hidden_state: Descriptor,
    cell_state: Descriptor,
    hidden_size: int,
    options: LstmCellOptions,
) -> Sequence[Descriptor]:
    """h' = o * u(c') and c' = f * c + i * g, one step of a long short-term memory.

    With s, t, u = activations: i = s(Wi x + bi + Ri h + ri + pi * c), f and o likewise, and
    g = t(Wg x + bg + Rg h + rg).
    """
    batch, size = input.shape
    gates = _LSTM_GATES * hidden_size
    _expect(rule, "weight", weight, gates, size)
    _expect(rule, "recurrent_weight", recurrent_weight, gates, hidden_size)
    _expect(rule, "hidden_state", hidden_state, batch, hidden_size)
    _expect(rule, "cell_state", cell_state, batch, hidden_size)
    _check_hidden_size(rule, hidden_size, _LSTM_GATES)
    _expect(rule, "bias", options.bias, gates)
    _expect(rule, "recurrent_bias", options.recurrent_bias, gates)
    _expect(rule, "peephole_weight", options.peephole_weight, _PEEPHOLES * hidden_size)
    _check_activations(rule, options.activations, 3)
    state = Descriptor(input.data_type, (batch, hidden_size))
    return [state, state]


@operator(
    input=operand(FLOATS, 3),
    weight=operand(FLOATS, 3, like="input"),
    recurrent_weight=operand(FLOATS, 3, like="input"),
    steps=uint32(),
    hidden_size=uint32(),
    options=LstmOptions,
    outputs={"output0": operand(FLOATS, 3), "output1": operand(FLOATS, 3), "output2": operand(FLOATS, 4)},
    returns_list=True,
    rules={"steps_positive": "steps is not 0", "steps": "steps is the first size of the input"}
    | _shape_rules(
        weight="[D, 4 * hidden_size, input size]",
        recurrent_weight="[D, 4 * hidden_size, hidden_size]",
    )
    | _hidden_size_rule(_LSTM_GATES)
    | _shape_rules(
        bias="[D, 4 * hidden_size]",
        recurrent_bias="[D, 4 * hidden_size]",
        peephole_weight="[D, 3 * hidden_size]",
        initial_hidden_state="[D, batch, hidden_size]",
        initial_cell_state="[D, batch, hidden_size]",
    )
    | {"activations_length": "activations has 3 entries"},
)
def lstm(
    rule: Rule,
    input: Descriptor,
    weight: Descriptor,
    recurrent_weight: Descriptor,
    steps: int,
    hidden_size: int,
    options: LstmOptions,
) -> Sequence[Descriptor]:
    """lstm_cell once per step, per direction; the last hidden and cell state and, where return_sequence, a sequence.

    The sequence is that of the hidden states, in the order of the input, also backward.
    """
    length, batch, size = input.shape
    directions, gates = _directions(options.direction), _LSTM_GATES * hidden_size
    rule("steps_positive", steps != 0, steps=steps)
    rule("steps", steps == length, steps=steps, input=input.shape)
    _expect(rule, "weight", weight, directions, gates, size)
    _expect(rule, "recurrent_weight", recurrent_weight, directions, gates, hidden_size)
    _check_hidden_size(rule, hidden_size, _LSTM_GATES)
    _expect(rule, "bias", options.bias, directions, gates)
    _expect(rule, "recurrent_bias", options.recurrent_bias, directions, gates)
    _expect(rule, "peephole_weight", options.peephole_weight, directions, _PEEPHOLES * hidden_size)
    _expect(rule, "initial_hidden_state", options.initial_hidden_state, directions, batch, hidden_size)
    _expect(rule, "initial_cell_state", options.initial_cell_state, directions, batch, hidden_size)
    _check_activations(rule, options.activations, 3)
    last = Descriptor(input.data_type, (directions, batch, hidden_size))
    if not options.return_sequence:
        return [last, last]
    return [last, last, Descriptor(input.data_type, (steps, directions, batch, hidden_size))]
