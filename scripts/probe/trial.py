"""One operator in a graph of its own on one backend in this process, with an operand in some position."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from gpu_process.backends import Backend, BackendError, BackendOptions, load_backend
from gpu_process.backends._interface import CompiledGraph
from ipc.descriptors import DataType, Descriptor
from ipc.graph import ConstantSource, Graph, OperandId, Operation, SlotOperands
from ipc.operators import REGISTRY, cast_attributes, declared_limits, infer_outputs
from scripts.probe import calls
from scripts.probe.calls import Array, Call, Shape

Position = Literal["input", "constant", "intermediate"]
POSITIONS: tuple[Position, ...] = ("input", "constant", "intermediate")
RIGHT, WRONG, LEAK, REFUSED = "right", "wrong", "leak", "refused"


def refusals(*, guards: bool) -> type[Exception]:
    """What a backend raises for "cannot"; without guards a lowering gets types that it isn't for, and may raise any."""
    return BackendError if guards else Exception


Operands = Mapping[str, Array | Sequence[Array]]


@dataclass(frozen=True, slots=True)
class Built:
    """A compiled graph with what it is to be bound to.

    Attributes:
        inputs: by name; the name of an input begins with its slot.
        outputs: descriptors by name.
    """

    compiled: CompiledGraph
    inputs: Mapping[str, Array]
    outputs: Mapping[str, Descriptor]

    def run(self) -> dict[str, Array]:
        """Bind to private memory and run once."""
        results = {name: np.zeros(each.storage_shape, each.data_type.storage) for name, each in self.outputs.items()}
        self.compiled.bind({name: array.copy() for name, array in self.inputs.items()}, results).run()
        return results


@functools.cache
def backend(name: str, *, guards: bool = True) -> Backend:
    """A backend of this process."""
    return load_backend(name, BackendOptions(guards=guards))


Content = Callable[[DataType, Shape, int], Array]
"""Makes an array of data type, shape and seed."""


def operands(call: Call, types: Mapping[str, DataType], content: Content = calls.legal) -> dict[str, Any]:
    """Content for every slot."""
    return {slot: operand(call, types, slot, content) for slot in call.shapes}


def operand(call: Call, types: Mapping[str, DataType], slot: str, content: Content) -> Any:
    """Content for one slot; a list where it is variadic."""
    shape: Any = call.shapes[slot]
    if isinstance(shape, list):
        return [content(types[slot], each, seed) for seed, each in enumerate(shape)]
    return content(types[slot], shape, len(slot))


def build(on: Backend, call: Call, given: Operands, slot: str = "", position: Position = "input") -> Built:
    """Compile the call.

    Args:
        slot: the operand that stands in `position`; where that is "constant", all do, so that the call is folded.

    Raises:
        BackendError: the backend cannot.
    """
    graph, arrays, inputs = _recorded(call, given, slot, position)
    return Built(on.compile(graph, arrays), inputs, graph.output_descriptors())


def recorded(call: Call, given: Operands) -> tuple[Graph, dict[OperandId, Array]]:
    """The graph of the call, every operand an input, and its constants, of which there are none."""
    graph, arrays, _ = _recorded(call, given, "", "input")
    return graph, arrays


def _recorded(
    call: Call, given: Operands, slot: str, position: Position
) -> tuple[Graph, dict[OperandId, Array], dict[str, Array]]:
    graph, arrays, inputs = Graph(), dict[OperandId, Array](), dict[str, Array]()

    def operand(array: Array) -> OperandId:
        graph.operands.append(Descriptor(DataType.of(array.dtype), array.shape))
        return len(graph.operands) - 1

    def entered(name: str, array: Array) -> OperandId:
        if position == "constant":
            constant = operand(array)
            graph.constants[constant] = ConstantSource(bytes(16))
            arrays[constant] = array
            return constant
        outside = operand(array if name != slot or position == "input" else np.flip(array))
        label = f"{name}{len(inputs)}"
        graph.inputs.append((label, outside))
        inputs[label] = array if name != slot or position == "input" else np.ascontiguousarray(np.flip(array))
        return outside if name != slot or position == "input" else _apply(graph, "reverse", {"input": outside}, {})[0]

    slots: dict[str, SlotOperands] = {}
    for name, value in given.items():
        if isinstance(value, np.ndarray):
            slots[name] = entered(name, value)
        else:
            slots[name] = tuple(entered(name, each) for each in value)
    made = _apply(graph, call.operator.name, slots, call.options)
    graph.outputs = [(f"output{index}", each) for index, each in enumerate(made)]
    return graph, arrays, inputs


