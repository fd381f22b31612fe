"""Every check of a decoded graph: what a correct renderer guarantees is looked at again, and never believed.

The same inference as in the renderer runs here on our own copy; a descriptor that the renderer computed is compared,
not used. Operations are walked once, in order, inputs before outputs, so that what passes has no cycles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from gpu_process import estimates, quotas
from gpu_process.quotas import Quotas
from ipc.descriptors import Descriptor
from ipc.generated.webnn.v1 import graph_pb2
from ipc.graph import ConstantSource, Graph, OperandId, Operation, SlotOperands
from ipc.limits import SupportLimits, TensorLimits
from ipc.operators import RuleError, cast_attributes, infer_outputs
from ipc.operators._rules import SlotValue
from ipc.shared_memory import ALIGNMENT
from ipc.verdicts import BadMessage
from ipc.verdicts import BadMessageReason as Reason


class Constants(Protocol):
    """What a graph may take constants from: the regions and constant tensors of its session and context."""

    def region_size(self, token: bytes) -> int | None:
        """Bytes of a sealed region, or None if there is none of that name."""

    def tensor_descriptor(self, token: bytes) -> Descriptor | None:
        """Descriptor of a constant tensor, or None if there is no tensor of that name.

        Raises:
            BadMessage: there is one, but it is not constant.
        """


def check_graph_quotas(message: graph_pb2.Graph, limits: Quotas) -> None:
    """Refuse what is too large to be decoded.

    Raises:
        QuotaExceededError: too many operations or operands, or a name or label that is too long.
    """
    quotas.check("operations", len(message.operations), limits.operations)
    quotas.check("operands", len(message.operands), limits.operands)
    texts: Iterable[str] = (
        *(item.name for item in message.inputs),
        *(item.name for item in message.outputs),
        *(item.label for item in message.operations),
    )
    for text in texts:
        quotas.check("name_bytes", len(text.encode()), limits.name_bytes)


def validate_graph(graph: Graph, limits: SupportLimits, constants: Constants) -> None:
    """Check a graph that `decode_graph` made.

    Args:
        limits: of the context.

    Raises:
        BadMessage: with the reason and the path of the first offending field.
    """
    for what, items in (
        (Reason.NO_OPERANDS, graph.operands),
        (Reason.NO_OPERATIONS, graph.operations),
        (Reason.NO_OUTPUTS, graph.outputs),
    ):
        if not items:
            raise BadMessage(what, "graph")
    _check_named("inputs", graph.inputs, graph.operands, limits.input, Reason.UNSUPPORTED_INPUT)
    _check_named("outputs", graph.outputs, graph.operands, limits.output, Reason.UNSUPPORTED_OUTPUT)
    for operand, source in graph.constants.items():
        _check_constant(graph.operands[operand], source, f"operands[{operand}]", limits.constant, constants)
    used = _check_operations(graph, limits)
    for index, (_, operand) in enumerate(graph.inputs):
        if not used[operand]:
            raise BadMessage(Reason.UNUSED_INPUT, f"inputs[{index}]")
    for operand in graph.constants:
        if not used[operand]:
            raise BadMessage(Reason.UNUSED_CONSTANT, f"operands[{operand}]")


def check_cost(graph: Graph, limits: Quotas) -> None:
    """Refuse a valid graph that would take too much to run.

    Raises:
        QuotaExceededError: its intermediate operands or its multiplications exceed the limit.
    """
    quotas.check("intermediate_bytes", estimates.intermediate_bytes(graph), limits.intermediate_bytes)
    quotas.check("graph_macs", estimates.graph_macs(graph), limits.graph_macs)


def _check_named(
    field: str,
    named: Sequence[tuple[str, OperandId]],
    operands: Sequence[Descriptor],
    limits: TensorLimits,
    unsupported: Reason,
) -> None:
    names: set[str] = set()
    for index, (name, operand) in enumerate(named):
        if not name:
            raise BadMessage(Reason.EMPTY_NAME, f"{field}[{index}].name")
        if name in names:
            raise BadMessage(Reason.DUPLICATE_NAME, f"{field}[{index}].name")
        names.add(name)
        if not limits.allows(operands[operand]):
            raise BadMessage(unsupported, f"{field}[{index}]")


def _check_constant(
    descriptor: Descriptor, source: ConstantSource, field: str, limits: TensorLimits, constants: Constants
) -> None:
    if not limits.allows(descriptor):
        raise BadMessage(Reason.UNSUPPORTED_CONSTANT, field)
    if source.is_tensor:
        declared = constants.tensor_descriptor(source.token)
        if declared is None:
            raise BadMessage(Reason.UNKNOWN_TENSOR, field)
        if declared != descriptor:
            raise BadMessage(Reason.CONSTANT_DESCRIPTOR, field)
    else:
        check_region_part(descriptor, constants.region_size(source.token), source.offset, field)


def check_region_part(descriptor: Descriptor, region_size: int | None, offset: int, field: str) -> None:
    """That a constant lies within its region, aligned as backends want it.

    Raises:
        BadMessage: it does not, or there is no such region.
    """
    if region_size is None:
        raise BadMessage(Reason.UNKNOWN_REGION, field)
    if offset + descriptor.byte_length > region_size:
        raise BadMessage(Reason.REGION_BOUNDS, field)
    if offset % ALIGNMENT:
        raise BadMessage(Reason.UNALIGNED_CONSTANT, field)


def _check_operations(graph: Graph, limits: SupportLimits) -> bytearray:
    """Walk the operations in order; returns, by operand, whether any of them reads it."""
    operands = graph.operands
    available = bytearray(len(operands))
    used = bytearray(len(operands))
    for _, operand in graph.inputs:
        available[operand] = 1
    for operand in graph.constants:
        available[operand] = 1
    for index, operation in enumerate(graph.operations):
        for operand in operation.operand_ids():
            if not available[operand]:
                raise BadMessage(Reason.OPERAND_NOT_YET_PRODUCED, f"operations[{index}].slots")
            used[operand] = 1
        _check_operation(operation, index, operands, limits)
        # Marked only after the inputs were looked at: an operation that reads its own output is caught above.
        for operand in operation.outputs:
            if available[operand]:
                raise BadMessage(Reason.OPERAND_PRODUCED_TWICE, f"operations[{index}].outputs")
            available[operand] = 1
    for operand, there in enumerate(available):
        if not there:
            raise BadMessage(Reason.OUTPUT_IS_NOT_PRODUCED, f"operands[{operand}]")
    return used


def _check_operation(operation: Operation, index: int, operands: Sequence[Descriptor], limits: SupportLimits) -> None:
    given = _descriptors(operation.operands, operands.__getitem__)
    attributes = operation.attributes
    cast = cast_attributes(operation.operator, given, attributes) if operation.operator.casts else attributes
    try:
        inferred = infer_outputs(operation.operator, given, cast, limits)
    except RuleError as error:
        raise BadMessage(Reason.OPERATOR_RULE, f"operations[{index}]: {error.rule}") from error
    # After the rules, so that the one that the renderer would have named comes back.
    if any(not _is_unchanged(cast[name], attributes[name]) for name, _ in operation.operator.casts):
        raise BadMessage(Reason.ATTRIBUTE_NOT_CAST, f"operations[{index}].attributes")
    if len(inferred) != len(operation.outputs):
        raise BadMessage(Reason.OUTPUT_COUNT, f"operations[{index}].outputs")
    for position, (descriptor, operand) in enumerate(zip(inferred, operation.outputs, strict=True)):
        if operands[operand] != descriptor:
            raise BadMessage(Reason.OUTPUT_DESCRIPTOR, f"operations[{index}].outputs[{position}]")


def _descriptors(
    operands: Mapping[str, SlotOperands], descriptor_of: Callable[[OperandId], Descriptor]
) -> dict[str, SlotValue]:
    return {
        name: None
        if value is None
        else tuple(map(descriptor_of, value))
        if isinstance(value, tuple)
        else descriptor_of(value)
        for name, value in operands.items()
    }


def _is_unchanged(cast: Any, given: Any) -> bool:
    """Whether casting changed nothing, its type included. Only NaN is cast to NaN, which equals nothing."""
    return type(cast) is type(given) and (cast == given or cast != cast)
