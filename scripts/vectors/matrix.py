"""Matrix products."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping

from scripts.vectors._suite import Suite, ulp
from scripts.vectors._tensor import FLOATS, INF, NAN, Tensor, computed, mixed, tensor


def suite() -> Suite:
    """Vectors of `gemm` and `matmul`."""
    suite = Suite("matrix")
    for data_type in FLOATS:
        _gemms(suite, data_type)
        _matmuls(suite, data_type)
    a, b = tensor("float32", [1, 2], [INF, 1]), tensor("float32", [2, 2], [1, 0, 0, 0])
    suite.add("float32 infinity times zero is NaN", "matmul", {"a": a, "b": b}, tensor("float32", [1, 2], [INF, NAN]))
    return suite


def _gemms(suite: Suite, data_type: str) -> None:
    for a_transpose, b_transpose in itertools.product((False, True), repeat=2):
        a = mixed(data_type, [4, 3] if a_transpose else [3, 4], 1)
        b = mixed(data_type, [2, 4] if b_transpose else [4, 2], 2)
        options = {"aTranspose": a_transpose, "bTranspose": b_transpose}
        _gemm(suite, f"{data_type} aTranspose {a_transpose}, bTranspose {b_transpose}", a, b, None, options)
    a, b = mixed(data_type, [3, 4], 3), mixed(data_type, [4, 2], 4)
    for c_shape in ([], [1], [2], [1, 1], [3, 1], [1, 2], [3, 2]):
        _gemm(
            suite, f"{data_type} with c of {c_shape}", a, b, mixed(data_type, c_shape, 5), {"alpha": 0.5, "beta": -2.0}
        )
    _gemm(suite, f"{data_type} without c, alpha 0.25", a, b, None, {"alpha": 0.25, "beta": 3.0})
    _gemm(suite, f"{data_type} with c, defaults", a, b, mixed(data_type, [2], 6), {})


def _gemm(suite: Suite, name: str, a: Tensor, b: Tensor, c: Tensor | None, options: Mapping[str, float]) -> None:
    def left(row: int, inner: int) -> float:
        return a[(inner, row) if options.get("aTranspose") else (row, inner)]

    def right(inner: int, column: int) -> float:
        return b[(column, inner) if options.get("bTranspose") else (inner, column)]

    rows, inner = a.shape[::-1] if options.get("aTranspose") else a.shape
    columns = b.shape[0] if options.get("bTranspose") else b.shape[1]

    def element(at: tuple[int, ...]) -> float:
        product = math.fsum(left(at[0], k) * right(k, at[1]) for k in range(inner))
        added = 0.0 if c is None else options.get("beta", 1.0) * c.broadcast(at)
        return options.get("alpha", 1.0) * product + added

    expected = computed(a.data_type, [rows, columns], element)
    given = options if c is None else {**options, "c": c}
    suite.add(name, "gemm", {"a": a, "b": b}, expected, options=given, tolerance=ulp(11))


def _matmuls(suite: Suite, data_type: str) -> None:
    for a_shape, b_shape in (
        ([2, 3], [3, 4]),
        ([1, 5], [5, 1]),
        ([2, 2, 3], [3, 2]),
        ([2, 3], [2, 3, 2]),
        ([2, 1, 2, 3], [3, 3, 1]),
        ([2, 1, 1, 2, 2, 3], [1, 2, 1, 1, 3, 2]),
    ):
        a, b = mixed(data_type, a_shape, 7), mixed(data_type, b_shape, 8)
        rank = max(len(a_shape), len(b_shape)) - 2
        batch_a, batch_b = ([1] * (rank - len(s) + 2) + s[:-2] for s in (a_shape, b_shape))
        batch = [max(m, n) for m, n in zip(batch_a, batch_b, strict=True)]

        def element(at: tuple[int, ...], a: Tensor = a, b: Tensor = b) -> float:
            *stack, row, column = at
            return math.fsum(
                a.broadcast((*stack, row, k)) * b.broadcast((*stack, k, column)) for k in range(a.shape[-1])
            )

        expected = computed(data_type, [*batch, a_shape[-2], b_shape[-1]], element)
        suite.add(f"{data_type} {a_shape} @ {b_shape}", "matmul", {"a": a, "b": b}, expected, tolerance=ulp(8))
