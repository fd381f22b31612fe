"""Memory that another process changes while a graph runs on it."""

from __future__ import annotations

import mmap
import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from gpu_process.backends import BackendError
from gpu_process.backends._interface import Binding
from ipc.descriptors import DataType
from scripts.probe import calls, trial
from scripts.probe.calls import Array, Call
from scripts.probe.trial import Built

PLAIN, ERROR, LEAK = "plain", "error", "leak"
SECONDS = 0.03  # of racing per operand; a run takes some 50 µs
_CANARY = 0x5C
"""Every byte of memory that is not the graph's: an element made of it was read from outside."""


def hostile(name: str, call: Call, types: Mapping[str, DataType], slot: str, *, guards: bool) -> str:
    """What becomes of runs while an operand changes between ordinary and hostile values."""
    try:
        built = trial.build(trial.backend(name, guards=guards), call, trial.operands(call, types))
    except trial.refusals(guards=guards):
        return trial.REFUSED
    places = _shared(built)
    source = next(label for label in places if label.startswith(slot))
    ordinary = places[source].copy()
    changed = calls.hostile(DataType.of(ordinary.dtype), ordinary.shape, 0)
    canaries = [np.full(size, _CANARY, np.uint8) for size in (1 << 10, 1 << 14, 1 << 18) for _ in range(8)]
    outcome = PLAIN
    with _changing(places[source], ordinary, changed):
        for binding in _runs(built, places):
            try:
                binding.run()
            except BackendError:
                outcome = ERROR
                break
            if call.only_moves and any(_has_canary(places[output]) for output in built.outputs):
                outcome = LEAK
                break
    del canaries
    return outcome


def reads_again(name: str, call: Call, types: Mapping[str, DataType], slot: str) -> bool | None:
    """Whether an element of the result needs two readings of an operand to be explained; None if that can't be told."""
    if not call.is_elementwise:
        return None
    on = trial.backend(name)
    both = [_of_one_number(name, call, types, slot, number) for number in (1, 2)]
    built = trial.build(on, call, trial.operands(call, types, calls.filled_with(1)))
    places = _shared(built)
    source = next(label for label in places if label.startswith(slot))
    first, second = (np.full_like(places[source], number) for number in (1, 2))
    with _changing(places[source], first, second):
        for binding in _runs(built, places):
            binding.run()
            for output in built.outputs:
                explained = np.isin(places[output].copy(), [result[output] for result in both])
                if not explained.all():
                    return True
    return False


def reads_output(name: str, call: Call, types: Mapping[str, DataType]) -> bool:
    """Whether results show what another process wrote into an output while it was computed."""
    built = trial.build(trial.backend(name), call, trial.operands(call, types))
    right = built.run()
    return any(_shows(built, right, output) for output in built.outputs)


def _shows(built: Built, right: Mapping[str, Array], poisoned: str) -> bool:
    """Whether any result is neither what it should be nor, in one output, the poison itself."""
    places = _shared(built)
    poison = np.full_like(places[poisoned], 77)
    with _changing(places[poisoned], poison, poison):
        for binding in _runs(built, places):
            binding.run()
            for output, wanted in right.items():
                found = places[output].copy()
                wrong = ~((found == wanted) | ((found != found) & (wanted != wanted)))
                if output == poisoned:
                    wrong &= found != poison
                if wrong.any():
                    return True
    return False


def _of_one_number(name: str, call: Call, types: Mapping[str, DataType], slot: str, number: int) -> dict[str, Any]:
    given = trial.operands(call, types, calls.filled_with(1))
    given[slot] = np.full_like(given[slot], number)
    results = trial.build(trial.backend(name), call, given).run()
    return {output: array.reshape(-1)[0] for output, array in results.items()}


def _shared(built: Built) -> dict[str, Array]:
    """All inputs and outputs in memory that a forked process shares."""
    places = {label: _shared_copy(array) for label, array in built.inputs.items()}
    for label, descriptor in built.outputs.items():
        places[label] = _shared_copy(np.zeros(descriptor.storage_shape, descriptor.data_type.storage))
    return places


def _shared_copy(array: Array) -> Array:
    memory = mmap.mmap(-1, max(1, array.nbytes))
    copy: Array = np.frombuffer(memory, array.dtype, array.size).reshape(array.shape)
    copy[...] = array
    return copy


def _runs(built: Built, places: Mapping[str, Array]) -> Iterator[Binding]:
    """The binding, again and again for a while."""
    inputs = {label: places[label] for label in built.inputs}
    binding = built.compiled.bind(inputs, {label: places[label] for label in built.outputs})
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        yield binding


@contextmanager
def _changing(place: Array, first: Array, second: Array) -> Iterator[None]:
    """Another process copies one array, then the other, into the place, without end."""
    child = os.fork()
    if child == 0:
        _change(place, first, second)
    try:
        yield
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _change(place: Array, first: Array, second: Array) -> None:
    parent = os.getppid()
    while os.getppid() == parent:  # which may crash
        for _ in range(100):
            np.copyto(place, first)
            np.copyto(place, second)
    os._exit(0)


def _has_canary(array: Array) -> bool:
    pattern = np.full(array.itemsize, _CANARY, np.uint8).view(array.dtype)
    return bool((array.view(f"u{array.itemsize}") == pattern.view(f"u{array.itemsize}")).any())
