"""Gather and scatter: indices of all types, negative ones, and ones far out of range."""

from __future__ import annotations

from collections.abc import Sequence

from scripts.vectors._suite import Suite
from scripts.vectors._tensor import ALL_TYPES, Number, Tensor, computed, coordinates, limits, ramp, tensor

_INDEX_TYPES = ("int32", "uint32", "int64")


def suite() -> Suite:
    """Vectors of the three gathers and the two scatters."""
    suite = Suite("indexing")
    _types(suite)
    _out_of_range(suite)
    _gathers(suite)
    _gathers_nd(suite)
    _scatters(suite)
    return suite


def inside(index: Number, size: int) -> int:
    """Counted from the end if negative, then clamped."""
    index = int(index)
    return min(max(index + size if index < 0 else index, 0), size - 1)


def gathered(x: Tensor, indices: Tensor, axis: int) -> Tensor:
    rank = len(indices.shape)
    shape = (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])

    def element(at: tuple[int, ...]) -> Number:
        index = inside(indices[at[axis : axis + rank]], x.shape[axis])
        return x[(*at[:axis], index, *at[axis + rank :])]

    return computed(x.data_type, shape, element)


def gathered_elements(x: Tensor, indices: Tensor, axis: int) -> Tensor:
    def element(at: tuple[int, ...]) -> Number:
        return x[(*at[:axis], inside(indices[at], x.shape[axis]), *at[axis + 1 :])]

    return computed(x.data_type, indices.shape, element)


def gathered_nd(x: Tensor, indices: Tensor) -> Tensor:
    depth = indices.shape[-1]
    places = len(indices.shape) - 1

    def element(at: tuple[int, ...]) -> Number:
        return x[(*_target(indices, at[:places], x.shape), *at[places:])]

    return computed(x.data_type, (*indices.shape[:-1], *x.shape[depth:]), element)


def scattered_elements(x: Tensor, indices: Tensor, updates: Tensor, axis: int) -> Tensor:
    result = {at: x[at] for at in coordinates(x.shape)}
    for at in coordinates(indices.shape):
        result[(*at[:axis], inside(indices[at], x.shape[axis]), *at[axis + 1 :])] = updates[at]
    return tensor(x.data_type, x.shape, result.values())


def scattered_nd(x: Tensor, indices: Tensor, updates: Tensor) -> Tensor:
    result = {at: x[at] for at in coordinates(x.shape)}
    places = len(indices.shape) - 1
    for at in coordinates(updates.shape):
        result[(*_target(indices, at[:places], x.shape), *at[places:])] = updates[at]
    return tensor(x.data_type, x.shape, result.values())


def _target(indices: Tensor, place: Sequence[int], shape: Sequence[int]) -> list[int]:
    return [inside(indices[(*place, axis)], shape[axis]) for axis in range(indices.shape[-1])]


def _types(suite: Suite) -> None:
    for data_type in ALL_TYPES:
        x = ramp(data_type, [3, 2], start=1)
        updates = tensor(data_type, [1, 2], [50, 60])
        indices = tensor("int32", [1, 2], [2, -3])
        rows = tensor("int32", [2], [2, -3])
        pairs = tensor("int32", [2, 2], [2, 1, 0, -2])
        suite.add(f"{data_type}", "gather", {"input": x, "indices": rows}, gathered(x, rows, 0))
        suite.add(f"{data_type}", "gatherElements", {"input": x, "indices": indices}, gathered_elements(x, indices, 0))
        suite.add(f"{data_type}", "gatherND", {"input": x, "indices": pairs}, gathered_nd(x, pairs))
        expected = scattered_elements(x, indices, updates, 0)
        suite.add(f"{data_type}", "scatterElements", {"input": x, "indices": indices, "updates": updates}, expected)
        two = tensor(data_type, [2], [50, 60])
        expected = scattered_nd(x, pairs, two)
        suite.add(f"{data_type}", "scatterND", {"input": x, "indices": pairs, "updates": two}, expected)


