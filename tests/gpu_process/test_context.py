"""A context gives back what it has taken, however creating something ends."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gpu_process.backends import BackendOptions, load_backend
from gpu_process.constants import ConstantRegions
from gpu_process.context import Context, ContextEnded, SessionMemory
from gpu_process.pools import SlotPool
from gpu_process.quotas import Account, Quotas
from gpu_process.tensors import ConstantTensor, Tensor
from ipc.descriptors import DataType, Descriptor
from ipc.errors import QuotaExceededError
from ipc.operators import declared_limits
from ipc.timeline.limits import SPARE_BYTES
from tests.service_rig import FLOAT, unary

BACKEND = load_backend("reference", BackendOptions())
CONTENT = np.zeros(FLOAT.byte_length, np.uint8)
PAGE = Descriptor(DataType.UINT8, (4096,))


class Owner:
    """A context of a session that offers its pools to nobody."""

    def __init__(self, carrier: str = "stream", **limits: int) -> None:
        self.bytes = Account("tensor_bytes", limits.get("tensor_bytes", 1 << 30))
        regions = ConstantRegions(Account("constant_bytes", 1 << 30), Account("regions", 10))
        self.pool = SlotPool(lambda token, fd, size: None)
        memory = SessionMemory(self.bytes, self.pool, regions)
        self.context = Context(BACKEND, declared_limits(), carrier, memory, Quotas.of(limits), in_place=True)

    def create(self, descriptor: Descriptor = PAGE) -> Tensor:
        return self.context.create_tensor(descriptor, readable=True, writable=True)

    def assert_nothing_is_held(self) -> None:
        assert self.bytes.used == 0
        assert self.context._tensor_count.used == 0
        assert self.context._graph_count.used == 0
        assert not self.context.tensors
        assert not self.context.graphs


def _no_memory(*_: object, **__: object) -> Any:
    raise MemoryError("no memory")


CREATES: dict[str, Callable[[Owner], object]] = {
    "a tensor": lambda owner: owner.create(),
    "a private tensor": lambda owner: owner.context.create_tensor(FLOAT, readable=False, writable=False),
    "a constant tensor": lambda owner: owner.context.create_constant_tensor(FLOAT, CONTENT),
    "a graph": lambda owner: owner.context.add_graph(unary("relu"), BACKEND.compile(unary("relu"), {})),
}


@pytest.mark.parametrize("name", CREATES)
def test_what_is_refused_because_the_context_has_ended_is_given_back(name: str) -> None:
    owner = Owner()
    owner.create()  # so that there is a pool
    owner.context.end()
    owner.assert_nothing_is_held()
    with pytest.raises(ContextEnded):
        CREATES[name](owner)
    owner.assert_nothing_is_held()
    free = sum(end - start for arenas in owner.pool._arenas.values() for it in arenas for start, end in it._gaps)
    assert free == owner.pool.mapped_bytes(), "a slot is still taken"


def test_a_context_that_has_ended_lets_go_of_what_was_bound() -> None:
    owner = Owner()
    graph = owner.context.add_graph(unary("relu"), BACKEND.compile(unary("relu"), {}))
    source, target = owner.create(FLOAT), owner.create(FLOAT)
    owner.context.scheduler.define(1, graph.token, [("x", source.token)], [("y", target.token)])
    assert owner.context.scheduler._bindings
    owner.context.end()
    assert not owner.context.scheduler._bindings


@pytest.mark.parametrize(
    ("name", "culprit"),
    [
        ("a tensor", "gpu_process.pools.SlotPool.allocate"),
        ("a private tensor", "gpu_process.tensors.private_zeros"),
        ("a constant tensor", "gpu_process.tensors.np.empty"),
    ],
)
def test_what_there_is_no_memory_for_is_given_back(monkeypatch: pytest.MonkeyPatch, name: str, culprit: str) -> None:
    owner = Owner()
    with monkeypatch.context() as patch:
        patch.setattr(culprit, _no_memory)
        with pytest.raises(MemoryError):
            CREATES[name](owner)
    owner.assert_nothing_is_held()


def test_the_first_slot_is_given_back_if_there_is_none_for_the_second(monkeypatch: pytest.MonkeyPatch) -> None:
    owner = Owner("ring")
    allocate, taken = owner.pool.allocate, []

    def once(*arguments: Any, **options: Any) -> Any:
        if taken:
            raise MemoryError("no memory")
        taken.append(allocate(*arguments, **options))
        return taken[0]

    monkeypatch.setattr(owner.pool, "allocate", once)
    with pytest.raises(MemoryError):
        owner.create()
    owner.assert_nothing_is_held()
    monkeypatch.undo()
    assert owner.create().slots[0].offset == taken[0].offset


@pytest.mark.parametrize("name", ["a tensor", "a constant tensor"])
def test_a_tensor_that_exceeds_the_bytes_does_not_count(name: str) -> None:
    owner = Owner(tensor_bytes=FLOAT.byte_length - 1)
    with pytest.raises(QuotaExceededError, match="quota tensor_bytes"):
        CREATES[name](owner)
    owner.assert_nothing_is_held()


def test_a_graph_too_many_is_no_graph() -> None:
    owner = Owner(graphs=0)
    with pytest.raises(QuotaExceededError, match="quota graphs"):
        CREATES["a graph"](owner)
    owner.assert_nothing_is_held()


@pytest.mark.parametrize("name", CREATES)
def test_an_end_gives_everything_back(name: str) -> None:
    owner = Owner()
    CREATES[name](owner)
    owner.context.end()
    owner.context.end()
    owner.assert_nothing_is_held()


def test_slots_of_what_is_forgotten_are_used_again() -> None:
    owner = Owner()
    first = owner.create()
    owner.context.forget_tensor(first)
    assert owner.create().slots[0].offset == first.slots[0].offset
    assert owner.bytes.used == PAGE.byte_length


def test_bytes_of_a_constant_tensor_are_given_back_when_nobody_shows_them() -> None:
    owner = Owner()
    tensor = owner.context.create_constant_tensor(FLOAT, CONTENT)
    assert isinstance(tensor, ConstantTensor)
    array = tensor.array
    owner.context.forget_tensor(tensor)
    del tensor
    assert owner.bytes.used == FLOAT.byte_length, "a graph may still use them"
    del array
    owner.assert_nothing_is_held()


@pytest.mark.parametrize(
    ("carrier", "size", "slots"),
    [("ring", SPARE_BYTES, 2), ("ring", SPARE_BYTES + 1, 1), ("stream", 1, 1), ("inline", 1, 0)],
)
def test_a_small_tensor_of_a_ring_has_a_spare_slot(carrier: str, size: int, slots: int) -> None:
    assert len(Owner(carrier).create(Descriptor(DataType.UINT8, (size,))).slots) == slots


@pytest.mark.parametrize("in_place", [True, False])
def test_graphs_are_in_place_only_where_the_context_is(in_place: bool) -> None:
    owner = Owner()
    owner.context.in_place = in_place
    compiled: Any = SimpleNamespace(in_place_inputs=frozenset({"x"}), in_place_outputs=frozenset({"y"}))
    made = owner.context.add_graph(unary("relu"), compiled)
    assert made.in_place_inputs == ({"x"} if in_place else set())
    assert made.in_place_outputs == ({"y"} if in_place else set())


def test_whoever_wants_to_know_of_the_end_is_told_once() -> None:
    owner = Owner()
    told: list[str] = []
    owner.context.when_ended(lambda: told.append("before"))
    assert told == []
    owner.context.end()
    owner.context.end()
    assert told == ["before"]
    owner.context.when_ended(lambda: told.append("after"))
    assert told == ["before", "after"]
