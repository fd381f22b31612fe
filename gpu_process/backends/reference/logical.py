"""Comparisons, logic and selection. Results of comparisons are 0 and 1; any value but 0 is true."""

from __future__ import annotations

import numpy as np

from gpu_process.backends._interface import Array
from gpu_process.backends.reference._kernels import kernel
from ipc import operators as ops


@kernel(ops.equal)
def equal(a: Array, b: Array) -> Array:
    """a == b"""
    return a == b


@kernel(ops.not_equal)
def not_equal(a: Array, b: Array) -> Array:
    """a != b: true where either is NaN."""
    return a != b


@kernel(ops.greater)
def greater(a: Array, b: Array) -> Array:
    """a > b"""
    return a > b


@kernel(ops.greater_or_equal)
def greater_or_equal(a: Array, b: Array) -> Array:
    """a >= b: not the negation of a < b, for NaN."""
    return a >= b


@kernel(ops.lesser)
def lesser(a: Array, b: Array) -> Array:
    """a < b"""
    return a < b


@kernel(ops.lesser_or_equal)
def lesser_or_equal(a: Array, b: Array) -> Array:
    """a <= b"""
    return a <= b


@kernel(ops.logical_not)
def logical_not(a: Array) -> Array:
    """a is 0"""
    return a == 0


@kernel(ops.logical_and)
def logical_and(a: Array, b: Array) -> Array:
    """Neither a nor b is 0."""
    return (a != 0) & (b != 0)


@kernel(ops.logical_or)
def logical_or(a: Array, b: Array) -> Array:
    """Not both a and b are 0."""
    return (a != 0) | (b != 0)


@kernel(ops.logical_xor)
def logical_xor(a: Array, b: Array) -> Array:
    """One of a and b is 0, the other is not."""
    return (a != 0) ^ (b != 0)


@kernel(ops.is_nan)
def is_nan(a: Array) -> Array:
    """a is a NaN"""
    return np.isnan(a)


@kernel(ops.is_infinite)
def is_infinite(a: Array) -> Array:
    """a is +infinity or -infinity"""
    return np.isinf(a)


@kernel(ops.where)
def where(condition: Array, true_value: Array, false_value: Array) -> Array:
    """true_value where condition is not 0, else false_value; what is not selected has no influence."""
    return np.where(condition != 0, true_value, false_value)
