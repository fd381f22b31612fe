"""Activation functions, softmax, clamp."""

from __future__ import annotations

import math

from gpu_process.backends.onnxruntime._lowering import Lowered, Lowering, in_float32, lowers
from gpu_process.backends.onnxruntime._values import Value
from gpu_process.backends.onnxruntime.elementwise import unary
from ipc import operators as ops
from ipc.numbers import MLNumber

unary(ops.gelu, "Gelu")
unary(ops.softplus, "Softplus")
unary(ops.softsign, "Softsign")
unary(ops.tanh, "Tanh")


@lowers(ops.clamp)
def clamp(node: Lowering, x: Value, *, min_value: MLNumber | None, max_value: MLNumber | None) -> Lowered:
    """NaN stays NaN, and infinity is not bounded by an absent bound, for which the kernel takes the greatest number."""
    if min_value is None and max_value is None:
        return x
    if x.is_float:
        min_value = -math.inf if min_value is None else min_value
        max_value = math.inf if max_value is None else max_value
    low, high = (None if bound is None else node.scalar(bound, x) for bound in (min_value, max_value))
    return node("Clip", x, low, high)


@lowers(ops.relu)
@in_float32
def relu(node: Lowering, x: Value) -> Lowered:
    """Integers by Max: there is no kernel for int64, and the optimiser, which joins a Relu and a Clip that follows,
    fails on those of int32 and int8."""
    return node("Relu", x) if x.is_float else node("Max", x, node.scalar(0, x))


@lowers(ops.prelu)
@in_float32
def prelu(node: Lowering, x: Value, slope: Value) -> Lowered:
    """The kernel is for floats only, and broadcasts only the slope."""
    if x.is_float:
        return node("PRelu", node.expand(x, node.outputs[0].shape), slope)
    zero = node.scalar(0, x)
    below = node.binary("Mul", slope, node.binary("Min", x, zero))
    return node.binary("Add", node.binary("Max", x, zero), below)


@lowers(ops.elu)
@in_float32
def elu(node: Lowering, x: Value, *, alpha: float) -> Lowered:
    """alpha * expm1(x) below 0: the kernel subtracts 1 from exp(x), and loses what is near 0.

    expm1(x) = 2 t / (1 - t) with t = tanh(x / 2).
    """
    t = node("Tanh", node.binary("Mul", x, node.scalar(0.5, x)))
    double = node.binary("Mul", t, node.scalar(2, x))
    below = node.binary(
        "Mul", node.binary("Div", double, node.binary("Sub", node.scalar(1, x), t)), node.scalar(alpha, x)
    )
    return node.select(node.compare("Less", x, node.scalar(0, x)), below, x)


@lowers(ops.leaky_relu)
@in_float32
def leaky_relu(node: Lowering, x: Value, *, alpha: float) -> Lowered:
    return node("LeakyRelu", x, alpha=alpha)


@lowers(ops.hard_sigmoid)
@in_float32
def hard_sigmoid(node: Lowering, x: Value, *, alpha: float, beta: float) -> Lowered:
    return node("HardSigmoid", x, alpha=alpha, beta=beta)


@lowers(ops.hard_swish)
@in_float32
def hard_swish(node: Lowering, x: Value) -> Lowered:
    """By its definition: ONNX's uses the rounded factor 1/6, and loses the last digits near -3."""
    clipped = node("Clip", node.binary("Add", x, node.scalar(3, x)), node.scalar(0, x), node.scalar(6, x))
    return node.binary("Mul", x, node.binary("Div", clipped, node.scalar(6, x)))


@lowers(ops.linear)
@in_float32
def linear(node: Lowering, x: Value, *, alpha: float, beta: float) -> Lowered:
    return node.binary("Add", node.binary("Mul", x, node.scalar(alpha, x)), node.scalar(beta, x))


@lowers(ops.sigmoid)
@in_float32
def sigmoid(node: Lowering, x: Value) -> Lowered:
    """By its definition: the kernel's approximation is 190 ULP off at -6."""
    return node("Reciprocal", node.binary("Add", node("Exp", node("Neg", x)), node.scalar(1, x)))


@lowers(ops.softmax)
@in_float32
def softmax(node: Lowering, x: Value, *, axis: int) -> Lowered:
    return node("Softmax", x, axis=axis)
