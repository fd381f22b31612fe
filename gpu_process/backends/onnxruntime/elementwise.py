"""Arithmetic, element by element. Integers wrap around and never trap."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gpu_process.backends.onnxruntime._guards import guarded_divisor
from gpu_process.backends.onnxruntime._lowering import Lowered, Lowering, in_float32, lowers
from gpu_process.backends.onnxruntime._values import ElementType, Value
from ipc import operators as ops
from ipc.operators import Operator

# --- binary ---------------------------------------------------------------------------------------------------------


def _binary(operator: Operator, op_type: str) -> None:
    """A kernel that exists, with the meaning wanted, for all types but float16."""

    @lowers(operator)
    @in_float32
    def lowering(node: Lowering, a: Value, b: Value) -> Lowered:
        return node.binary(op_type, a, b)


_binary(ops.add, "Add")
_binary(ops.sub, "Sub")
_binary(ops.mul, "Mul")
_binary(ops.max, "Max")
_binary(ops.min, "Min")


@lowers(ops.div)
@in_float32
def div(node: Lowering, a: Value, b: Value) -> Lowered:
    """Integers are divided by a divisor that can't trap, and the quotient is then corrected."""
    if a.is_float or not node.guards:
        return node.binary("Div", a, b)
    divisor, correction = guarded_divisor(node, b)
    return node.binary("Mul", node.binary("Div", a, divisor), correction)


@lowers(ops.pow)
@in_float32
def pow(node: Lowering, a: Value, b: Value) -> Lowered:
    """Integers by repeated squaring: the kernel computes them in floating point."""
    if a.is_float:
        return node.binary("Pow", a, b)
    if a.data_type in _UNSIGNED:
        return _non_negative_power(node, a, b)
    zero, one = node.scalar(0, a), node.scalar(1, a)
    power = _non_negative_power(node, a, node.binary("Max", b, zero))
    # 1 / a**n truncated toward zero: a itself or its square for a = 1 and -1, 0 for all others
    odd = node.cast(node.binary("BitwiseAnd", b, one), ElementType.BOOL)
    unit = node.cast(node.compare("Equal", node("Abs", a), one), a.data_type)
    inverse = node.binary("Mul", node.select(odd, a, one), unit)
    return node.select(node.compare("Less", b, zero), inverse, power)


def _non_negative_power(node: Lowering, a: Value, b: Value) -> Value:
    """a ** b modulo 2**bits: a Scan over the bits of b, from the lowest, squaring as it goes."""
    one = node.scalar(1, a)
    bits = 8 * a.data_type.dtype.itemsize
    masks = node.constant(np.left_shift(np.uint64(1), np.arange(bits, dtype=np.uint64)).astype(a.data_type.dtype))
    start = node.expand(one, node.binary("Mul", a, b).shape)
    body = node.body()
    power, square = body.parameter(a.data_type, start.shape), body.parameter(a.data_type, a.shape)
    mask = body.parameter(a.data_type, ())
    is_set = body.cast(body.cast(body.binary("BitwiseAnd", b, mask), ElementType.BOOL), a.data_type)
    factor = body.binary("Add", one, body.binary("Mul", is_set, body.binary("Sub", square, one)))
    results = [body.binary("Mul", power, factor), body.binary("Mul", square, square)]
    graph = body.finished([power, square, mask], results)
    outputs = [(a.data_type, start.shape), (a.data_type, a.shape)]
    return node.several("Scan", (start, a, masks), outputs, body=graph, num_scan_inputs=1)[0]


# --- unary ----------------------------------------------------------------------------------------------------------


def unary(operator: Operator, op_type: str) -> Callable[..., Lowered]:
    """A kernel that exists, with the meaning wanted, for all declared types but float16."""

    @lowers(operator)
    @in_float32
    def lowering(node: Lowering, x: Value) -> Lowered:
        return node(op_type, x)

    return lowering


unary(ops.abs, "Abs")
unary(ops.ceil, "Ceil")
unary(ops.cos, "Cos")
unary(ops.erf, "Erf")
unary(ops.exp, "Exp")
unary(ops.floor, "Floor")
unary(ops.log, "Log")
unary(ops.neg, "Neg")
unary(ops.reciprocal, "Reciprocal")
unary(ops.round_even, "Round")
unary(ops.sin, "Sin")
unary(ops.sqrt, "Sqrt")
unary(ops.tan, "Tan")


@lowers(ops.identity)
def identity(_node: Lowering, x: Value) -> Lowered:
    """The same value; where it is an output of the graph, that makes the copy."""
    return x


@lowers(ops.sign)
@in_float32
def sign(node: Lowering, x: Value) -> Lowered:
    """By comparison for floats: the kernel gives NaN for NaN."""
    if not x.is_float:
        return node("Sign", x)
    zero = node.scalar(0, x)
    above, below = node.compare("Greater", x, zero), node.compare("Less", x, zero)
    return node.binary("Sub", node.cast(above, x.data_type), node.cast(below, x.data_type))


_UNSIGNED = frozenset({ElementType.UINT8, ElementType.UINT32, ElementType.UINT64})
