"""Calls in any order, from several sessions with real processes between, against arrays of NumPy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, multiple, rule, run_state_machine_as_test

from ipc.errors import InvalidStateError, MLError, MLTypeError
from renderer import ML, MLContext, MLGraph, MLGraphBuilder, MLTensor
from scripts.simulator import simulator

_SHAPE: Final = (2, 3)
_SECONDS: Final = 30.0
_SESSIONS: Final = 2
_MOST_CONTEXTS: Final = 4
_CARRIERS: Final = st.sampled_from(("inline", "stream", "ring"))
_NUMBERS: Final = st.integers(0, 11)
"""Of an object, modulo how many there are."""

T = TypeVar("T")

Array = npt.NDArray[np.int32]

_OPERATORS: Final[dict[str, Callable[[Array, Array], Array]]] = {"add": np.add, "sub": np.subtract, "mul": np.multiply}


@dataclass(eq=False)
class _Context:
    real: MLContext
    session: int
    alive: bool = True


@dataclass(eq=False)
class _Tensor:
    real: MLTensor
    context: _Context
    value: Array = field(default_factory=lambda: np.zeros(_SHAPE, np.int32))
    destroyed: bool = False

    @property
    def alive(self) -> bool:
        return self.context.alive and not self.destroyed


@dataclass(eq=False)
class _Graph:
    """y = a (operator) b (operator) constant."""

    real: MLGraph
    context: _Context
    operator: str
    constant: Array
    destroyed: bool = False

    @property
    def alive(self) -> bool:
        return self.context.alive and not self.destroyed

    def result(self, a: Array, b: Array) -> Array:
        apply = _OPERATORS[self.operator]
        return apply(apply(a, b), self.constant)


class Sequences(RuleBasedStateMachine):
    """What a call must do follows from what is alive, and what a read must give from the arrays."""

    graphs: Bundle[_Graph] = Bundle("graphs")

    def __init__(self, socket: Path) -> None:
        super().__init__()
        self._socket = socket
        self._sessions = [ML(socket=socket) for _ in range(_SESSIONS)]
        self._contexts: list[_Context] = []
        self._tensors: list[_Tensor] = []

    def teardown(self) -> None:
        for session in self._sessions:
            session.destroy()

    def _context(self, session: int, carrier: str) -> _Context:
        made = _Context(self._sessions[session].create_context(carrier=carrier), session)
        self._contexts.append(made)
        return made

    @initialize(target=graphs, carrier=_CARRIERS, operator=st.sampled_from(tuple(_OPERATORS)))
    def begin(self, carrier: str, operator: str) -> Any:
        context = self._context(0, carrier)
        for _ in range(3):
            self.create_tensor(context)
        return self.build(context, operator, 3)

    @rule(session=st.integers(0, _SESSIONS - 1), carrier=_CARRIERS)
    def create_a_context(self, session: int, carrier: str) -> None:
        if sum(context.alive for context in self._contexts) < _MOST_CONTEXTS:
            self._context(session, carrier)

    @rule(number=_NUMBERS)
    def create_a_tensor(self, number: int) -> None:
        self.create_tensor(_of(self._contexts, number))

    def create_tensor(self, context: _Context) -> None:
        made = _expect(
            () if context.alive else (InvalidStateError,),
            lambda: context.real.create_tensor("int32", _SHAPE, readable=True, writable=True, timeout=_SECONDS),
        )
        if made is not None:
            self._tensors.append(_Tensor(made, context))

    @rule(
        target=graphs,
        number=_NUMBERS,
        operator=st.sampled_from(tuple(_OPERATORS)),
        constant=st.integers(-(2**31), 2**31 - 1),
    )
    def build_a_graph(self, number: int, operator: str, constant: int) -> Any:
        return self.build(_of(self._contexts, number), operator, constant)

    def build(self, context: _Context, operator: str, number: int) -> Any:
        constant = np.full(_SHAPE, number, np.int32)

        def work() -> MLGraph:
            builder = MLGraphBuilder(context.real)
            method = getattr(builder, operator)
            a, b = builder.input("a", "int32", _SHAPE), builder.input("b", "int32", _SHAPE)
            return builder.build({"y": method(method(a, b), builder.constant(constant))}, timeout=_SECONDS)

        made = _expect(() if context.alive else (InvalidStateError,), work)
        return multiple() if made is None else _Graph(made, context, operator, constant)

    @rule(number=_NUMBERS, seed=st.integers(0, 2**32 - 1))
    def write(self, number: int, seed: int) -> None:
        tensor = _of(self._tensors, number)
        value = np.random.default_rng(seed).integers(-(2**31), 2**31, _SHAPE, np.int32)
        _expect(_if_gone(tensor), lambda: tensor.context.real.write_tensor(tensor.real, value))
        if tensor.alive:
            tensor.value = value.copy()
        value[:] = 0  # the call has copied it

    @rule(graph=graphs, numbers=st.tuples(_NUMBERS, _NUMBERS, _NUMBERS), strays=st.integers(0, 4))
    def dispatch(self, graph: _Graph, numbers: tuple[int, int, int], strays: int) -> None:
        own = [tensor for tensor in self._tensors if tensor.context is graph.context]
        a, b, y = (_of(self._tensors if strays == 0 or not own else own, number) for number in numbers)
        wanted: tuple[type[MLError], ...] = ()
        if not graph.alive:
            wanted = (InvalidStateError,)
        elif len({a, b, y}) < 3 or not all(each.alive and each.context is graph.context for each in (a, b, y)):
            wanted = (MLTypeError, InvalidStateError)
        _expect(wanted, lambda: graph.context.real.dispatch(graph.real, {"a": a.real, "b": b.real}, {"y": y.real}))
        if not wanted:
            y.value = graph.result(a.value, b.value)

    @rule(number=_NUMBERS)
    def read(self, number: int) -> None:
        tensor = _of(self._tensors, number)
        got = _expect(_if_gone(tensor), lambda: tensor.context.real.read_tensor(tensor.real, timeout=_SECONDS))
        if got is not None:
            np.testing.assert_array_equal(got, tensor.value)

    @rule(graph=graphs, numbers=st.tuples(_NUMBERS, _NUMBERS))
    def compute(self, graph: _Graph, numbers: tuple[int, int]) -> None:
        a, b = (_of(self._tensors, number) for number in numbers)
        inputs = {"a": a.value, "b": b.value}
        got = _expect(_if_gone(graph), lambda: graph.context.real.compute(graph.real, inputs, timeout=_SECONDS))
        if got is not None:
            np.testing.assert_array_equal(got["y"], graph.result(a.value, b.value))

    @rule(number=_NUMBERS)
    def destroy_a_tensor(self, number: int) -> None:
        tensor = _of(self._tensors, number)
        tensor.real.destroy()
        tensor.destroyed = True

    @rule(graph=graphs)
    def destroy_a_graph(self, graph: _Graph) -> None:
        graph.real.destroy()
        graph.destroyed = True

    @rule(number=_NUMBERS, chance=st.integers(0, 4))
    def destroy_a_context(self, number: int, chance: int) -> None:
        if chance == 0:
            context = _of(self._contexts, number)
            context.real.destroy()
            context.alive = False

    @rule(session=st.integers(0, _SESSIONS - 1), chance=st.integers(0, 9))
    def end_a_session(self, session: int, chance: int) -> None:
        if chance == 0:
            self._sessions[session].destroy()
            self._sessions[session] = ML(socket=self._socket)
            for context in self._contexts:
                context.alive = context.alive and context.session != session


def _of(items: list[T], number: int) -> T:
    return items[number % len(items)]


def _if_gone(item: _Tensor | _Graph) -> tuple[type[MLError], ...]:
    return () if item.alive else (InvalidStateError,)


def _expect(wanted: tuple[type[MLError], ...], call: Callable[[], Any]) -> Any:
    """What a call returns; None where it raises what it must."""
    if not wanted:
        return call()
    with pytest.raises(wanted):
        call()
    return None


@pytest.fixture(scope="module")
def socket() -> Iterator[Path]:
    with simulator(("--backend", "reference")) as host:
        yield host.socket


def _run(socket: Path, *phases: Phase) -> None:
    machine: Any = partial(Sequences, socket)  # called for each example
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=15,
            stateful_step_count=30,
            deadline=None,
            derandomize=True,
            phases=phases or tuple(Phase),
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_any_order_of_calls_does_what_numpy_does(socket: Path) -> None:
    _run(socket)


def test_another_result_would_be_noticed(socket: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Graph, "result", lambda self, a, b: a + 12345)
    with pytest.raises(AssertionError):
        _run(socket, Phase.generate)  # nobody looks at what it shrinks to
