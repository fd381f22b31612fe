"""What OpenVINO gets wrong or dies of, in every position of the operand: right with the guards, still wrong without.

Each guarded case runs here. Each unguarded one runs in a child process that it may kill; when one is found right, the
hazard is gone from the installed OpenVINO and the list in the documentation has to say so.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gpu_process.backends import BackendOptions
from gpu_process.backends.openvino._guards import safe_indices
from ipc.descriptors import DataType
from tests.gpu_process.backends.openvino._graphs import POSITIONS, Array, Position, Workbench

ROOT = Path(__file__).resolve().parents[4]
MATRIX = np.arange(1, 13, dtype=np.float32).reshape(3, 4)
LOWEST = -(2**31)

Case = Callable[[Workbench, Position], tuple[Array, Array]]
"""Computes something; gives (what came out, what is right)."""


def division_by_zero(bench: Workbench, position: Position) -> tuple[Array, Array]:
    a = bench.place(np.array([7, 7], np.int32), position)
    b = bench.place(np.array([0, 2], np.int32), position)
    return bench.compute(y=bench.call("div", a, b))["y"], np.array([0, 3], np.int32)


def division_that_overflows(bench: Workbench, position: Position) -> tuple[Array, Array]:
    a = bench.place(np.array([LOWEST, 7], np.int32), position)
    b = bench.place(np.array([-1, -1], np.int32), position)
    return bench.compute(y=bench.call("div", a, b))["y"], np.array([LOWEST, -7], np.int32)


def gather_nd_far_outside(bench: Workbench, position: Position) -> tuple[Array, Array]:
    indices = bench.place(np.array([[1 << 24, 0], [-(1 << 30), 3], [1, 1]], np.int32), position)
    y = bench.call("gather_nd", bench.place(MATRIX), indices)
    return bench.compute(y=y)["y"], MATRIX[[2, 0, 1], [0, 3, 1]]


def scatter_elements_below(bench: Workbench, position: Position) -> tuple[Array, Array]:
    indices = bench.place(np.full((1, 4), -(1 << 28), np.int32), position)
    updates = np.full((1, 4), 99, np.float32)
    y = bench.call("scatter_elements", bench.place(MATRIX), indices, bench.place(updates))
    return bench.compute(y=y)["y"], np.concatenate([updates, MATRIX[1:]])


def index_beyond_32_bits(bench: Workbench, position: Position) -> tuple[Array, Array]:
    indices = bench.place(np.array([(1 << 32) + 1, -(1 << 33), 1], np.int64), position)
    y = bench.call("gather", bench.place(MATRIX), indices)
    return bench.compute(y=y)["y"], MATRIX[[2, 0, 1]]


def int64_moved_and_compared(bench: Workbench, position: Position) -> tuple[Array, Array]:
    values = np.array([(1 << 40) + 1, 1, -(1 << 50)], np.int64)
    a = bench.place(values, position)
    moved = bench.call("concat", [a, bench.call("add", a, a)], axis=0)
    return bench.compute(y=moved)["y"], np.concatenate([values, values * 2])


def uint32_against_its_size(bench: Workbench, position: Position) -> tuple[Array, Array]:
    a = bench.place(np.array([(1 << 32) - 108, 5], np.uint32), position)
    y = bench.call("min", a, bench.place(np.array([2], np.uint32), "constant"))
    return bench.compute(y=y)["y"], np.array([2, 2], np.uint32)


def int32_through_float32(bench: Workbench, position: Position) -> tuple[Array, Array]:
    a = bench.place(np.array([(1 << 24) + 1, 2**31 - 1], np.int32), position)
    b = bench.place(np.array([1 << 24, 2**31 - 2], np.int32), position)
    equal = bench.call("equal", a, b)
    quotient = bench.call("div", a, bench.place(np.array([1, 1], np.int32), position))
    total = bench.call("reduce_sum", a, keep_dimensions=True)
    results = bench.compute(equal=equal, quotient=quotient, total=total)
    given = np.concatenate([results["equal"].astype(np.int32), results["quotient"], results["total"]])
    return given, np.array([0, 0, (1 << 24) + 1, 2**31 - 1, LOWEST + (1 << 24)], np.int32)


def float_to_integer(bench: Workbench, position: Position) -> tuple[Array, Array]:
    a = bench.place(np.array([np.nan, 300, -5, 2.7, np.inf], np.float32), position)
    narrow = bench.call("cast", a, data_type=DataType.UINT8)
    wide = bench.call("cast", a, data_type=DataType.INT32)
    results = bench.compute(narrow=narrow, wide=wide)
    wanted = np.array([0, 255, 0, 2, 255, 0, 300, -5, 2, 2**31 - 1])
    return np.concatenate([results["narrow"].astype(np.int64), results["wide"]]), wanted


def uint64_arithmetic(bench: Workbench, position: Position) -> tuple[Array, Array]:
    a = bench.place(np.array([2**64 - 1, 2**63], np.uint64), position)
    b = bench.place(np.array([2, 3], np.uint64), position)
    return bench.compute(y=bench.call("mul", a, b))["y"], np.array([2**64 - 2, 2**63], np.uint64)


def gather_out_of_range(bench: Workbench, position: Position) -> tuple[Array, Array]:
    indices = bench.place(np.array([3, 1000, -4, -1], np.int32), position)
    return bench.compute(y=bench.call("gather", bench.place(MATRIX), indices))["y"], MATRIX[[2, 2, 0, 2]]


CASES: dict[str, Case] = {
    "H2": division_by_zero,
    "H2-overflow": division_that_overflows,
    "H3": gather_nd_far_outside,
    "H4": scatter_elements_below,
    "H5-index": index_beyond_32_bits,
    "H5": int64_moved_and_compared,
    "H6": uint32_against_its_size,
    "H7": int32_through_float32,
    "H8": float_to_integer,
    "H8-uint64": uint64_arithmetic,
    "H15": gather_out_of_range,
}


def is_right(case: str, position: Position, options: BackendOptions) -> bool:
    given, wanted = CASES[case](Workbench(options), position)
    return given.shape == wanted.shape and bool(np.array_equal(given, wanted))


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("case", CASES)
def test_with_the_guards_the_result_is_right(case: str, position: Position) -> None:
    given, wanted = CASES[case](Workbench(), position)
    np.testing.assert_array_equal(given, wanted)


@pytest.mark.parametrize("case", CASES)
def test_without_the_guards_the_hazard_is_still_there(case: str) -> None:
    """At least in one position; which ones differ by constant folding."""
    verdicts = {position: _in_a_child(case, position) for position in POSITIONS}
    assert set(verdicts.values()) != {"right"}, f"{case} is gone: {verdicts}"


def _in_a_child(case: str, position: Position) -> str:
    """What came of the unguarded case: "right", "wrong", "refused", or the signal that ended the child."""
    code = f"from tests.gpu_process.backends.openvino import test_hazards as t; t.judge({case!r}, {position!r})"
    child = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        timeout=50,
        check=False,
    )
    if child.returncode < 0:
        return f"signal {-child.returncode}"
    return child.stdout.decode().strip().rpartition("\n")[2] or "refused"


def judge(case: str, position: Position) -> None:
    """What the child does."""
    print("right" if is_right(case, position, BackendOptions(guards=False)) else "wrong", flush=True)


def test_a_callers_own_clamp_of_the_indices_does_not_replace_the_guard() -> None:
    """H9: the same bounds as the guard's, and the clamped indices are an output as well."""
    bench = Workbench()
    indices = bench.place(np.array([-9, 1, 9], np.int32))
    clamped = bench.call("clamp", indices, min_value=0, max_value=2)
    y = bench.call("gather", bench.place(MATRIX), clamped)
    compiled = bench.compiled({"y": y, "clamped": clamped})
    targets = {step.target for step in compiled.plan.steps if hasattr(step, "bounds")}
    assert targets
    assert targets.isdisjoint({y, clamped}), "what OpenVINO indexes with is memory that no name reaches"
    assert "clamped" not in compiled.in_place_outputs
    assert "x0" not in compiled.in_place_inputs


