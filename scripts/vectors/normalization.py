"""Normalizations by given statistics, by channel and by axes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

from scripts.vectors._suite import Suite, Tolerance, atol, ulp
from scripts.vectors._tensor import FLOATS, Coordinate, Tensor, computed, coordinates, mixed, rounded, tensor

_CLOSE: dict[str, Tolerance] = {"float32": atol(1e-4), "float16": atol(1 / 16)}


def suite() -> Suite:
    """Vectors of `batchNormalization`, `instanceNormalization` and `layerNormalization`."""
    suite = Suite("normalization")
    for data_type in FLOATS:
        _batch(suite, data_type)
        _instance(suite, data_type)
        _layer(suite, data_type)
    _edges(suite)
    return suite


def _batch(suite: Suite, data_type: str) -> None:
    for shape, axis in (([2, 3, 2, 2], 1), ([2, 2, 2, 3], 3), ([3, 4], 0), ([4], 0), ([2, 3, 1, 2, 2], 1)):
        x = mixed(data_type, shape, 3)
        size = shape[axis]
        mean, variance = mixed(data_type, [size], 4), tensor(data_type, [size], [v + 0.5 for v in range(size)])
        for given in _subsets({"scale": mixed(data_type, [size], 5), "bias": mixed(data_type, [size], 6)}):
            epsilon = 0.125 if "scale" in given else 1e-5

            def element(at: Coordinate, x=x, mean=mean, variance=variance, given=given, axis=axis, e=epsilon) -> float:  # type: ignore[no-untyped-def]
                at_axis = [at[axis]]
                deviation = math.sqrt(variance[at_axis] + rounded(e, data_type))
                return _scaled((x[at] - mean[at_axis]) / deviation, given, at_axis)

            options = {**given, "axis": axis} | ({"epsilon": epsilon} if epsilon != 1e-5 else {})
            name = f"{data_type} {shape} axis {axis}{_with(given)}"
            arguments = {"input": x, "mean": mean, "variance": variance}
            expected = computed(data_type, shape, element)
            suite.add(name, "batchNormalization", arguments, expected, options=options, tolerance=_CLOSE[data_type])


def _instance(suite: Suite, data_type: str) -> None:
    for layout, shape in (("nchw", [2, 3, 2, 4]), ("nhwc", [2, 2, 4, 3])):
        x = mixed(data_type, shape, 7)
        channel, over = (1, (2, 3)) if layout == "nchw" else (3, (1, 2))
        for given in _subsets({"scale": mixed(data_type, [3], 8), "bias": mixed(data_type, [3], 9)}):
            expected = _normalized(x, over, given, [channel], 1e-5)
            options = {**given, "layout": layout}
            name = f"{data_type} {layout}{_with(given)}"
            suite.add(
                name, "instanceNormalization", {"input": x}, expected, options=options, tolerance=_CLOSE[data_type]
            )


def _layer(suite: Suite, data_type: str) -> None:
    shape = [2, 3, 4]
    x = mixed(data_type, shape, 10)
    for axes in (None, [2], [1, 2], [2, 0], [2, 1, 0]):
        over = [1, 2] if axes is None else axes
        sizes = [shape[axis] for axis in over]
        for given in _subsets({"scale": mixed(data_type, sizes, 11), "bias": mixed(data_type, sizes, 12)}):
            expected = _normalized(x, over, given, over, 0.25)
            options = {**given, "epsilon": 0.25} | ({} if axes is None else {"axes": axes})
            name = f"{data_type} axes {'absent' if axes is None else axes}{_with(given)}"
            suite.add(name, "layerNormalization", {"input": x}, expected, options=options, tolerance=_CLOSE[data_type])


def _edges(suite: Suite) -> None:
    x = mixed("float32", [2, 3], 13)
    zeros = tensor("float32", [2, 3], [0] * 6)
    suite.add("float32 no axes", "layerNormalization", {"input": x}, zeros, options={"axes": []}, tolerance=ulp(0))
    scalar = tensor("float32", [], [3])
    bias = tensor("float32", [], [1.5])
    suite.add("float32 scalar", "layerNormalization", {"input": scalar}, tensor("float32", [], [0]), tolerance=ulp(0))
    suite.add(
        "float32 scalar with bias",
        "layerNormalization",
        {"input": scalar},
        bias,
        options={"bias": bias},
        tolerance=ulp(0),
    )
    deep = mixed("float32", [1, 2, 1, 2, 1, 3], 14)
    expected = _normalized(deep, [1, 3, 5], {}, [1, 3, 5], 1e-5)
    suite.add(
        "float32 rank 6",
        "layerNormalization",
        {"input": deep},
        expected,
        options={"axes": [1, 3, 5]},
        tolerance=atol(1e-4),
    )


def _normalized(
    x: Tensor, over: Sequence[int], given: dict[str, Tensor], parameter_axes: Sequence[int], epsilon: float
) -> Tensor:
    spans = list(coordinates([size if axis in over else 1 for axis, size in enumerate(x.shape)]))

    def element(at: Coordinate) -> float:
        base = [0 if axis in over else index for axis, index in enumerate(at)]
        values = [x[[b + offset for b, offset in zip(base, span, strict=True)]] for span in spans]
        mean = math.fsum(values) / len(values)
        variance = math.fsum((v - mean) ** 2 for v in values) / len(values)
        deviation = math.sqrt(variance + rounded(epsilon, x.data_type))
        return _scaled((x[at] - mean) / deviation, given, [at[axis] for axis in parameter_axes])

    return computed(x.data_type, x.shape, element)


def _scaled(value: float, given: dict[str, Tensor], at: Sequence[int]) -> float:
    value = value * given["scale"][at] if "scale" in given else value
    return value + given["bias"][at] if "bias" in given else value


def _subsets(parameters: dict[str, Tensor]) -> list[dict[str, Any]]:
    return [
        {name: parameters[name] for name in names}
        for count in range(len(parameters) + 1)
        for names in itertools.combinations(parameters, count)
    ]


def _with(given: dict[str, Tensor]) -> str:
    return f" with {' and '.join(given)}" if given else ""
