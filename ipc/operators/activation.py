"""Activation functions."""

from __future__ import annotations

import math

from ipc.descriptors import ANY, FLOATS, SIGNED_INTEGERS, Descriptor
from ipc.operators._attributes import finite, number, uint32
from ipc.operators._declaration import Options, operand, operator
from ipc.operators._families import AXIS_RULES, broadcast, check_axis, unary
from ipc.operators._rules import Rule


class EluOptions(Options):
    alpha: float = finite(1.0, cast_to="input")


class LeakyReluOptions(Options):
    alpha: float = finite(0.01, cast_to="input")


class HardSigmoidOptions(Options):
    alpha: float = finite(0.2, cast_to="input")
    beta: float = finite(0.5, cast_to="input")


class LinearOptions(Options):
    alpha: float = finite(1.0, cast_to="input")
    beta: float = finite(0.0, cast_to="input")


elu = unary("elu", FLOATS, "max(0, x) + alpha * (exp(min(0, x)) - 1)", options=EluOptions)
gelu = unary("gelu", FLOATS, "0.5 * x * (1 + erf(x / sqrt(2)))")
hard_sigmoid = unary("hard_sigmoid", FLOATS, "max(0, min(1, alpha * x + beta))", options=HardSigmoidOptions)
hard_swish = unary("hard_swish", FLOATS, "x * max(0, min(6, x + 3)) / 6")
leaky_relu = unary("leaky_relu", FLOATS, "max(0, x) + alpha * min(0, x)", options=LeakyReluOptions)
linear = unary("linear", FLOATS, "alpha * x + beta", options=LinearOptions)
relu = unary("relu", FLOATS | SIGNED_INTEGERS, "max(0, x)", required=FLOATS)
sigmoid = unary("sigmoid", FLOATS, "1 / (exp(-x) + 1)")
softplus = unary("softplus", FLOATS, "ln(1 + exp(x))")
softsign = unary("softsign", FLOATS, "x / (1 + |x|)")
tanh = unary("tanh", FLOATS, "(exp(2 * x) - 1) / (exp(2 * x) + 1)")


class ClampOptions(Options):
    min_value: int | float | None = number(None, cast_to="input")
    max_value: int | float | None = number(None, cast_to="input")


@operator(
    input=operand(ANY, required=FLOATS),
    options=ClampOptions,
    rules={"bounds": "min_value is at most max_value"},
)
def clamp(rule: Rule, input: Descriptor, options: ClampOptions) -> Descriptor:
    """min(max(x, min_value), max_value).

    An absent bound is not applied. The bounds are compared as values of the input's data type; NaN is in no order.
    """
    low = -math.inf if options.min_value is None else options.min_value
    high = math.inf if options.max_value is None else options.max_value
    rule("bounds", low <= high, min_value=low, max_value=high)
    return input


@operator(
    input=operand(FLOATS | SIGNED_INTEGERS, required=FLOATS),
    slope=operand(FLOATS | SIGNED_INTEGERS, required=FLOATS, like="input"),
    rules={"broadcast": "the shapes of input and slope broadcast"},
)
def prelu(rule: Rule, input: Descriptor, slope: Descriptor) -> Descriptor:
    """max(0, x) + slope * min(0, x)."""
    return Descriptor(input.data_type, broadcast(rule, "broadcast", input=input, slope=slope))


@operator(input=operand(FLOATS, (1, None)), axis=uint32(), rules=AXIS_RULES)
def softmax(rule: Rule, input: Descriptor, axis: int) -> Descriptor:
    """exp(x - m) / sum(exp(x - m)) along axis, m the maximum along it."""
    check_axis(rule, axis, input)
    return input
