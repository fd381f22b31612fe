"""Which inputs and outputs of a lowered graph may lie in memory that a renderer changes while the graph runs.

An input may if no path leads from it to a kernel outside the allowlist; an output if nothing that it was computed from
also leads to one. That is more than "each kernel at the edge is plain": the optimiser removes, moves and merges nodes
(a page's clamp may become one with our guard of an index), but none of it makes a path where there was none.
"""

from __future__ import annotations

from gpu_process.backends.onnxruntime._graph import LoweredGraph
from gpu_process.backends.onnxruntime._lowering import Node
from gpu_process.backends.onnxruntime._plain_kernels import PLAIN_FOR_FLOATS, PLAIN_KERNELS, PLAIN_WITH_CONSTANTS

_Names = frozenset[str]


def in_place(lowered: LoweredGraph) -> tuple[_Names, _Names]:
    """The caller's names of the inputs, and of the outputs, that need no private memory."""
    variable = _variable(lowered)
    sources = _leading_to_others(lowered, variable)
    tainted = _following(lowered, sources, variable)
    inputs = (name for name, value in lowered.inputs.items() if value.name not in sources)
    # What follows from constants alone may be merged with a guard of constants: private.
    outputs = (name for name, value in lowered.outputs.items() if value.name in variable and value.name not in tainted)
    return frozenset(inputs), frozenset(outputs)


def _variable(lowered: LoweredGraph) -> set[str]:
    """Values that depend on an input."""
    variable = {value.name for value in lowered.inputs.values()}
    for node in lowered.nodes:
        if not variable.isdisjoint(node.reads):
            variable.update(node.outputs)
    return variable


def _is_plain(node: Node, variable: set[str]) -> bool:
    if node.op_type in PLAIN_KERNELS:
        return node.op_type not in PLAIN_FOR_FLOATS or node.results[0].is_float
    constants = PLAIN_WITH_CONSTANTS.get(node.op_type)
    return constants is not None and all(node.inputs[position] not in variable for position in constants)


def _leading_to_others(lowered: LoweredGraph, variable: set[str]) -> set[str]:
    """Values from which a path leads to a kernel that is not plain."""
    leading: set[str] = set()
    for node in reversed(lowered.nodes):
        if not leading.isdisjoint(node.outputs) or not _is_plain(node, variable):
            leading.update(node.reads)
    return leading & variable


def _following(lowered: LoweredGraph, sources: set[str], variable: set[str]) -> set[str]:
    """What follows from the sources, or from a kernel that is not plain."""
    following = set(sources)
    for node in lowered.nodes:
        if not following.isdisjoint(node.reads) or not _is_plain(node, variable):
            following.update(node.outputs)
    return following
