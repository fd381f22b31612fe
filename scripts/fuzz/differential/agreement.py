"""Whether results of a backend agree with the reference's, as far as rounding lets them.

No operator has a tolerance of its own. Each operation is computed here from what the backend itself says its operands
are, where it says so, and again with every float in the computation moved by about a rounding: how far the results move
is how far rounding can carry them, cancellation and discontinuities included. What moves nothing must be equal, bit for
bit: integers, and everything that only moves elements.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ipc.descriptors import DataType, Descriptor
from ipc.graph import ConstantSource, Graph, OperandId, Operation
from scripts.fuzz.case import PLACEHOLDER, GraphCase
from scripts.fuzz.evaluation import Array, as_array, reference, run

_MOVING_FAMILIES = frozenset({"shape", "indexing"})
_SHIFTING_FAMILIES = frozenset({"normalization"})  # a rounded mean shifts all elements, whatever their size
_PAIRS = 3  # of perturbed runs, the second against the first: one of them goes where a function is not flat
_SPECIAL_NUMBER = 1e18  # of an attribute; its square is not far from overflow in float32
_SAFETY = 8.0  # times the spread that was seen
_ROUNDING = {DataType.FLOAT32: 2.0**-22, DataType.FLOAT16: 2.0**-9}
_UNDERFLOW = 2.0**-24  # the least float16
_RELATIVE = {DataType.FLOAT32: 2e-5, DataType.FLOAT16: 2e-3}
_ABSOLUTE = {DataType.FLOAT32: 2e-6, DataType.FLOAT16: 2e-4}


@dataclass(frozen=True, slots=True)
class Disagreement:
    """One output that is too far from what it should be.

    Attributes:
        behind: the operators between it and what else is known of the graph, nearest first: their results are not
            shown, so it may be one of them that computes otherwise.
        special: whether it, or what is behind it, has NaN, infinities, or values whose square overflows.
    """

    operation: Operation
    name: str
    what: str
    behind: tuple[str, ...]
    special: bool


def disagreement(case: GraphCase, results: Mapping[str, Array]) -> Disagreement | None:
    """The first output of a backend that rounding does not explain.

    Args:
        results: by output name, as they are stored.

    Raises:
        BackendError: the reference refuses the graph.
    """
    graph = case.graph
    given = {operand: results[name] for name, operand in graph.outputs}
    names = {operand: name for name, operand in graph.outputs}
    known = {*given, *case.constants, *(operand for _, operand in graph.inputs)}
    wanted = _evaluated(case, given, None)
    others = [_evaluated(case, given, _Moves(number, sign)) for number in range(_PAIRS) for sign in (1, -1)]
    for operation in graph.operations:
        for operand in operation.outputs:
            if operand in given:
                descriptor = graph.operands[operand]
                moves = operation.operator.family in _MOVING_FAMILIES and known.issuperset(operation.operand_ids())
                different = [] if moves else [other[operand] for other in others]
                shifts = operation.operator.family in _SHIFTING_FAMILIES
                what = _difference(given[operand], wanted[operand], different, descriptor, shifts)
                if what is not None:
                    hidden = _behind(graph, operation, given)
                    behind = tuple(dict.fromkeys(each.operator.name for each in hidden))
                    special = _is_special(case, (operation, *hidden), {**wanted, **given}, wanted)
                    return Disagreement(operation, names[operand], what, behind, special)
    return None


def _behind(graph: Graph, operation: Operation, given: Mapping[OperandId, Array]) -> list[Operation]:
    """The operations that lead to this one and whose results are not shown, nearest first."""
    makers = {output: each for each in graph.operations for output in each.outputs}
    reached = [operation]
    for each in reached:
        for operand in each.operand_ids():
            if operand in makers and operand not in given and makers[operand] not in reached:
                reached.append(makers[operand])
    return reached[1:]


def _is_special(
    case: GraphCase,
    operations: Sequence[Operation],
    values: Mapping[OperandId, Array],
    wanted: Mapping[OperandId, Array],
) -> bool:
    graph = case.graph
    named = {operand: case.inputs[name] for name, operand in graph.inputs} | dict(case.constants)
    numbers = (value for each in operations for value in each.attributes.values() if isinstance(value, float))
    operands = (
        values[operand] if operand in values else as_array(named[operand], graph.operands[operand])
        for each in operations
        for operand in each.operand_ids()
    )
    results = (wanted[operand] for each in operations for operand in each.outputs)
    return any(not abs(number) < _SPECIAL_NUMBER for number in numbers) or any(
        map(_has_extremes, itertools.chain(operands, results))
    )


def _has_extremes(value: Array) -> bool:
    if value.dtype.kind != "f":
        return False
    limit = math.sqrt(float(np.finfo(value.dtype).max))
    return not np.all(np.abs(value.astype(np.float64)) < limit)


def _evaluated(case: GraphCase, given: Mapping[OperandId, Array], moves: _Moves | None) -> dict[OperandId, Array]:
    """Every operand that an operation makes, from what the backend says its operands are where that is known."""
    graph = case.graph
    values = {operand: as_array(data, graph.operands[operand]) for operand, data in case.constants.items()}
    values |= {operand: as_array(case.inputs[name], graph.operands[operand]) for name, operand in graph.inputs}
    made: dict[OperandId, Array] = {}
    for operation in graph.operations:
        moving = None if operation.operator.family in _MOVING_FAMILIES else moves
        operands = {
            operand: values[operand]
            if moving is None
            else moving.of(values[operand], graph.operands[operand], made=operand in made)
            for operand in operation.operand_ids()
        }
        for operand, value in zip(operation.outputs, _alone(graph, operation, operands), strict=True):
            made[operand] = value
            values[operand] = given.get(operand, value)
    return made


class _Moves:
    """Moves every float by about a rounding; with the other sign, by the same the other way."""

    def __init__(self, seed: int, sign: int) -> None:
        self._random = np.random.default_rng(seed)
        self._sign = sign

    def of(self, value: Array, descriptor: Descriptor, *, made: bool) -> Array:
        """`value` moved: a new array, aligned as a backend wants it.

        Args:
            made: by an operation: as float16, it may have been rounded to 0.
        """
        rounding = _ROUNDING.get(descriptor.data_type)
        if rounding is None:
            return value
        underflow = _UNDERFLOW if made and descriptor.data_type is DataType.FLOAT16 else 0.0
        with np.errstate(all="ignore"):
            wide = value.astype(np.float64)
            by = self._sign * self._random.uniform(-1, 1, value.shape)
            moved = wide * (1 + rounding * by) + underflow * by
            # What is not finite stays, and what is does not leave the range.
            limit = float(np.finfo(value.dtype).max)
            kept = np.where(np.isfinite(wide), np.clip(moved, -limit, limit), wide)
        return as_array(kept.astype(value.dtype).tobytes(), descriptor)


def _alone(graph: Graph, operation: Operation, values: Mapping[OperandId, Array]) -> list[Array]:
    """One operation, computed by the reference backend; its operands are constants, so that one may occur twice."""
    names = [f"y{at}" for at in range(len(operation.outputs))]
    single = Graph(
        operands=graph.operands,
        constants={operand: ConstantSource(PLACEHOLDER) for operand in values},
        operations=[operation],
        outputs=list(zip(names, operation.outputs, strict=True)),
    )
    results = run(single, values, {}, reference())
    return [results[name] for name in names]


def _difference(given: Array, wanted: Array, others: list[Array], descriptor: Descriptor, shifts: bool) -> str | None:
    """The first element that is too far, in words; none may be, where nothing was moved."""
    if not others:
        far = np.asarray((given != wanted) & ~((given != given) & (wanted != wanted)))
    elif descriptor.data_type.is_float:
        far = _far_floats(given, wanted, others, descriptor.data_type, shifts)
    else:
        far = _far_integers(given, wanted, others)
    if not far.any():
        return None
    at = tuple(int(index[0]) for index in np.nonzero(far)) if far.ndim else ()
    return (
        f"{given[at]!s} instead of {wanted[at]!s} at {list(at)} of {descriptor}; {np.count_nonzero(far)} differ\n"
        f"given {given!r}\nwanted {wanted!r}"
    )


def _far_integers(given: Array, wanted: Array, others: list[Array]) -> Array:
    """Those that differ, where no rounding of an operand changes anything."""
    stable = np.logical_and.reduce([other == wanted for other in others])
    return np.asarray((given != wanted) & stable)


def _far_floats(given: Array, wanted: Array, others: list[Array], data_type: DataType, shifts: bool) -> Array:
    with np.errstate(all="ignore"):
        exact, actual = wanted.astype(np.float64), given.astype(np.float64)
        moved = np.stack([other.astype(np.float64) for other in others])
        spread = np.max(np.abs(moved - exact), axis=0)
        sizes = np.abs(exact)
        if shifts:
            sizes = np.max(sizes, initial=0.0, where=np.isfinite(sizes), keepdims=True)
        tolerance = _SAFETY * spread + _RELATIVE[data_type] * sizes + _ABSOLUTE[data_type]
        near = (np.abs(actual - exact) <= tolerance) | (actual == exact) | (np.isnan(actual) & np.isnan(exact))
        unstable = ~np.all(np.isfinite(moved) == np.isfinite(exact), axis=0)  # a rounding away from overflow or NaN
        limit = float(np.finfo(given.dtype).max)
        overflow = np.isinf(actual) & (np.abs(exact) > limit / 4) | np.isinf(exact) & (np.abs(actual) > limit / 4)
    return np.asarray(~(near | unstable | overflow))