def _apply(
    graph: Graph, name: str, given: Mapping[str, SlotOperands], options: Mapping[str, Any]
) -> tuple[OperandId, ...]:
    operator = REGISTRY[name]
    slots = dict.fromkeys(operator.slots) | dict(given)
    described = {
        key: tuple(graph.operands[each] for each in value)
        if isinstance(value, tuple)
        else None
        if value is None
        else graph.operands[value]
        for key, value in slots.items()
    }
    values = {key: attribute.default for key, attribute in operator.attributes.items()} | dict(options)
    attributes = cast_attributes(operator, described, values)
    outputs = infer_outputs(operator, described, attributes, declared_limits())
    first = len(graph.operands)
    graph.operands.extend(outputs)
    made = tuple(range(first, first + len(outputs)))
    graph.operations.append(Operation(operator, slots, attributes, made))
    return made


def worst(name: str, call: Call, types: Mapping[str, DataType], slot: str, position: Position, *, guards: bool) -> str:
    """What becomes of hostile values in that position: right, wrong, a leak of foreign memory, or refused.

    All values at once where there is room for them; otherwise one after the other, and the first verdict that is not
    "right".
    """
    given = operands(call, types)
    room = np.size(given[slot][0] if isinstance(given[slot], list) else given[slot])
    values = len(calls.hostile_values(types[slot]))
    for only in [None] if room > 2 * values else list(range(values)):
        content = functools.partial(calls.hostile, only=only)
        found = _verdict(name, call, {**given, slot: operand(call, types, slot, content)}, slot, position, guards)
        if found != RIGHT:
            return found
    return RIGHT


def _verdict(name: str, call: Call, given: Operands, slot: str, position: Position, guards: bool) -> str:
    try:
        results = build(backend(name, guards=guards), call, given, slot, position).run()
    except refusals(guards=guards):
        return REFUSED
    wanted = build(backend("reference"), call, given).run()
    if all(_agrees(results[output], wanted[output]) for output in wanted):
        return RIGHT
    if call.only_moves and _is_foreign(results, given):
        return LEAK
    return WRONG


def _agrees(given: Array, wanted: Array) -> bool:
    if given.dtype.kind != "f":
        return bool(np.array_equal(given, wanted))
    half = given.dtype == np.float16
    with np.errstate(all="ignore"):
        wide, right = given.astype(np.float64), wanted.astype(np.float64)
        near = np.isclose(wide, right, 5e-3 if half else 1e-4, 1e-3 if half else 1e-5, equal_nan=True)
    return bool(near.all())


def _is_foreign(results: Mapping[str, Array], given: Operands) -> bool:
    """Whether there is an element, apart from 0, that no operand has, nor an operand that lost its upper half."""
    operands = [each for value in given.values() for each in ([value] if isinstance(value, np.ndarray) else value)]
    for result in results.values():
        known = np.concatenate([each.reshape(-1) for each in operands if each.dtype == result.dtype])
        several = [known, np.zeros(1, known.dtype), *(_narrowed(known) if known.dtype.kind in "iu" else ())]
        bits = f"u{result.itemsize}"
        if np.setdiff1d(result.reshape(-1).view(bits), np.concatenate(several).view(bits)).size:
            return True
    return False


def _narrowed(known: Array) -> tuple[Array, ...]:
    """Integers that went through int32, as low bits and as the nearest."""
    nearest = [min(max(int(each), -(2**31)), 2**31 - 1) for each in known]
    return known.astype(np.int32).astype(known.dtype), np.array(nearest, np.int64).astype(known.dtype)
