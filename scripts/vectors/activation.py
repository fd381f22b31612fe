"""Activation functions, with their default and other parameters."""

from __future__ import annotations

import math
from collections.abc import Callable

from scripts.vectors._suite import Suite, Tolerance, atol, ulp
from scripts.vectors._tensor import FLOATS, INF, NAN, Number, Tensor, computed, limits, mixed, rounded, tensor
from scripts.vectors.elementwise import broadcast, each

Parameters = dict[str, float]

_SAMPLES = [-0.0, 0.0, 0.5, -0.5, 1.0, -1.0, 3.0, -3.0, 6.5, -6.5, 12.0, -4.75]


def suite() -> Suite:
    """Vectors of all activation functions, `prelu` and `softmax` among them."""
    suite = Suite("activation")
    _parametrized(suite)
    _plain(suite)
    _relu(suite)
    _softmax(suite)
    return suite


def _parametrized(suite: Suite) -> None:
    def elu(x: float, p: Parameters) -> float:
        return x if x > 0 else p["alpha"] * math.expm1(x)

    def hard_sigmoid(x: float, p: Parameters) -> float:
        return min(max(p["alpha"] * x + p["beta"], 0.0), 1.0)

    def leaky_relu(x: float, p: Parameters) -> float:
        return x if x > 0 else p["alpha"] * x

    def linear(x: float, p: Parameters) -> float:
        return p["alpha"] * x + p["beta"]

    cases: list[tuple[str, Callable[[float, Parameters], float], Parameters, list[Parameters], float]] = [
        ("elu", elu, {"alpha": 1.0}, [{"alpha": 0.5}, {"alpha": -2.0}, {"alpha": 0.0}], 18),
        ("hardSigmoid", hard_sigmoid, {"alpha": 0.2, "beta": 0.5}, [{"alpha": -0.5, "beta": 0.25}, {"beta": 2.0}], 2),
        ("leakyRelu", leaky_relu, {"alpha": 0.01}, [{"alpha": 0.25}, {"alpha": -3.0}], 2),
        ("linear", linear, {"alpha": 1.0, "beta": 0.0}, [{"alpha": -0.5, "beta": 2.0}, {"alpha": 0.0, "beta": 1.5}], 2),
    ]
    for method, function, defaults, others, tolerance in cases:
        for data_type in FLOATS:
            x = tensor(data_type, [2, 6], _SAMPLES)
            for options in [{}, *others]:
                parameters = {key: float(rounded(value, data_type)) for key, value in (defaults | options).items()}
                expected = each(lambda v, f=function, p=parameters: f(float(v), p), x)  # type: ignore[misc]
                named = ", ".join(f"{key} {value}" for key, value in options.items()) or "defaults"
                suite.add(
                    f"{data_type} {named}", method, {"input": x}, expected, options=options, tolerance=ulp(tolerance)
                )
            scalar = tensor(data_type, [], [-0.5])
            parameters = {key: float(rounded(value, data_type)) for key, value in defaults.items()}
            expected = each(lambda v, f=function, p=parameters: f(float(v), p), scalar)  # type: ignore[misc]
            suite.add(f"{data_type} scalar", method, {"input": scalar}, expected, tolerance=ulp(tolerance))


