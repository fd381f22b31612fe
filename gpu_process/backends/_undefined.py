"""Graphs that the rules let through although they mean nothing: refused in the same words by every backend.

The specification has no rule that groups divide the input channels of convTranspose2d, and Chromium's builder has none
either, so ours takes such a call. There is no way to compute it: building the graph is what fails.
"""

from __future__ import annotations

from gpu_process.backends._interface import BackendError
from ipc import operators as ops
from ipc.errors import escape_label
from ipc.graph import Graph, Operation


def refuse_undefined(graph: Graph) -> None:
    """Find what cannot be computed before a runtime is given it.

    Raises:
        BackendError: the groups of a convTranspose2d do not divide its input channels.
    """
    for operation in graph.operations:
        if operation.operator is ops.conv_transpose2d:
            _refuse_broken_groups(graph, operation)


def _refuse_broken_groups(graph: Graph, operation: Operation) -> None:
    images = operation.operands["input"]
    assert isinstance(images, int)
    groups = operation.attributes["groups"]
    channels = graph.operands[images].shape[operation.attributes["input_layout"].index("c")]
    if channels % groups:
        label = f" [{escape_label(operation.label)}]" if operation.label else ""
        raise BackendError(f"{operation.operator}{label}: {groups} groups do not divide {channels} input channels")
