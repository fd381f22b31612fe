"""A backend driven in this process: declarations on one side, the backend's interface on the other, nothing between."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gpu_process.backends import Backend
from gpu_process.backends._interface import aligned_empty
from ipc.descriptors import Descriptor
from ipc.graph import ConstantSource, Graph, OperandId, Operation, SlotOperands
from ipc.limits import SupportLimits
from ipc.operators import REGISTRY, Operator, RuleError, cast_attributes, declared_limits, infer_outputs, with_int4
from tests.conformance._runner import NotListedError
from tests.conformance._vectors import Array

_DECLARED = with_int4(declared_limits())


class BackendContext:
    """Builds graphs for a backend and computes them."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._limits = with_int4(backend.support_limits())

    def builder(self) -> BackendBuilder:
        return BackendBuilder(self._limits)

    def compute(self, graph: BackendBuilder, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        """Compile, bind, run once and close."""
        compiled = self._backend.compile(graph.graph, graph.constants)
        try:
            given = {name: _aligned(inputs[name]) for name in graph.graph.input_descriptors()}
            outputs = {
                name: aligned_empty(descriptor.storage_shape, descriptor.data_type.storage)
                for name, descriptor in graph.graph.output_descriptors().items()
            }
            compiled.bind(given, outputs).run()
            for name, array in given.items():  # so that a change of an input is seen
                inputs[name][...] = array
            return outputs
        finally:
            compiled.close()


class BackendBuilder:
    """Records a graph in the form that a backend compiles; serves as the graph too, once built."""

    def __init__(self, limits: SupportLimits) -> None:
        self.graph = Graph()
        self.constants: dict[OperandId, Array] = {}
        self._limits = limits

    def input(self, name: str, descriptor: Descriptor) -> OperandId:
        operand = self._operand(descriptor)
        self.graph.inputs.append((name, operand))
        return operand

    def constant(self, descriptor: Descriptor, array: Array) -> OperandId:
        operand = self._operand(descriptor)
        private = _aligned(array)
        private.flags.writeable = False
        self.graph.constants[operand] = ConstantSource(bytes(16))
        self.constants[operand] = private
        return operand

    def call(self, method: str, arguments: Sequence[Any], options: Mapping[str, Any]) -> Any:
        operator = REGISTRY[method]
        given = {**dict(zip(operator.positional, arguments, strict=False)), **options}
        operands: dict[str, SlotOperands] = {
            name: tuple(given[name]) if slot.presence == "variadic" else given.get(name)
            for name, slot in operator.slots.items()
        }
        descriptors = {name: self._descriptors(operand) for name, operand in operands.items()}
        attributes = cast_attributes(operator, descriptors, _attributes(operator, given))
        outputs = infer_outputs(operator, descriptors, attributes, _DECLARED)
        try:
            infer_outputs(operator, descriptors, attributes, self._limits)
        except RuleError as error:
            raise _not_listed(error) from error
        made = tuple(self._operand(descriptor) for descriptor in outputs)
        self.graph.operations.append(Operation(operator, operands, attributes, made))
        return list(made) if operator.returns_list else made[0]

    def build(self, outputs: Mapping[str, OperandId]) -> BackendBuilder:
        """The graph; inputs that it does not depend on are none of its inputs."""
        self.graph.outputs.extend(outputs.items())
        used = {operand for operation in self.graph.operations for operand in operation.operand_ids()}
        self.graph.inputs = [(name, operand) for name, operand in self.graph.inputs if operand in used]
        return self

    def _operand(self, descriptor: Descriptor) -> OperandId:
        self.graph.operands.append(descriptor)
        return len(self.graph.operands) - 1

    def _descriptors(self, operands: SlotOperands) -> Any:
        if isinstance(operands, tuple):
            return tuple(self.graph.operands[operand] for operand in operands)
        return None if operands is None else self.graph.operands[operands]


def _attributes(operator: Operator, given: Mapping[str, Any]) -> dict[str, Any]:
    def converted() -> Iterator[tuple[str, Any]]:
        for name, attribute in operator.attributes.items():
            yield name, attribute.kind.convert(given[name]) if name in given else attribute.default

    return dict(converted())


def _not_listed(error: RuleError) -> NotListedError:
    _, _, rest = error.rule.partition(".")
    slot, _, what = rest.partition(".")
    return NotListedError(error.operator, slot, error.values[slot] if what == "data_type" else None, str(error))  # type: ignore[arg-type]


def _aligned(array: Array) -> Array:
    copy = aligned_empty(array.shape, array.dtype)
    copy[...] = array
    return copy
