"""Random calls of every operator, as strategies, and how they become graphs on a backend or behind the API."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from ipc.descriptors import Descriptor
from ipc.graph import Graph, OperandId, Operation, SlotOperands
from ipc.limits import SupportLimits
from ipc.operators import REGISTRY, SlotValue, declared_limits
from renderer import MLGraphBuilder, MLOperand
from scripts.fuzz import data
from scripts.fuzz.almost import Broken, broken_call
from scripts.fuzz.calls import Call
from scripts.fuzz.draw import Profile
from scripts.fuzz.search import legal_call

Array = npt.NDArray[Any]

PROFILE = Profile(max_elements=200, hostile=0)
"""Attributes are ordinary numbers: what overflows on the way to a result is a matter of precision."""

SOME = settings(
    max_examples=6, deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
"""The search for legal calls is random inside: what is drawn, and shrunk, is its seed."""

seeds = st.integers(0, 2**32 - 1)


def legal_calls(name: str, limits: SupportLimits) -> st.SearchStrategy[Call]:
    """Calls of an operator that break no rule."""
    return seeds.map(lambda seed: found(legal_call(REGISTRY[name], Random(seed), limits, PROFILE)))


def broken_calls(name: str) -> st.SearchStrategy[Broken]:
    """Calls of an operator that break one rule, of operands that a graph's inputs could be."""
    return seeds.map(lambda seed: next(_broken(name, Random(seed))))


def _broken(name: str, random: Random) -> Iterator[Broken]:
    while True:
        broken = found(broken_call(REGISTRY[name], random, declared_limits(), PROFILE))
        if is_possible(broken):
            yield broken


def is_possible(broken: Broken) -> bool:
    """Whether a graph's inputs could be its operands."""
    packed = (each.data_type.is_packed for _, each in broken.call.descriptors())
    return broken.is_sendable and not any(packed)


def found(call: Any) -> Any:
    """The call; there is none only if the search is broken."""
    assert call is not None, "no such call was found"
    return call


def content(call: Call, seed: int, hostile: float) -> dict[str, list[Array]]:
    """Data for the operands of each slot that is not absent."""
    random = Random(seed)
    filled: dict[str, list[Array]] = {}
    for name, descriptor in call.descriptors():
        raw = data.content(random, descriptor, hostile)
        array = np.frombuffer(raw, descriptor.data_type.storage).reshape(descriptor.storage_shape)
        filled.setdefault(name, []).append(array)
    return filled


def graph_of(call: Call, outputs: tuple[Descriptor, ...]) -> Graph:
    """One operation, all its operands inputs."""
    graph = Graph()

    def operand(descriptor: Descriptor) -> OperandId:
        graph.operands.append(descriptor)
        return len(graph.operands) - 1

    def entered(name: str, value: SlotValue) -> SlotOperands:
        if value is None:
            return None
        ids = tuple(operand(each) for each in (value if isinstance(value, tuple) else (value,)))
        graph.inputs.extend((f"{name}{index}", each) for index, each in enumerate(ids))
        return ids if isinstance(value, tuple) else ids[0]

    slots = {name: entered(name, value) for name, value in call.operands.items()}
    made = tuple(operand(each) for each in outputs)
    graph.operations = [Operation(call.operator, slots, call.attributes, made)]
    graph.outputs = [(f"output{index}", each) for index, each in enumerate(made)]
    return graph


def inputs_of(filled: Mapping[str, list[Array]]) -> dict[str, Array]:
    """The data by the names that `graph_of` gives."""
    return {f"{name}{index}": array for name, arrays in filled.items() for index, array in enumerate(arrays)}


def recorded(builder: MLGraphBuilder, call: Call, prefix: str = "") -> list[MLOperand]:
    """The call made with the API, on new inputs whose names begin with the prefix; its outputs."""
    operands: dict[str, Any] = {}
    for name, value in call.operands.items():
        if value is not None:
            several = value if isinstance(value, tuple) else (value,)
            made = [builder.input(f"{prefix}{name}{index}", each) for index, each in enumerate(several)]
            operands[name] = made if isinstance(value, tuple) else made[0]
    given = {**operands, **{name: value for name, value in call.attributes.items() if value is not None}}
    positional = [given.pop(name) for name in call.operator.positional]
    result = getattr(builder, call.operator.name)(*positional, **given)
    return result if isinstance(result, list) else [result]


def disagreements(given: Mapping[str, Array], wanted: Mapping[str, Array]) -> Iterator[str]:
    """Outputs that differ: integers and bytes by any bit, floats by more than rounding explains."""
    for name, right in wanted.items():
        result = given[name]
        assert (result.dtype, result.shape) == (right.dtype, right.shape), name
        if right.dtype.kind != "f":
            agree = bool(np.array_equal(result, right))
        else:
            agree = _are_close(result.astype(np.float64), right.astype(np.float64), np.finfo(right.dtype).eps)
        if not agree:
            yield f"{name}: {result!r} instead of {right!r}"


def _are_close(result: Array, right: Array, epsilon: float) -> bool:
    with np.errstate(all="ignore"):
        finite = np.abs(right[np.isfinite(right)])
        scale = max(1.0, float(finite.max(initial=0)))  # sums of what is large cancel
        return bool(np.isclose(result, right, 256 * epsilon, 64 * epsilon * scale, equal_nan=True).all())
