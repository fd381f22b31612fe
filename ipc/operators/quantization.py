"""Linear quantization; scale and zero_point hold one value per block of the input."""

from __future__ import annotations

from ipc.descriptors import FLOATS, INT4S, DataType, Descriptor, blockwise_divides
from ipc.operators._declaration import operand, operator
from ipc.operators._rules import Rule

_QUANTIZED = {DataType.UINT8, DataType.INT8, DataType.UINT32, DataType.INT32}
_BYTES = {DataType.UINT8, DataType.INT8}

_RULES = {
    "scale_rank": "scale has the rank of the input",
    "zero_point_rank": "zero_point has the rank of the input",
    "same_shape": "scale and zero_point share a shape",
    "blockwise": "the sizes of scale and zero_point divide those of the input",
}


def _check(rule: Rule, input: Descriptor, scale: Descriptor, zero_point: Descriptor) -> None:
    rule("scale_rank", scale.rank == input.rank, scale=scale.shape, input=input.shape)
    rule("zero_point_rank", zero_point.rank == input.rank, zero_point=zero_point.shape, input=input.shape)
    rule("same_shape", scale.shape == zero_point.shape, scale=scale.shape, zero_point=zero_point.shape)
    rule("blockwise", blockwise_divides(scale.shape, input.shape), scale=scale.shape, input=input.shape)


@operator(
    input=operand(_QUANTIZED, required=_BYTES, extension=INT4S),
    scale=operand(FLOATS),
    zero_point=operand(_QUANTIZED, required=_BYTES | {DataType.INT32}, like="input", extension=INT4S),
    outputs={"output": operand(FLOATS)},
    rules=_RULES,
)
def dequantize_linear(rule: Rule, input: Descriptor, scale: Descriptor, zero_point: Descriptor) -> Descriptor:
    """(x - zero_point) * scale, computed in the data type of scale."""
    _check(rule, input, scale, zero_point)
    return Descriptor(scale.data_type, input.shape)


@operator(
    input=operand(FLOATS),
    scale=operand(FLOATS, like="input"),
    zero_point=operand(_QUANTIZED, required=_BYTES, extension=INT4S),
    outputs={"output": operand(_QUANTIZED, required=_BYTES, extension=INT4S)},
    rules=_RULES,
)
def quantize_linear(rule: Rule, input: Descriptor, scale: Descriptor, zero_point: Descriptor) -> Descriptor:
    """round_even(x / scale) + zero_point, clamped to the range of the data type of zero_point."""
    _check(rule, input, scale, zero_point)
    return Descriptor(zero_point.data_type, input.shape)