def _plain(suite: Suite) -> None:
    def gelu(x: float) -> float:
        return 0.5 * x * math.erfc(-x / math.sqrt(2))

    def hard_swish(x: float) -> float:
        return x * min(max(x + 3, 0.0), 6.0) / 6

    def sigmoid(x: float) -> float:
        return 1 / (1 + math.exp(-x))

    def softplus(x: float) -> float:
        return max(x, 0.0) + math.log1p(math.exp(-abs(x)))

    def softsign(x: float) -> float:
        return x / (1 + abs(x))

    cases: list[tuple[str, Callable[[float], float], dict[str, Tolerance]]] = [
        # The native kernels cancel where the function nears zero: an absolute bound is the honest one.
        ("gelu", gelu, {"float32": atol(1e-6), "float16": atol(1e-3)}),
        ("hardSwish", hard_swish, dict.fromkeys(FLOATS, ulp(4))),
        ("sigmoid", sigmoid, {"float32": ulp(34), "float16": ulp(10)}),
        ("softplus", softplus, dict.fromkeys(FLOATS, ulp(18))),
        ("softsign", softsign, dict.fromkeys(FLOATS, ulp(3))),
        ("tanh", math.tanh, {"float32": atol(1 / 1024), "float16": atol(1 / 512)}),
    ]
    for method, function, tolerances in cases:
        for data_type in FLOATS:
            for shape in ([12], [1, 2, 1, 3, 1, 2]):
                x = tensor(data_type, shape, _SAMPLES)
                expected = each(lambda v, f=function: f(float(v)), x)  # type: ignore[misc]
                suite.add(
                    f"{data_type} rank {len(shape)}", method, {"input": x}, expected, tolerance=tolerances[data_type]
                )
        scalar = tensor("float32", [], [0.75])
        expected = each(lambda v, f=function: f(float(v)), scalar)  # type: ignore[misc]
        suite.add("float32 scalar", method, {"input": scalar}, expected, tolerance=tolerances["float32"])
    far = tensor("float32", [4], [200, -200, INF, -INF])
    suite.add("float32 far out", "sigmoid", {"input": far}, tensor("float32", [4], [1, 0, 1, 0]), tolerance=atol(1e-30))
    suite.add("float32 far out", "tanh", {"input": far}, tensor("float32", [4], [1, -1, 1, -1]), tolerance=ulp(1))
    suite.add(
        "float32 far out", "softplus", {"input": far}, tensor("float32", [4], [200, 0, INF, 0]), tolerance=atol(1e-30)
    )


def _relu(suite: Suite) -> None:
    for data_type in ("int64", "int32", "int8"):
        low, high = limits(data_type)
        x = tensor(data_type, [5], [low, -1, 0, 1, high])
        suite.add(f"{data_type} at the limits", "relu", {"input": x}, each(lambda v: max(v, 0), x))
        slope = tensor(data_type, [2, 1], [3, -1])
        expected = broadcast(lambda v, s: v if v > 0 else v * s, x, slope)
        suite.add(f"{data_type} wraps around", "prelu", {"input": x, "slope": slope}, expected)
    for data_type in FLOATS:
        x = tensor(data_type, [7], [-INF, -1.5, -1e-7, 0, 2**-14, 1.5, INF])
        suite.add(f"{data_type}", "relu", {"input": x}, each(lambda v: v if v > 0 else 0.0, x), tolerance=ulp(0))
        # The output is larger than the input: broadcasting is in both directions.
        x, slope = mixed(data_type, [3, 1], 3), mixed(data_type, [2, 1, 4], 4)
        expected = broadcast(lambda v, s: v if v > 0 else v * s, x, slope)
        suite.add(f"{data_type} both broadcast", "prelu", {"input": x, "slope": slope}, expected, tolerance=ulp(1))
    nan = tensor("float32", [2], [NAN, 1])
    suite.add(
        "float32 scalar slope", "prelu", {"input": nan, "slope": tensor("float32", [], [0.5])}, nan, tolerance=ulp(1)
    )


def _softmax(suite: Suite) -> None:
    for data_type in FLOATS:
        for axis in range(3):
            x = mixed(data_type, [2, 3, 4], 11 + axis)
            _add_softmax(suite, f"{data_type} axis {axis}", x, axis)
        _add_softmax(suite, f"{data_type} large values", tensor(data_type, [3], [60000, 59968, -60000]), 0)
    _add_softmax(suite, "float32 rank 6 axis 3", mixed("float32", [1, 2, 1, 3, 2, 1], 5), 3)
    _add_softmax(suite, "float32 one element", tensor("float32", [1], [-7]), 0)


def _add_softmax(suite: Suite, name: str, x: Tensor, axis: int) -> None:
    def line(at: tuple[int, ...]) -> list[Number]:
        return [x[(*at[:axis], index, *at[axis + 1 :])] for index in range(x.shape[axis])]

    def element(at: tuple[int, ...]) -> float:
        return 1 / math.fsum(math.exp(min(other - x[at], 700.0)) for other in line(at))

    expected = computed(x.data_type, x.shape, element)
    suite.add(name, "softmax", {"input": x, "axis": axis}, expected, tolerance=ulp(21))
