"""Large graphs as a row of sessions.

Building a session costs 20 µs per node for some thousand nodes and twice that for a hundred thousand, when its
graph has outgrown the caches. So a graph is cut, in its order, into pieces; what crosses a cut lies in memory of ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from gpu_process.backends._interface import Array
from gpu_process.backends.onnxruntime._graph import LoweredGraph
from gpu_process.backends.onnxruntime._lowering import Node
from gpu_process.backends.onnxruntime._values import Value

MAX_NODES = 2048
TABLE_BYTES = 1 << 20

_LOOKUPS = frozenset({"Gather", "GatherElements", "GatherND"})


@dataclass(frozen=True, slots=True)
class Segment:
    """Consecutive nodes of a lowered graph.

    Attributes:
        inputs: values that it takes: inputs of the graph, or outputs of segments before it.
        outputs: values that segments after it take, or outputs of the graph.
        initializers: those that its nodes use.
        tables: large constants that its nodes only take elements from. They are inputs of the session, and stay where
            they are: an initializer is copied, and the runtime gains nothing by knowing these ahead.
    """

    nodes: Sequence[Node]
    inputs: Sequence[Value]
    outputs: Sequence[Value]
    initializers: Mapping[str, tuple[Value, Array]]
    tables: Mapping[str, tuple[Value, Array]]


def segments(lowered: LoweredGraph) -> Iterator[Segment]:
    """The graph in pieces; one for most graphs."""
    known = {value.name: value for value in lowered.inputs.values()}
    after_all = len(lowered.nodes) + MAX_NODES
    last_use = {value.name: after_all for value in lowered.outputs.values()}
    for position, node in reversed(list(enumerate(lowered.nodes))):
        for name in node.reads:
            last_use.setdefault(name, position)
    for start in range(0, len(lowered.nodes), MAX_NODES):
        nodes = lowered.nodes[start : start + MAX_NODES]
        used = dict.fromkeys(name for node in nodes for name in node.reads)
        inputs = [known[name] for name in used if name in known]
        made = [value for node in nodes for value in node.results]
        outputs = [value for value in made if last_use.get(value.name, 0) >= start + MAX_NODES]
        known.update((value.name, value) for value in outputs)
        initializers = {name: lowered.initializers[name] for name in used if name in lowered.initializers}
        tables = {name: initializers.pop(name) for name in _tables(nodes, initializers)}
        yield Segment(nodes, inputs, outputs, initializers, tables)


def _tables(nodes: Sequence[Node], initializers: Mapping[str, tuple[Value, Array]]) -> list[str]:
    large = {name for name, (_, array) in initializers.items() if array.nbytes >= TABLE_BYTES}
    if not large:
        return []
    for node in nodes:
        large.difference_update(node.reads[1:] if node.op_type in _LOOKUPS else node.reads)
    return sorted(large)
