"""What a graph is estimated to cost, where the declaration's layout or form decides."""

from __future__ import annotations

from typing import Any

import pytest

import ipc.operators as ops
from gpu_process.estimates import graph_macs
from ipc.descriptors import DataType, Descriptor
from ipc.graph import Graph, Operation
from tests.ipc.operators._calls import call, t


def _macs(name: str, *arguments: Any, **options: Any) -> int:
    """Of a graph with this one operation."""
    made = call(name, *arguments, **options)
    operands, attributes, _ = made.bind()
    graph = Graph()

    def add(descriptor: Descriptor) -> int:
        graph.operands.append(descriptor)
        return len(graph.operands) - 1

    slots = {
        slot: None if value is None else tuple(map(add, value)) if isinstance(value, tuple) else add(value)
        for slot, value in operands.items()
    }
    outputs = tuple(map(add, made.infer()))
    graph.operations = [Operation(ops.REGISTRY[name], slots, attributes, outputs)]
    return graph_macs(graph)


@pytest.mark.parametrize(
    ("macs", "name", "arguments", "options"),
    [
        (3 * 64, "max_pool2d", [t(1, 3, 8, 8)], {"layout": "nchw"}),
        (3 * 64, "max_pool2d", [t(1, 8, 8, 3)], {"layout": "nhwc"}),
        (3 * 49 * 4, "l2_pool2d", [t(1, 8, 8, 3)], {"layout": "nhwc", "window_dimensions": [2, 2]}),
        (6 * 4 * 9 * 36, "conv2d", [t(1, 8, 8, 4), t(6, 4, 3, 3)], {"input_layout": "nhwc"}),
        (4 * 6 * 9 * 64, "conv_transpose2d", [t(1, 8, 8, 4), t(4, 6, 3, 3)], {"input_layout": "nhwc"}),
        (2 * 3 * (15 * 4 + 15 * 5), "gru", [t(2, 3, 4), t(1, 15, 4), t(1, 15, 5), 2, 5], {}),
        (3 * (15 * 4 + 15 * 5), "gru_cell", [t(3, 4), t(15, 4), t(15, 5), t(3, 5), 5], {}),
        (7 * 3 * (20 * 4 + 20 * 5), "lstm", [t(7, 3, 4), t(1, 20, 4), t(1, 20, 5), 7, 5], {}),
        (3 * (20 * 4 + 20 * 5), "lstm_cell", [t(3, 4), t(20, 4), t(20, 5), t(3, 5), t(3, 5), 5], {}),
        (12, "concat", [[t(2, 3), t(2, 3)], 0], {}),
        (6, "gather", [t(6), Descriptor(DataType.INT32, (2,))], {}),
    ],
)
def test_costs_of_one_operation(macs: int, name: str, arguments: list[Any], options: dict[str, Any]) -> None:
    assert _macs(name, *arguments, **options) == macs
