"""Activation functions. Integers, where they are allowed, come as they are and wrap around."""

from __future__ import annotations

import math

import numpy as np

from gpu_process.backends._interface import Array
from gpu_process.backends.reference._kernels import kernel
from ipc import operators as ops
from ipc.numbers import MLNumber


@kernel(ops.clamp)
def clamp(x: Array, *, min_value: MLNumber | None, max_value: MLNumber | None) -> Array:
    """min(max(x, min_value), max_value); an absent bound is not applied; NaN stays NaN."""
    if min_value is not None:
        x = np.maximum(x, min_value)
    if max_value is not None:
        x = np.minimum(x, max_value)
    return x


@kernel(ops.elu)
def elu(x: Array, *, alpha: float) -> Array:
    """x, or alpha * (exp(x) - 1) below 0: a choice, so that an infinite alpha has no influence where x >= 0."""
    return np.where(x < 0, alpha * np.expm1(x), x)


@kernel(ops.gelu)
def gelu(x: Array) -> Array:
    """0.5 * x * (1 + erf(x / sqrt(2))), where 1 + erf(t) = erfc(-t) does not cancel for negative t."""
    return 0.5 * x * _ERFC(-x / math.sqrt(2))


@kernel(ops.hard_sigmoid)
def hard_sigmoid(x: Array, *, alpha: float, beta: float) -> Array:
    """max(0, min(1, alpha * x + beta))"""
    return np.maximum(0, np.minimum(1, alpha * x + beta))


@kernel(ops.hard_swish)
def hard_swish(x: Array) -> Array:
    """x * max(0, min(6, x + 3)) / 6"""
    return x * np.maximum(0, np.minimum(6, x + 3)) / 6


@kernel(ops.leaky_relu)
def leaky_relu(x: Array, *, alpha: float) -> Array:
    """x, or alpha * x below 0: a choice, so that an infinite alpha has no influence where x >= 0."""
    return np.where(x < 0, alpha * x, x)


@kernel(ops.linear)
def linear(x: Array, *, alpha: float, beta: float) -> Array:
    """alpha * x + beta"""
    return alpha * x + beta


@kernel(ops.prelu)
def prelu(x: Array, slope: Array) -> Array:
    """max(0, x) + slope * min(0, x), said as a choice so that the slope has no influence where x >= 0."""
    return np.where(x < 0, slope * x, x)


@kernel(ops.relu)
def relu(x: Array) -> Array:
    """max(0, x); NaN stays NaN"""
    return np.maximum(0, x)


@kernel(ops.sigmoid)
def sigmoid(x: Array) -> Array:
    """1 / (exp(-x) + 1)"""
    return 1 / (np.exp(-x) + 1)


@kernel(ops.softmax)
def softmax(x: Array, *, axis: int) -> Array:
    """exp(x - m) / sum(exp(x - m)) along axis, where m is the maximum along it."""
    powers = np.exp(x - np.max(x, axis=axis, keepdims=True))
    return powers / np.sum(powers, axis=axis, keepdims=True)


@kernel(ops.softplus)
def softplus(x: Array) -> Array:
    """ln(1 + exp(x)), without overflow"""
    return np.logaddexp(0, x)


@kernel(ops.softsign)
def softsign(x: Array) -> Array:
    """x / (1 + |x|)"""
    return x / (1 + np.abs(x))


@kernel(ops.tanh)
def tanh(x: Array) -> Array:
    """(exp(2 * x) - 1) / (exp(2 * x) + 1), without overflow"""
    return np.tanh(x)


_ERFC = np.vectorize(math.erfc, otypes=[np.float64])
