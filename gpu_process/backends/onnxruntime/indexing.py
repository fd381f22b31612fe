"""Gather and scatter, their indices guarded. Negative indices the kernels count from the end themselves."""

from __future__ import annotations

from gpu_process.backends.onnxruntime import _guards as guards
from gpu_process.backends.onnxruntime._lowering import Lowered, Lowering, lowers
from gpu_process.backends.onnxruntime._values import Value
from ipc import operators as ops


@lowers(ops.gather)
def gather(node: Lowering, x: Value, indices: Value, *, axis: int) -> Lowered:
    guarded = guards.index(node, indices, x.shape[axis])
    return node("Gather", x, guarded, shape=node.outputs[0].shape, axis=axis)


@lowers(ops.gather_elements)
def gather_elements(node: Lowering, x: Value, indices: Value, *, axis: int) -> Lowered:
    guarded = guards.index(node, indices, x.shape[axis])
    return node("GatherElements", x, guarded, shape=indices.shape, axis=axis)


@lowers(ops.gather_nd)
def gather_nd(node: Lowering, x: Value, indices: Value) -> Lowered:
    guarded = guards.coordinates(node, indices, x.shape[: indices.shape[-1]])
    return node("GatherND", x, guarded, shape=node.outputs[0].shape)


@lowers(ops.scatter_elements)
def scatter_elements(node: Lowering, x: Value, indices: Value, updates: Value, *, axis: int) -> Lowered:
    guarded = guards.index(node, indices, x.shape[axis])
    return node("ScatterElements", x, guarded, updates, axis=axis)


@lowers(ops.scatter_nd)
def scatter_nd(node: Lowering, x: Value, indices: Value, updates: Value) -> Lowered:
    guarded = guards.coordinates(node, indices, x.shape[: indices.shape[-1]])
    return node("ScatterND", x, guarded, updates)
