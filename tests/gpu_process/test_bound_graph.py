"""Graphs with their tensors: bound to the place in which each tensor is, and once for each."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from gpu_process.backends import Binding
from gpu_process.bound_graph import BoundGraph, GraphObject
from gpu_process.pools import SlotPool
from gpu_process.tensors import Array, Tensor
from ipc.channel import new_token
from ipc.descriptors import DataType, Descriptor

VECTOR = Descriptor(DataType.FLOAT32, (4,))


class _Copies:
    """A compiled graph y = x, which counts how often it is bound."""

    devices = ("cpu",)
    in_place_inputs = frozenset({"x"})
    in_place_outputs = frozenset({"y"})

    def __init__(self) -> None:
        self.bound = 0

    def bind(self, inputs: Mapping[str, Array], outputs: Mapping[str, Array]) -> Binding:
        self.bound += 1
        return _Copy(inputs["x"], outputs["y"])

    def close(self) -> None:
        """Nothing is held."""


class _Copy:
    def __init__(self, source: Array, target: Array) -> None:
        self._source = source
        self._target = target

    def run(self) -> None:
        self._target[...] = self._source


def _tensor(places: int) -> Tensor:
    pool = SlotPool(lambda token, fd, size: None)
    slots = [pool.allocate(VECTOR.byte_length, renderer_may_write=True) for _ in range(places)]
    return Tensor(new_token(), VECTOR, readable=True, writable=True, slots=slots)


def _bound(compiled: _Copies, source: Tensor, target: Tensor) -> BoundGraph:
    in_place = (compiled.in_place_inputs, compiled.in_place_outputs)
    graph = GraphObject(new_token(), compiled, {"x": VECTOR}, {"y": VECTOR}, *in_place)
    return BoundGraph(graph, {"x": source}, {"y": target})


def _write(tensor: Tensor, place: int, value: float) -> None:
    tensor.slots[place].memory.view(np.float32)[:] = value
    tensor.written_in_slot(place)


def _read(tensor: Tensor) -> float:
    tensor.make_current(in_place=True)
    return float(tensor.slots[tensor.place].memory.view(np.float32)[0])


def test_a_tensor_is_used_in_the_place_in_which_it_is() -> None:
    compiled, source, target = _Copies(), _tensor(2), _tensor(2)
    graph = _bound(compiled, source, target)
    for value, places in enumerate([(0, 0), (1, 0), (1, 1), (0, 1), (0, 0)], 1):
        _write(source, places[0], value)
        target.move(places[1])
        graph.run()
        assert _read(target) == value
    assert compiled.bound == 4, "once for each combination"


def test_no_more_combinations_are_kept_than_a_few() -> None:
    compiled, source, target = _Copies(), _tensor(17), _tensor(1)
    graph = _bound(compiled, source, target)
    for place in range(17):
        _write(source, place, place)
        graph.run()
    _write(source, 16, 1)
    graph.run()
    assert compiled.bound == 17, "the last ones are kept"
    _write(source, 0, 2)
    graph.run()
    assert compiled.bound == 18, "the first one is not"
    assert _read(target) == 2
