"""What a graph costs, estimated from its shapes before anything is compiled."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ipc.descriptors import Descriptor
from ipc.graph import Graph, Operation

_Estimate = Callable[[Mapping[str, Descriptor], Mapping[str, Any], Descriptor], int]


def graph_macs(graph: Graph) -> int:
    """Multiply-accumulate operations of one dispatch: exact for products, an order of magnitude for the rest."""
    return sum(_operation_macs(graph, operation) for operation in graph.operations)


def intermediate_bytes(graph: Graph) -> int:
    """Bytes of all operands that operations make, as if none of them were reused."""
    made = (operand for operation in graph.operations for operand in operation.outputs)
    return sum(graph.operands[operand].byte_length for operand in made)


def _operation_macs(graph: Graph, operation: Operation) -> int:
    operands = graph.operands
    touched = (*operation.outputs, *operation.operand_ids())
    elements = max((operands[operand].element_count for operand in touched), default=0)  # a step for each, at least
    estimate = _ESTIMATES.get(operation.operator.name)
    if estimate is None:
        return elements
    given = {slot: operands[value] for slot, value in operation.operands.items() if isinstance(value, int)}
    return max(elements, estimate(given, operation.attributes, operands[operation.outputs[0]]))


def _matmul(operands: Mapping[str, Descriptor], _: Mapping[str, Any], output: Descriptor) -> int:
    return output.element_count * int(operands["a"].shape[-1])


def _gemm(operands: Mapping[str, Descriptor], attributes: Mapping[str, Any], output: Descriptor) -> int:
    return output.element_count * int(operands["a"].shape[0 if attributes["a_transpose"] else 1])


def _conv2d(operands: Mapping[str, Descriptor], attributes: Mapping[str, Any], output: Descriptor) -> int:
    # Every filter element meets every output position of its channel.
    filters, channels = operands["filter"], _channels(output, attributes["input_layout"])
    return int(output.element_count // channels * filters.element_count)


def _conv_transpose2d(operands: Mapping[str, Descriptor], attributes: Mapping[str, Any], _: Descriptor) -> int:
    # Every filter element meets every input position of its channel.
    source = operands["input"]
    channels = _channels(source, attributes["input_layout"])
    return int(source.element_count // channels * operands["filter"].element_count)


def _channels(descriptor: Descriptor, layout: str) -> int:
    return descriptor.shape[1 if layout == "nchw" else 3]


def _pool(operands: Mapping[str, Descriptor], attributes: Mapping[str, Any], output: Descriptor) -> int:
    window: Sequence[int] | None = attributes["window_dimensions"]
    if window is None:  # the whole plane: every element once
        return operands["input"].element_count
    return output.element_count * math.prod(window)


def _recurrent(operands: Mapping[str, Descriptor], attributes: Mapping[str, Any], _: Descriptor) -> int:
    # Both weights meet every row of the batch, at each step.
    steps = attributes.get("steps", 1)
    batch = operands["input"].shape[1 if "steps" in attributes else 0]
    weights = operands["weight"].element_count + operands["recurrent_weight"].element_count
    return int(steps * batch * weights)


_ESTIMATES: Mapping[str, _Estimate] = {
    "matmul": _matmul,
    "gemm": _gemm,
    "conv2d": _conv2d,
    "conv_transpose2d": _conv_transpose2d,
    "average_pool2d": _pool,
    "l2_pool2d": _pool,
    "max_pool2d": _pool,
    "gru": _recurrent,
    "gru_cell": _recurrent,
    "lstm": _recurrent,
    "lstm_cell": _recurrent,
}
