"""What `op_support_limits()` lists works, what it leaves out is refused: both sides of every entry of every backend."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import pytest

from gpu_process.validation import validate_graph
from ipc.descriptors import ANY, MAX_RANK, DataType, Descriptor
from ipc.errors import MLTypeError
from ipc.limits import SupportLimits, TensorLimits
from ipc.operators import REGISTRY, SlotValue
from ipc.options import BACKEND_NAMES
from ipc.verdicts import BadMessage, BadMessageReason
from renderer import ML, MLContext, MLGraphBuilder
from scripts.fuzz.calls import Call
from scripts.fuzz.search import legal_call
from tests.properties._calls import PROFILE, Array, content, disagreements, found, graph_of, inputs_of, recorded

_TOGETHER = 120  # calls in one graph


@pytest.fixture(scope="module")
def ml() -> Iterator[ML]:
    with ML() as ml:
        yield ml


@pytest.fixture(scope="module", params=BACKEND_NAMES)
def context(ml: ML, request: pytest.FixtureRequest) -> Iterator[MLContext]:
    with ml.create_context(backend=request.param) as context:
        yield context


@pytest.fixture(scope="module")
def reference(ml: ML) -> Iterator[MLContext]:
    with ml.create_context(backend="reference") as context:
        yield context


@dataclass(frozen=True)
class _Side:
    """One side of an entry: what the operand or output called `name` is."""

    operator: str
    name: str
    data_type: DataType | None = None
    rank: int | None = None

    def holds(self, descriptor: Descriptor) -> bool:
        return descriptor.data_type is self.data_type if self.rank is None else descriptor.rank == self.rank

    def narrowed(self, limits: SupportLimits) -> SupportLimits:
        """Limits that allow nothing else in this place."""
        entry = limits.operators[self.operator][self.name]
        if self.rank is None:
            assert self.data_type is not None
            entry = replace(entry, data_types=frozenset({self.data_type}))
        else:
            entry = replace(entry, min_rank=self.rank, max_rank=self.rank)
        entries = {**limits.operators[self.operator], self.name: entry}
        return replace(limits, operators={**limits.operators, self.operator: entries})


def _listed(name: str, limits: SupportLimits) -> Iterator[_Side]:
    for place, entry in limits.operators[name].items():
        yield from (_Side(name, place, data_type=data_type) for data_type in sorted(entry.data_types))
        yield from (_Side(name, place, rank=rank) for rank in sorted({entry.min_rank, entry.max_rank}))


def _described(call: Call, limits: SupportLimits) -> Iterator[tuple[str, Descriptor]]:
    """Operands and outputs by name."""
    yield from call.descriptors()
    names = list(call.operator.outputs)
    for index, descriptor in enumerate(call.infer(limits)):
        yield names[min(index, len(names) - 1)], descriptor


def _covering(name: str, limits: SupportLimits) -> list[Call]:
    """Calls among which every listed side of every entry of an operator is found."""
    random, chosen, seen = Random(name), list[Call](), set[tuple[str, Descriptor]]()
    for side in _listed(name, limits):
        if not any(place == side.name and side.holds(descriptor) for place, descriptor in seen):
            call: Call = _call_with(side, random, limits)
            chosen.append(call)
            seen.update(_described(call, limits))
    return chosen


def _call_with(side: _Side, random: Random, limits: SupportLimits) -> Call:
    narrowed = side.narrowed(limits)
    for _ in range(200):
        call: Call | None = legal_call(REGISTRY[side.operator], random, narrowed, PROFILE)
        if call is not None and any(
            place == side.name and side.holds(descriptor) for place, descriptor in _described(call, limits)
        ):
            return call
    raise AssertionError(f"no call was found for {side}")


def test_what_is_listed_works(context: MLContext, reference: MLContext) -> None:
    limits = _limits(context)
    calls = [call for name in limits.operators for call in _covering(name, limits)]
    for start in range(0, len(calls), _TOGETHER):
        together = calls[start : start + _TOGETHER]
        given, wanted = (_computed(each, together, start) for each in (context, reference))
        assert not list(disagreements(given, wanted))


def _limits(context: MLContext) -> SupportLimits:
    """The limits as builders of the context see them."""
    return context._limits


def _computed(context: MLContext, calls: list[Call], seed: int) -> dict[str, Array]:
    """All calls in one graph."""
    builder, outputs, inputs = MLGraphBuilder(context), dict[str, Any](), dict[str, Array]()
    for index, call in enumerate(calls):
        prefix = f"{index}.{call.operator.name}."
        for position, operand in enumerate(recorded(builder, call, prefix)):
            outputs[f"{prefix}output{position}"] = operand
        filled = inputs_of(content(call, seed + index, 0.0))
        inputs.update((f"{prefix}{name}", array) for name, array in filled.items())
    graph = builder.build(outputs)
    try:
        return dict(context.compute(graph, inputs))
    finally:
        graph.destroy()


def test_what_is_left_out_is_refused_by_both_sides(context: MLContext) -> None:
    limits = _limits(context)
    count = 0
    for name in REGISTRY:
        for side, call in _left_out(name, limits):
            count += 1
            with pytest.raises(MLTypeError) as refusal:
                recorded(MLGraphBuilder(context), call)
            assert refusal.value.rule is not None, side
            assert refusal.value.rule.startswith(f"{name}."), side
            with pytest.raises(BadMessage) as refused:
                validate_graph(graph_of(call, (Descriptor(DataType.FLOAT32, (1,)),)), limits, _NoConstants())
            assert refused.value.reason is BadMessageReason.OPERATOR_RULE, side
            assert refused.value.field == f"operations[0]: {refusal.value.rule}", side
    assert count > 300


def _left_out(name: str, limits: SupportLimits) -> Iterator[tuple[_Side, Call]]:
    """Legal calls with one operand moved to the other side of its entry."""
    if name not in limits.operators:
        call: Call = found(legal_call(REGISTRY[name], Random(name), _all(limits), PROFILE))
        yield _Side(name, ""), call
        return
    right: Call = found(legal_call(REGISTRY[name], Random(name), limits, PROFILE))
    for slot in right.operator.slots.values():
        value, entry = right.operands[slot.name], limits.operators[name][slot.name]
        if value is None or slot.same_type_as is not None:
            continue
        for data_type in sorted(ANY - entry.data_types):
            yield _Side(name, slot.name, data_type=data_type), _of_type(right, slot.name, data_type)
        for rank in (entry.min_rank - 1, entry.max_rank + 1):
            if 0 <= rank <= MAX_RANK:
                ranked = _changed(value, lambda each, rank=rank: Descriptor(each.data_type, (1,) * rank))
                yield _Side(name, slot.name, rank=rank), right.with_operand(slot.name, ranked)


def _of_type(call: Call, name: str, data_type: DataType) -> Call:
    """With another type in a slot, and in those that have to share it."""
    for other, slot in call.operator.slots.items():
        if other == name or slot.same_type_as == name:
            changed = _changed(call.operands[other], lambda each: Descriptor(data_type, each.shape))
            call = call.with_operand(other, changed)
    return call


def _changed(value: SlotValue, change: Any) -> SlotValue:
    if value is None:
        return None
    return tuple(map(change, value)) if isinstance(value, tuple) else change(value)


def _all(limits: SupportLimits) -> SupportLimits:
    entries = {
        name: {slot: TensorLimits(frozenset(ANY), 0, MAX_RANK) for slot in (*operator.slots, *operator.outputs)}
        for name, operator in REGISTRY.items()
    }
    return replace(limits, operators=entries)


class _NoConstants:
    def region_size(self, token: bytes) -> int | None:
        return None

    def tensor_descriptor(self, token: bytes) -> Descriptor | None:
        return None


def test_the_limits_that_scripts_see_are_those_that_builders_obey(context: MLContext) -> None:
    shown = context.op_support_limits()
    limits = _limits(context)
    for name, entries in limits.operators.items():
        operator = REGISTRY[name]
        for place, entry in entries.items():
            spec_name = {**operator.slots, **operator.outputs}[place].spec_name
            given: Any = shown[operator.spec_name][spec_name]
            assert set(given["dataTypes"]) == {each.value for each in entry.data_types}
            assert given["rankRange"] == {"min": entry.min_rank, "max": entry.max_rank}
    assert not set(itertools.chain(shown)) - {
        *(REGISTRY[name].spec_name for name in limits.operators),
        *("preferredInputLayout", "maxTensorByteLength", "input", "constant", "output"),
    }
