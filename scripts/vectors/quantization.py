"""Linear quantization: every type, per tensor, per axis, per block and per element."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

from scripts.vectors._suite import EXACT, Suite, ulp
from scripts.vectors._tensor import FLOATS, INF, NAN, Coordinate, Number, Tensor, computed, limits, mixed, ramp, tensor

_INTEGERS = ("uint8", "int8", "uint32", "int32")
_PACKED = ("int4", "uint4")
_BLOCKS: tuple[tuple[list[int], list[int]], ...] = (
    ([2, 4], [1, 1]),
    ([2, 4], [2, 1]),
    ([2, 4], [1, 4]),
    ([2, 4], [2, 2]),
    ([2, 4], [2, 4]),
    ([4, 6, 2], [2, 3, 1]),
    ([1, 2, 1, 2, 1, 4], [1, 1, 1, 2, 1, 2]),
    ([], []),
)


def suite() -> Suite:
    """Vectors of `quantizeLinear` and `dequantizeLinear`."""
    suite = Suite("quantization")
    for integer in (*_INTEGERS, *_PACKED):
        for float_type in FLOATS:
            for shape, blocks in _BLOCKS:
                _add(suite, integer, float_type, shape, blocks)
    _edges(suite)
    return suite


def dequantized(x: Tensor, scale: Tensor, zero_point: Tensor) -> Tensor:
    def element(at: Coordinate) -> Number:
        return (x[at] - zero_point[_block(at, x, zero_point)]) * scale[_block(at, x, scale)]

    return computed(scale.data_type, x.shape, element)


def quantized(x: Tensor, scale: Tensor, zero_point: Tensor) -> Tensor:
    low, high = limits(zero_point.data_type)

    def element(at: Coordinate) -> int:
        value, step = x[at], scale[_block(at, x, scale)]
        if math.isnan(value) or math.isnan(step) or (value == 0 and step == 0):
            return 0
        if math.isinf(value) or step == 0:
            return high if (value > 0) == (math.copysign(1, step) > 0) else low
        steps = round(Fraction(value) / Fraction(step))
        return min(max(steps + int(zero_point[_block(at, x, zero_point)]), low), high)

    return computed(zero_point.data_type, x.shape, element)


def _block(at: Coordinate, x: Tensor, parameter: Tensor) -> list[int]:
    return [index // (size // blocks) for index, size, blocks in zip(at, x.shape, parameter.shape, strict=True)]


def _add(suite: Suite, integer: str, float_type: str, shape: Sequence[int], blocks: Sequence[int]) -> None:
    named = f"{integer} {float_type} {list(shape)} in {list(blocks)} blocks"
    scale = ramp(float_type, blocks, start=0.5, step=0.25, modulus=5)
    zero_point = ramp(integer, blocks, start=1, step=1, modulus=3)
    stored = ramp(integer, shape, start=0, step=1, modulus=7)
    arguments = {"input": stored, "scale": scale, "zeroPoint": zero_point}
    constant = ["input", "zeroPoint"] if integer in _PACKED else []
    expected = dequantized(stored, scale, zero_point)
    suite.add(named, "dequantizeLinear", arguments, expected, tolerance=ulp(1), constant=constant)

    real = mixed(float_type, shape, 6)
    arguments = {"input": real, "scale": scale, "zeroPoint": zero_point}
    constant = ["zeroPoint"] if integer in _PACKED else []
    expected = quantized(real, scale, zero_point)
    suite.add(named, "quantizeLinear", arguments, expected, tolerance=ulp(1), constant=constant)


def _edges(suite: Suite) -> None:
    for integer in _INTEGERS:
        low, high = limits(integer)
        x = tensor(integer, [2], [low, high])
        one, zero = tensor("float32", [1], [2**-20]), tensor(integer, [1], [high // 2])
        arguments = {"input": x, "scale": one, "zeroPoint": zero}
        expected = dequantized(x, one, zero)
        suite.add(f"{integer} does not wrap around", "dequantizeLinear", arguments, expected, tolerance=ulp(1))

        values = [INF, -INF, NAN, 0.5, 1.5, 2.5, -0.5, 3e38]
        x, zero = tensor("float32", [8], values), tensor(integer, [1], [3])
        unit = tensor("float32", [1], [1])
        arguments = {"input": x, "scale": unit, "zeroPoint": zero}
        expected = quantized(x, unit, zero)
        name = f"{integer} saturates, halves to even before the zero point, NaN is 0"
        suite.add(name, "quantizeLinear", arguments, expected, tolerance=EXACT)

    # The specification leaves a scale that is not positive open; these results are the project's own.
    x, zero = tensor("float32", [5], [1, -1, 0, NAN, 2]), tensor("uint8", [1], [100])
    for value in (0.0, -0.5, NAN):
        scale = tensor("float32", [1], [value])
        arguments = {"input": x, "scale": scale, "zeroPoint": zero}
        suite.add(f"uint8 scale {value}", "quantizeLinear", arguments, quantized(x, scale, zero))
        stored = tensor("uint8", [3], [0, 100, 255])
        arguments = {"input": stored, "scale": scale, "zeroPoint": zero}
        expected = dequantized(stored, scale, zero)
        suite.add(f"uint8 scale {value}", "dequantizeLinear", arguments, expected, tolerance=ulp(0))