def _out_of_range(suite: Suite) -> None:
    for index_type in _INDEX_TYPES:
        low, high = limits(index_type)
        values = [low, high, 3, high - 107, 0, 1]  # 2**32 - 108 looks negative to a backend that narrows it
        for constant in ((), ("indices",), ("input", "indices")):
            said = f"{index_type} out of range{', constant ' + ' and '.join(constant) if constant else ''}"
            x = ramp("float32", [3, 2], start=1)
            line = tensor(index_type, [6], values)
            suite.add(said, "gather", {"input": x, "indices": line}, gathered(x, line, 0), constant=constant)
            grid = tensor(index_type, [3, 2], values)
            expected = gathered_elements(x, grid, 0)
            suite.add(said, "gatherElements", {"input": x, "indices": grid}, expected, constant=constant)
            suite.add(said, "gatherND", {"input": x, "indices": grid}, gathered_nd(x, grid), constant=constant)

            # Each target once: what equal targets give is not specified.
            targets = tensor(index_type, [2, 2], [high, low, 0, 1] if low < 0 else [high, 1, 0, high - 107])
            updates = tensor("float32", [2, 2], [10, 20, 30, 40])
            expected = scattered_elements(x, targets, updates, 0)
            arguments = {"input": x, "indices": targets, "updates": updates}
            suite.add(said, "scatterElements", arguments, expected, constant=constant)
            expected = scattered_nd(x, targets, tensor("float32", [2], [10, 20]))
            arguments = {"input": x, "indices": targets, "updates": tensor("float32", [2], [10, 20])}
            suite.add(said, "scatterND", arguments, expected, constant=constant)


def _gathers(suite: Suite) -> None:
    x = ramp("float32", [2, 3, 4])
    for axis in range(3):
        for shape in ([], [2], [2, 2]):
            indices = ramp("int64", shape, start=-1, step=2, modulus=2)
            options = {"axis": axis}
            name = f"float32 axis {axis}, indices of {shape}"
            suite.add(name, "gather", {"input": x, "indices": indices}, gathered(x, indices, axis), options=options)
        sizes = [5 if dimension == axis else size for dimension, size in enumerate(x.shape)]
        indices = ramp("int32", sizes, start=-2, modulus=4)
        expected = gathered_elements(x, indices, axis)
        name = f"float32 axis {axis}, longer than the input"
        suite.add(name, "gatherElements", {"input": x, "indices": indices}, expected, options={"axis": axis})
    line, index = ramp("float32", [4]), tensor("uint32", [], [2])
    suite.add("float32 of a scalar", "gather", {"input": line, "indices": index}, gathered(line, index, 0))
    x = ramp("float16", [1, 2, 1, 2, 1, 3])
    indices = ramp("int32", [2, 1], start=2, step=-1)
    expected = gathered(x, indices, 5)
    suite.add("float16 rank 6", "gather", {"input": x, "indices": indices}, expected, options={"axis": 5})


def _gathers_nd(suite: Suite) -> None:
    x = ramp("float32", [2, 3, 4])
    for depth in (1, 2, 3):
        for leading in ([], [3], [2, 2]):
            indices = ramp("int32", [*leading, depth], start=-2, modulus=3)
            name = f"float32 indices of {[*leading, depth]}"
            suite.add(name, "gatherND", {"input": x, "indices": indices}, gathered_nd(x, indices))


def _scatters(suite: Suite) -> None:
    x = ramp("float32", [3, 4])
    for axis in (0, 1):
        sizes = [2, 4] if axis == 0 else [3, 2]
        values = [0, -1, 2, 1, 1, 0, 0, -1] if axis == 0 else [0, 2, -1, 1, 3, -4]
        indices = tensor("int64", sizes, values)
        updates = ramp("float32", sizes, start=100)
        expected = scattered_elements(x, indices, updates, axis)
        arguments = {"input": x, "indices": indices, "updates": updates}
        suite.add(f"float32 axis {axis}", "scatterElements", arguments, expected, options={"axis": axis})
    x = ramp("float32", [3, 2, 2])
    for indices in (
        tensor("int32", [2, 1], [2, -3]),
        tensor("int32", [2, 2], [0, 1, -1, 0]),
        tensor("int32", [2, 1, 3], [0, 1, 1, -1, 0, -2]),
        tensor("int32", [1], [1]),
    ):
        updates = ramp("float32", (*indices.shape[:-1], *x.shape[indices.shape[-1] :]), start=100)
        expected = scattered_nd(x, indices, updates)
        arguments = {"input": x, "indices": indices, "updates": updates}
        suite.add(f"float32 indices of {list(indices.shape)}", "scatterND", arguments, expected)
