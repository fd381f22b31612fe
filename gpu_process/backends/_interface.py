"""The one interface of all backends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ipc.graph import Graph, OperandId
from ipc.limits import SupportLimits

Array = npt.NDArray[Any]


class BackendError(Exception):
    """A backend cannot compile or run a graph; the message is for the caller and names operator and label if known."""


@dataclass(frozen=True, slots=True)
class BackendOptions:
    """How a backend runs.

    Attributes:
        threads: threads per graph; 0 lets the backend choose.
        guards: off only to measure what the guards cost, and to demonstrate what they hold back.
        in_place: whether memory that a renderer can change may be used where the allowlist permits it.
    """

    threads: int = 1
    guards: bool = True
    in_place: bool = True


class Binding(Protocol):
    """A compiled graph with its memory: run as often as wanted, one run at a time."""

    def run(self) -> None:
        """Compute the outputs from what the input arrays hold now; outputs are complete when it returns.

        Raises:
            BackendError: the computation failed; outputs are undefined.
        """


class CompiledGraph(Protocol):
    """A graph compiled by a backend.

    Attributes:
        devices: where it runs: `("cpu",)`.
        in_place_inputs: names of inputs whose memory a renderer may be changing while the graph runs.
        in_place_outputs: likewise for outputs. All others must be bound to private memory.
    """

    devices: tuple[str, ...]
    in_place_inputs: frozenset[str]
    in_place_outputs: frozenset[str]

    def bind(self, inputs: Mapping[str, Array], outputs: Mapping[str, Array]) -> Binding:
        """Bind arrays (dense, aligned to 64 bytes, dtype and shape of the storage) that stay alive with the binding."""

    def close(self) -> None:
        """Free what the backend holds; bindings must not run any more."""


class Backend(Protocol):
    """A machine-learning runtime behind one interface.

    Attributes:
        name: as in `create_context(backend=...)`.
        version: of the runtime.
    """

    name: str
    version: str

    def support_limits(self) -> SupportLimits:
        """What it computes exactly, as a part of what the declarations allow."""

    def compile(self, graph: Graph, constants: Mapping[OperandId, Array]) -> CompiledGraph:
        """Compile a validated graph.

        Args:
            constants: read-only arrays (storage dtype and shape) of every constant operand. They may be used in
                place for as long as the compiled graph lives; a backend that copies them drops its references.

        Raises:
            BackendError: it cannot compile this graph.
        """

    def warm_up(self) -> None:
        """Make the runtime load and import lazily loaded parts, before the sandbox closes."""


def aligned_empty(shape: tuple[int, ...], dtype: np.dtype[Any], alignment: int = 64) -> Array:
    """An uninitialised array whose data start at a multiple of `alignment` bytes."""
    nbytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    raw = np.empty(nbytes + alignment, np.uint8)
    start = -raw.ctypes.data % alignment
    return raw[start : start + nbytes].view(dtype).reshape(shape)
