"""Activation functions; floats only."""

from __future__ import annotations

import math
from collections.abc import Sequence

from openvino import opset15 as opset

from gpu_process.backends.openvino._lowering import Node, Value, lowers
from gpu_process.backends.openvino._values import absolute, divide, float32, follows_product, in_float32, keep_nan
from ipc import operators as ops


@lowers(ops.elu)
def elu(node: Node, input: Value, *, alpha: float) -> Value:
    """OpenVINO's own where it becomes a part of a product's kernel; elsewhere alpha * expm1(x) without cancellation.

    expm1(x) = 2 t / (1 - t) with t = tanh(x / 2).
    """
    if follows_product(input):
        return opset.elu(input, alpha)

    def accurate(x: Value) -> Value:
        t = opset.tanh(opset.multiply(x, float32(0.5)))
        below = opset.divide(opset.multiply(t, float32(2 * alpha)), opset.subtract(float32(1), t))
        return opset.select(opset.less(x, float32(0)), below, x)

    return in_float32(node, input, accurate)


_ERFC = (
    -1.26551223,
    1.00002368,
    0.37409196,
    0.09678418,
    -0.18628806,
    0.27886807,
    -1.13520398,
    1.48851587,
    -0.82215223,
    0.17087277,
)
"""erfc(z) = t * exp(-z * z + P(t)) with t = 1 / (1 + z / 2), to a relative 1.2e-7. Source: Numerical Recipes, erfcc."""


_NO_TAIL = 16.0  # no float32 is as small as what the normal law has beyond it


@lowers(ops.gelu)
def gelu(node: Node, input: Value) -> Value:
    """OpenVINO's own where it becomes a part of a product's kernel; elsewhere by erfc, exact in the left tail too."""
    if follows_product(input):
        return opset.gelu(input, "erf")

    def accurate(x: Value) -> Value:
        distance = opset.minimum(absolute(x), float32(_NO_TAIL))
        half_z = opset.multiply(distance, float32(math.sqrt(0.125)))
        t = opset.divide(float32(1), opset.add(half_z, float32(1)))
        # z * z = x * x / 2 in two parts, of which the great one is exact: its rounding would be the tail's error.
        coarse = opset.divide(opset.floor(opset.multiply(distance, float32(16))), float32(16))
        rest = opset.multiply(opset.subtract(distance, coarse), opset.add(distance, coarse))
        fine = opset.exp(opset.subtract(_polynomial(t, _ERFC), opset.multiply(rest, float32(0.5))))
        power = opset.multiply(fine, opset.exp(opset.multiply(opset.multiply(coarse, coarse), float32(-0.5))))
        tail = opset.multiply(opset.multiply(t, power), float32(0.5))  # the normal law beyond |x|
        share = opset.select(opset.less(x, float32(0)), tail, opset.subtract(float32(1), tail))
        return keep_nan(x, opset.multiply(x, share))

    return in_float32(node, input, accurate)


def _polynomial(variable: Value, coefficients: Sequence[float]) -> Value:
    """By Horner's rule, the constant term first."""
    *rest, last = coefficients
    result = float32(last)
    for coefficient in reversed(rest):
        result = opset.add(opset.multiply(result, variable), float32(coefficient))
    return result


@lowers(ops.hard_sigmoid)
def hard_sigmoid(node: Node, input: Value, *, alpha: float, beta: float) -> Value:
    """Said with arithmetic: OpenVINO's HardSigmoid takes an alpha or beta of 0 for one that was not given."""
    line = opset.add(opset.multiply(input, node.scalar(alpha)), node.scalar(beta))
    return keep_nan(input, opset.clamp(line, 0.0, 1.0))


@lowers(ops.hard_swish)
def hard_swish(node: Node, input: Value) -> Value:
    """OpenVINO's own where it becomes a part of a product's kernel; elsewhere x * ((clamp(x, -3, 3) + 3) / 6), which
    neither loses the last digits near -3 nor overflows."""
    if follows_product(input):
        return opset.hswish(input)
    gate = opset.add(opset.clamp(input, -3.0, 3.0), node.scalar(3))
    return opset.multiply(input, divide(gate, node.scalar(6)))


@lowers(ops.leaky_relu)
def leaky_relu(node: Node, input: Value, *, alpha: float) -> Value:
    return opset.prelu(input, node.scalar(alpha))


@lowers(ops.linear)
def linear(node: Node, input: Value, *, alpha: float, beta: float) -> Value:
    return opset.add(opset.multiply(input, node.scalar(alpha)), node.scalar(beta))


@lowers(ops.prelu)
def prelu(node: Node, input: Value, slope: Value) -> Value:
    """Said with a selection: OpenVINO's PRelu gives a slope of rank 1 a meaning of its own."""
    return opset.select(opset.less(input, node.scalar(0)), opset.multiply(input, slope), input)


@lowers(ops.relu)
def relu(_node: Node, input: Value) -> Value:
    rectified = opset.relu(input)
    return rectified if follows_product(input) else keep_nan(input, rectified)


@lowers(ops.sigmoid)
def sigmoid(_node: Node, input: Value) -> Value:
    return opset.sigmoid(input)


@lowers(ops.softmax)
def softmax(_node: Node, input: Value, *, axis: int) -> Value:
    return opset.softmax(input, axis)


_ATANH_TERMS = 8


@lowers(ops.softplus)
def softplus(node: Node, input: Value) -> Value:
    """max(x, 0) + log1p(exp(-|x|)): OpenVINO's own loses the left tail.

    log1p(u) = 2 atanh(s) with s = u / (2 + u), at most 1 / 3, by its series.
    """

    def accurate(x: Value) -> Value:
        u = opset.exp(opset.negative(absolute(x)))
        s = opset.divide(u, opset.add(u, float32(2)))
        series = _polynomial(opset.multiply(s, s), [2 / (2 * term + 1) for term in range(_ATANH_TERMS)])
        return keep_nan(x, opset.add(opset.relu(x), opset.multiply(s, series)))

    return in_float32(node, input, accurate)


@lowers(ops.softsign)
def softsign(node: Node, input: Value) -> Value:
    return opset.divide(input, opset.add(absolute(input), node.scalar(1)))


@lowers(ops.tanh)
def tanh(_node: Node, input: Value) -> Value:
    return opset.tanh(input)
