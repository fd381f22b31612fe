"""Graphs computed by the reference backend in this process: what every other way to compute them is compared with."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from gpu_process.backends import Backend, BackendOptions, load_backend
from gpu_process.backends._interface import aligned_empty
from ipc.descriptors import Descriptor
from ipc.graph import Graph
from scripts.fuzz.case import GraphCase

Array = npt.NDArray[Any]


@functools.cache
def reference() -> Backend:
    return load_backend("reference", BackendOptions())


def as_array(data: bytes, descriptor: Descriptor) -> Array:
    """The stored form of a tensor: packed types in bytes."""
    array = aligned_empty(descriptor.storage_shape, descriptor.data_type.storage)
    array[...] = np.frombuffer(data, descriptor.data_type.storage).reshape(descriptor.storage_shape)
    return array


def computed(case: GraphCase, backend: Backend | None = None) -> dict[str, Array]:
    """The outputs of a legal graph, by name, as they are stored.

    Raises:
        BackendError: the backend refuses the graph, or fails.
    """
    graph = case.graph
    constants = {operand: as_array(data, graph.operands[operand]) for operand, data in case.constants.items()}
    for array in constants.values():
        array.flags.writeable = False
    inputs = {name: as_array(case.inputs[name], descriptor) for name, descriptor in graph.input_descriptors().items()}
    return run(graph, constants, inputs, backend or reference())


def run(
    graph: Graph, constants: Mapping[int, Array], inputs: Mapping[str, Array], backend: Backend
) -> dict[str, Array]:
    """Compile, bind, run once and close."""
    compiled = backend.compile(graph, constants)
    try:
        outputs = {
            name: aligned_empty(descriptor.storage_shape, descriptor.data_type.storage)
            for name, descriptor in graph.output_descriptors().items()
        }
        compiled.bind(inputs, outputs).run()
        return outputs
    finally:
        compiled.close()
