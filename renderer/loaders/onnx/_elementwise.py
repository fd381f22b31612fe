"""Element by element: arithmetic, logic, activations, casts, quantization."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import numpy as np
import onnx

from renderer.loaders.onnx._node import Array, Node, translates
from renderer.operand import MLOperand

SAME: Final = {
    "Abs": "abs",
    "Add": "add",
    "And": "logical_and",
    "Ceil": "ceil",
    "Cos": "cos",
    "Div": "div",
    "Equal": "equal",
    "Erf": "erf",
    "Exp": "exp",
    "Floor": "floor",
    "Greater": "greater",
    "GreaterOrEqual": "greater_or_equal",
    "HardSwish": "hard_swish",
    "Identity": "identity",
    "IsNaN": "is_nan",
    "Less": "lesser",
    "LessOrEqual": "lesser_or_equal",
    "Log": "log",
    "MatMul": "matmul",
    "Mul": "mul",
    "Neg": "neg",
    "Not": "logical_not",
    "Or": "logical_or",
    "PRelu": "prelu",
    "Pow": "pow",
    "Reciprocal": "reciprocal",
    "Relu": "relu",
    "Round": "round_even",
    "Sigmoid": "sigmoid",
    "Sign": "sign",
    "Sin": "sin",
    "Softplus": "softplus",
    "Softsign": "softsign",
    "Sqrt": "sqrt",
    "Sub": "sub",
    "Tan": "tan",
    "Tanh": "tanh",
    "Where": "where",
    "Xor": "logical_xor",
}
"""ONNX operators without attributes whose inputs are those of a WebNN operator."""


def _same(method: str) -> Callable[..., MLOperand]:
    def translation(node: Node, *operands: MLOperand) -> MLOperand:
        return node(method, *operands)

    return translation


for _op_type, _method in SAME.items():
    translates(_op_type)(_same(_method))


@translates("Max", "Min", "Sum")
def of_any_number(node: Node, first: MLOperand, *others: MLOperand) -> MLOperand:
    method = {"Max": "max", "Min": "min", "Sum": "add"}[node.proto.op_type]
    for other in others:
        first = node(method, first, other)
    return first


@translates("Elu")
def elu(node: Node, x: MLOperand, *, alpha: float = 1.0) -> MLOperand:
    return node("elu", x, alpha=alpha)


@translates("LeakyRelu")
def leaky_relu(node: Node, x: MLOperand, *, alpha: float = 0.01) -> MLOperand:
    return node("leaky_relu", x, alpha=alpha)


@translates("HardSigmoid")
def hard_sigmoid(node: Node, x: MLOperand, *, alpha: float = 0.2, beta: float = 0.5) -> MLOperand:
    return node("hard_sigmoid", x, alpha=alpha, beta=beta)


@translates("Gelu")
def gelu(node: Node, x: MLOperand, *, approximate: str = "none") -> MLOperand:
    if approximate == "none":
        return node("gelu", x)
    cubic = node("mul", node("mul", node("mul", x, x), x), node.constant(0.044715, x))
    inner = node("mul", node("add", x, cubic), node.constant(math.sqrt(2 / math.pi), x))
    half = node("mul", x, node.constant(0.5, x))
    return node("mul", half, node("add", node("tanh", inner), node.constant(1, x)))


@translates("Clip", known=("minimum", "maximum"))
def clip(node: Node, x: MLOperand, minimum: Array | None = None, maximum: Array | None = None) -> MLOperand:
    bounds = {"min_value": minimum, "max_value": maximum}
    return node("clamp", x, **{name: bound.item() for name, bound in bounds.items() if bound is not None})


@translates("Cast")
def cast(node: Node, x: MLOperand, *, to: int, saturate: int = 1) -> MLOperand:
    del saturate  # of 8-bit floats, which WebNN does not have
    if to == onnx.TensorProto.BOOL:
        return node("not_equal", x, node.constant(0, x))
    return node("cast", x, np.dtype(onnx.helper.tensor_dtype_to_np_dtype(to)).name)


@translates("IsInf")
def is_infinite(node: Node, x: MLOperand, *, detect_negative: int = 1, detect_positive: int = 1) -> MLOperand:
    node.require(bool(detect_negative and detect_positive), "one sign alone")
    return node("is_infinite", x)


@translates("Dropout", known=("ratio", "training"))
def dropout(
    node: Node, x: MLOperand, ratio: Array | None = None, training: Array | None = None, *, seed: int = 0
) -> MLOperand:
    del ratio, seed
    node.require(training is None or not training, "training")
    return node("identity", x)


@translates("QuantizeLinear", "DequantizeLinear", known=("scale", "zero_point"))
def quantization(
    node: Node, x: MLOperand, scale: Array, zero_point: Array | None = None, *, axis: int = 1, block_size: int = 0
) -> MLOperand:
    node.require(block_size == 0, "a block size")
    backward = node.proto.op_type == "DequantizeLinear"
    zeros = np.zeros(scale.shape, x.data_type.storage if backward else np.uint8) if zero_point is None else zero_point
    shape = [1] * len(x.shape)
    if scale.ndim:
        shape[axis] = scale.size
    scales, points = (node.builder.constant(it.reshape(shape)) for it in (scale, zeros))
    return node("dequantize_linear" if backward else "quantize_linear", x, scales, points)
