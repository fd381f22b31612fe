"""Arithmetic, element by element, with broadcasting. Integers wrap around and never trap."""

from __future__ import annotations

import math

import numpy as np

from gpu_process.backends._interface import Array
from gpu_process.backends.reference._kernels import kernel
from ipc import operators as ops

# --- binary ---------------------------------------------------------------------------------------------------------


@kernel(ops.add)
def add(a: Array, b: Array) -> Array:
    """a + b"""
    return a + b


@kernel(ops.sub)
def sub(a: Array, b: Array) -> Array:
    """a - b"""
    return a - b


@kernel(ops.mul)
def mul(a: Array, b: Array) -> Array:
    """a * b"""
    return a * b


@kernel(ops.div)
def div(a: Array, b: Array) -> Array:
    """a / b; integers: truncated toward zero, 0 where b is 0, and the lowest value divided by -1 is itself."""
    if a.dtype.kind == "f":
        return a / b
    divisor = np.where(b == 0, b.dtype.type(1), b)
    floored = a // divisor
    inexact_below_zero = (floored * divisor != a) & ((a < 0) != (divisor < 0))
    return np.where(b == 0, a.dtype.type(0), floored + inexact_below_zero.astype(a.dtype))


@kernel(ops.max)
def max(a: Array, b: Array) -> Array:
    """The greater of a and b; NaN if either is."""
    return np.maximum(a, b)


@kernel(ops.min)
def min(a: Array, b: Array) -> Array:
    """The lesser of a and b; NaN if either is."""
    return np.minimum(a, b)


@kernel(ops.pow)
def pow(a: Array, b: Array) -> Array:
    """a ** b; integers: modulo 2**bits, and for b < 0 the real number truncated toward zero: 1 / a**-b.

    That is 1 or -1 for a of 1 or -1, and 0 for all others, a = 0 included (division by zero gives 0).
    """
    if a.dtype.kind == "f":
        return np.power(a, b)
    power = np.power(a, np.maximum(b, 0))
    unit_power = np.where(b % 2 == 0, a * a, a)
    return np.where(b >= 0, power, np.where(np.abs(a) == 1, unit_power, a.dtype.type(0)))


# --- unary ----------------------------------------------------------------------------------------------------------


@kernel(ops.abs)
def abs(x: Array) -> Array:
    """|x|; the lowest integer stays itself."""
    return np.abs(x)


@kernel(ops.ceil)
def ceil(x: Array) -> Array:
    """The least integer >= x."""
    return np.ceil(x)


@kernel(ops.cos)
def cos(x: Array) -> Array:
    """cos(x)"""
    return np.cos(x)


@kernel(ops.erf)
def erf(x: Array) -> Array:
    """2 / sqrt(pi) * integral of exp(-t**2) for t from 0 to x."""
    return np.asarray(_ERF(x))


@kernel(ops.exp)
def exp(x: Array) -> Array:
    """e ** x"""
    return np.exp(x)


@kernel(ops.floor)
def floor(x: Array) -> Array:
    """The greatest integer <= x."""
    return np.floor(x)


@kernel(ops.identity)
def identity(x: Array) -> Array:
    """x"""
    return x


@kernel(ops.log)
def log(x: Array) -> Array:
    """The natural logarithm of x."""
    return np.log(x)


@kernel(ops.neg)
def neg(x: Array) -> Array:
    """-x; the lowest integer stays itself."""
    return -x


@kernel(ops.reciprocal)
def reciprocal(x: Array) -> Array:
    """1 / x"""
    return 1 / x


@kernel(ops.round_even)
def round_even(x: Array) -> Array:
    """The nearest integer; of two, the even one."""
    return np.rint(x)


@kernel(ops.sign)
def sign(x: Array) -> Array:
    """1 if x > 0, -1 if x < 0, else 0: for NaN too."""
    return (x > 0).astype(x.dtype) - (x < 0).astype(x.dtype)


@kernel(ops.sin)
def sin(x: Array) -> Array:
    """sin(x)"""
    return np.sin(x)


@kernel(ops.sqrt)
def sqrt(x: Array) -> Array:
    """The square root of x; NaN where x < 0."""
    return np.sqrt(x)


@kernel(ops.tan)
def tan(x: Array) -> Array:
    """tan(x)"""
    return np.tan(x)


_ERF = np.vectorize(math.erf, otypes=[np.float64])  # NumPy has none; the C library's is good to the last bit or two