def test_indices_that_change_after_the_guard_are_not_read_again() -> None:
    """What is used is the guard's own memory, whatever becomes of the caller's."""
    hostile = np.array([5, -7, 1], np.int64)
    safe = safe_indices(hostile, (3,))
    hostile[:] = 1 << 40
    assert safe.dtype == np.int32
    assert safe.tolist() == [2, 0, 1]
    assert not np.shares_memory(safe, hostile)


def test_float32_stays_float32() -> None:
    """H14: with bfloat16 the 1 would be lost."""
    bench = Workbench()
    a = np.full((64, 64), 1 / 64, np.float32)
    a[:, 0] = 1 + 2.0**-12
    b = np.eye(64, dtype=np.float32)
    y = bench.compute(y=bench.call("matmul", bench.place(a), bench.place(b, "constant")))["y"]
    np.testing.assert_array_equal(y, a)


@pytest.mark.timeout(120)
def test_a_very_long_chain_compiles_in_time_that_grows_with_its_length() -> None:
    """H13: in one model, 4,000 of these take a minute, and 100,000 overflow the stack."""
    bench = Workbench()
    value = bench.place(np.full((2, 2), 0.5, np.float32))
    for _ in range(1_000):
        for operator in ("tanh", "sigmoid", "relu"):
            value = bench.call(operator, value)
    compiled = bench.compiled({"y": value})
    sizes = [len(step.graph.operations) for step in compiled.plan.steps]
    assert sum(sizes) == 3_000
    assert max(sizes) <= 256
