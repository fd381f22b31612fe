"""Plays a sequence against a real host, and the model beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ipc.errors import InvalidStateError, MLError
from renderer import ML, MLContext, MLGraph, MLGraphBuilder, MLTensor
from scripts.fuzz.sequences import model
from scripts.fuzz.sequences.case import RENDERERS, SequenceCase, Step
from scripts.fuzz.sequences.model import Errors, ModelContext, ModelGraph, ModelRenderer, ModelTensor

_SHAPE, _WIDE = (2, 3), (4, 5)
_SECONDS = 20.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A call that did not do what it must.

    Attributes:
        word: what was called.
        ended: whether it failed as if its context were lost.
    """

    word: str
    story: str
    ended: bool = False


class Player:
    """Renderers, contexts and objects of one sequence."""

    def __init__(self, socket: Path, backend: str) -> None:
        self._backend = backend
        self._renderers = [(ML(socket=socket), ModelRenderer()) for _ in range(RENDERERS)]
        self._contexts: list[tuple[MLContext, ModelContext]] = []
        self._tensors: list[tuple[MLTensor, ModelTensor]] = []
        self._graphs: list[tuple[MLGraph, ModelGraph]] = []
        self.outcomes: set[tuple[str, str]] = set()

    def play(self, case: SequenceCase) -> Mismatch | None:
        """Make all calls, or those up to the first that does not do what it must."""
        for number, step in enumerate(case.steps):
            mismatch = self._play(step)
            if mismatch is not None:
                story = f"step {number}, {step}: {mismatch.story}\n\n" + "\n".join(map(str, case.steps[: number + 1]))
                return Mismatch(mismatch.word, story, mismatch.ended)
        return None

    def close(self) -> None:
        """End what is left."""
        for each in (*self._tensors, *self._graphs, *self._contexts, *self._renderers):
            each[0].destroy()

    def _play(self, step: Step) -> Mismatch | None:
        play: Callable[..., Mismatch | None] | None = getattr(self, f"_{step[0]}")
        assert play is not None
        return play(*step[1:])

    # --- what is created ----------------------------------------------------------------------------------------------

    def _context(self, renderer: int, carrier: str) -> Mismatch | None:
        ml, model_renderer = self._renderers[renderer]
        wanted = (InvalidStateError,) if model_renderer.disconnected else model.OK
        return self._expect(
            "context",
            wanted,
            lambda: ml.create_context(backend=self._backend, carrier=carrier),
            lambda made: self._contexts.append((made, ModelContext(model_renderer))),
        )

    def _tensor(self, context: int, readable: bool, writable: bool) -> Mismatch | None:
        chosen = _pick(self._contexts, context)
        if chosen is None:
            return None
        owner, of = chosen
        return self._expect(
            "tensor",
            model.creating(of),
            lambda: owner.create_tensor("int32", _SHAPE, readable=readable, writable=writable, timeout=_SECONDS),
            lambda made: self._tensors.append((made, ModelTensor(of, readable, writable))),
        )

    def _constant(self, context: int, value: int) -> Mismatch | None:
        chosen = _pick(self._contexts, context)
        if chosen is None:
            return None
        owner, of = chosen
        return self._expect(
            "constant",
            model.creating(of),
            lambda: owner.create_constant_tensor("int32", _SHAPE, _filled(value), timeout=_SECONDS),
            lambda made: self._tensors.append((made, ModelTensor(of, False, False, constant=True, value=value))),
        )

    def _graph(self, context: int, kind: str, number: int) -> Mismatch | None:
        chosen = _pick(self._contexts, context)
        if chosen is None:
            return None
        owner, of = chosen
        return self._expect(
            "graph",
            model.creating(of),
            lambda: self._build(owner, of, kind, number),
            self._graphs.append,
        )

    def _build(self, context: MLContext, of: ModelContext, kind: str, number: int) -> tuple[MLGraph, ModelGraph]:
        b = MLGraphBuilder(context)
        shape = _WIDE if kind == "wide" else _SHAPE
        x = b.input("x", "int32", shape)
        inputs: tuple[str, ...] = ("x",)
        factor, term = 1, 0
        match kind:
            case "sum":
                y, inputs = b.add(x, b.input("z", "int32", shape)), ("x", "z")
            case "double":
                y, factor = b.add(x, x), 2
            case "weighted":
                held = [(tensor, of_it) for tensor, of_it in self._tensors if _is_constant_of(of_it, of)]
                if held:
                    y, term = b.add(x, b.constant(held[0][0])), held[0][1].value
                else:
                    y = b.identity(x)
            case _:
                y, term = b.add(x, b.constant(_filled(number, shape))), number
        graph = b.build({"y": y}, timeout=_SECONDS)
        return graph, ModelGraph(of, inputs, factor, term, is_wide=kind == "wide")

    # --- commands -----------------------------------------------------------------------------------------------------

    def _write(self, tensor: int, value: int) -> Mismatch | None:
        chosen = _pick(self._tensors, tensor)
        if chosen is None:
            return None
        target, of = chosen

        def written(_: object) -> None:
            of.value = value

        return self._expect(
            "write", model.writing(of), lambda: _context_of(target).write_tensor(target, _filled(value)), written
        )

    def _write_wrongly(self, tensor: int) -> Mismatch | None:
        chosen = _pick(self._tensors, tensor)
        if chosen is None:
            return None
        target, of = chosen
        data = np.zeros((1, 3), np.int32)
        wanted = model.writing_wrongly(of)
        return self._expect("write_wrongly", wanted, lambda: _context_of(target).write_tensor(target, data))

    def _dispatch(self, graph: int, first: int, second: int, output: int) -> Mismatch | None:
        chosen = _pick(self._graphs, graph)
        if chosen is None or not self._tensors:
            return None
        built, of = chosen
        picked = [self._tensors[number % len(self._tensors)] for number in (first, second)]
        inputs = dict(zip(of.inputs, picked, strict=False))
        target, target_model = self._tensors[output % len(self._tensors)]

        def done(_: object) -> None:
            target_model.value = of.result(*(each.value for _, each in inputs.values()))

        return self._expect(
            "dispatch",
            model.dispatching(of, [each for _, each in inputs.values()], target_model),
            lambda: _context_of(built).dispatch(
                built, {name: tensor for name, (tensor, _) in inputs.items()}, {"y": target}
            ),
            done,
        )

    def _read(self, tensor: int) -> Mismatch | None:
        chosen = _pick(self._tensors, tensor)
        if chosen is None:
            return None
        source, of = chosen
        wrong: list[Mismatch] = []

        def compare(array: Any) -> None:
            if not (array == _wrapped(of.value)).all():
                wrong.append(Mismatch("read", f"{array.tolist()} was read, {of.value} was expected"))

        mismatch = self._expect(
            "read", model.reading(of), lambda: _context_of(source).read_tensor(source, timeout=_SECONDS), compare
        )
        return mismatch or (wrong[0] if wrong else None)

    def _compute(self, graph: int, value: int) -> Mismatch | None:
        chosen = _pick(self._graphs, graph)
        if chosen is None:
            return None
        built, of = chosen
        shape = _WIDE if of.is_wide else _SHAPE
        wrong: list[Mismatch] = []

        def compare(results: Any) -> None:
            wanted = of.result(*(value for _ in of.inputs))
            if not (results["y"] == _wrapped(wanted)).all():
                wrong.append(Mismatch("compute", f"{results['y'].tolist()} was computed, {wanted} was expected"))

        arrays = {name: _filled(value, shape) for name in of.inputs}
        mismatch = self._expect(
            "compute", model.computing(of), lambda: _context_of(built).compute(built, arrays, timeout=_SECONDS), compare
        )
        return mismatch or (wrong[0] if wrong else None)

    # --- ends ---------------------------------------------------------------------------------------------------------

    def _destroy_tensor(self, tensor: int) -> Mismatch | None:
        return self._destroy("destroy_tensor", _pick(self._tensors, tensor))

    def _destroy_graph(self, graph: int) -> Mismatch | None:
        return self._destroy("destroy_graph", _pick(self._graphs, graph))

    def _destroy_context(self, context: int) -> Mismatch | None:
        return self._destroy("destroy_context", _pick(self._contexts, context))

    def _destroy(self, word: str, chosen: Any) -> Mismatch | None:
        if chosen is None:
            return None
        item, of = chosen

        def destroyed(_: object) -> None:
            of.destroyed = True

        return self._expect(word, model.OK, item.destroy, destroyed)

    def _disconnect(self, renderer: int) -> Mismatch | None:
        ml, of = self._renderers[renderer]

        def gone(_: object) -> None:
            of.disconnected = True

        return self._expect("disconnect", model.OK, ml.destroy, gone)

    # --- the judgement ------------------------------------------------------------------------------------------------

    def _expect(
        self, word: str, wanted: Errors, call: Callable[[], T], then: Callable[[T], object] = lambda _: None
    ) -> Mismatch | None:
        names = " or ".join(kind.__name__ for kind in wanted) or "success"
        try:
            result = call()
        except MLError as error:
            self.outcomes.add((word, type(error).__name__))
            if type(error) in wanted:
                return None
            ended = isinstance(error, InvalidStateError) and not wanted
            return Mismatch(word, f"{type(error).__name__} instead of {names}: {error}", ended)
        self.outcomes.add((word, "success"))
        if wanted:
            return Mismatch(word, f"success instead of {names}")
        then(result)
        return None


def _pick(items: list[T], number: int) -> T | None:
    return items[number % len(items)] if items else None


def _is_constant_of(tensor: ModelTensor, context: ModelContext) -> bool:
    return tensor.constant and tensor.context is context and not tensor.is_gone


def _context_of(item: MLTensor | MLGraph) -> MLContext:
    context: MLContext = item._context  # type: ignore[assignment]  # noqa: SLF001 - the API does not tell it
    return context


def _filled(value: int, shape: tuple[int, ...] = _SHAPE) -> np.ndarray[Any, np.dtype[np.int32]]:
    return np.full(shape, _wrapped(value), np.int32)


def _wrapped(value: int) -> int:
    return (value + 2**31) % 2**32 - 2**31
