"""Graphs: compiled, and ready to be dispatched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ipc.descriptors import Descriptor
from renderer._ownership import Owned

if TYPE_CHECKING:
    from renderer._context_state import ContextState
    from renderer.tensor import MLTensor


class MLGraph(Owned):
    """A compiled graph; made by `MLGraphBuilder.build`.

    Source: WebNN, `MLGraph`.
    """

    def __init__(
        self,
        context: ContextState,
        token: bytes,
        inputs: Mapping[str, Descriptor],
        outputs: Mapping[str, Descriptor],
        devices: tuple[str, ...],
    ) -> None:
        super().__init__()
        self._context = context
        self._token = token
        self._inputs = inputs
        self._outputs = outputs
        self._devices = devices
        self._own_tensors: tuple[dict[str, MLTensor], dict[str, MLTensor]] | None = None  # for `compute`

    @property
    def devices(self) -> tuple[str, ...]:
        """Where it runs: `("cpu",)`. An extension."""
        return self._devices

    @property
    def inputs(self) -> dict[str, Descriptor]:
        """What `dispatch` needs: the inputs that the outputs depend on. An extension."""
        return dict(self._inputs)

    @property
    def outputs(self) -> dict[str, Descriptor]:
        """What `dispatch` gives. An extension."""
        return dict(self._outputs)

    def destroy(self) -> None:
        """Free it once all that was issued before is done; idempotent."""
        self._context._destroy_graph(self)  # noqa: SLF001  a context and its graphs are one room

    def _every_own_tensor(self) -> list[MLTensor]:
        return [] if self._own_tensors is None else [tensor for part in self._own_tensors for tensor in part.values()]

    def _forget(self) -> None:
        self._context._forget_graph(self._token)  # noqa: SLF001
        for tensor in self._every_own_tensor():
            tensor._destroyed = True  # noqa: SLF001  it is not the user who has forgotten it
            tensor._forget()  # noqa: SLF001

    def __repr__(self) -> str:
        return f"<MLGraph {', '.join(self._inputs)} -> {', '.join(self._outputs)}>"
