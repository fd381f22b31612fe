"""A context: its tensors, its graphs, and the sequence that works on them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from gpu_process.backends import Backend, CompiledGraph
from gpu_process.bound_graph import GraphObject
from gpu_process.constants import ConstantRegions
from gpu_process.pools import Slot, SlotPool
from gpu_process.quotas import Account, Quotas
from gpu_process.recording import scheduler_of
from gpu_process.tensors import ConstantTensor, Tensor
from ipc.channel import new_token
from ipc.descriptors import Descriptor
from ipc.graph import Graph
from ipc.limits import SupportLimits
from ipc.shared_memory import Bytes
from ipc.timeline.limits import SPARE_BYTES
from ipc.verdicts import BadMessage
from ipc.verdicts import BadMessageReason as Reason


class ContextEnded(Exception):  # noqa: N818 - an end, not an error
    """The context was destroyed, or its session is gone."""


class _HasToken(Protocol):
    token: bytes


_Object = TypeVar("_Object", bound=_HasToken)


@dataclass(frozen=True, slots=True)
class SessionMemory:
    """What the contexts of one session share.

    Attributes:
        tensor_bytes: charged by every tensor.
        pool: shared memory for tensors.
        regions: of constants.
    """

    tensor_bytes: Account
    pool: SlotPool
    regions: ConstantRegions


class Context:
    """Everything of one context. Creating is done by any thread, commands and the end by the scheduler's turns.

    Attributes:
        token: its name in the session.
        carrier: how its commands travel.
        in_place: whether graphs may use memory that the renderer can change, where they say that it is safe.
        tensors, graphs: by token.
        ended: set once; nothing is created or executed after it.
    """

    def __init__(
        self,
        backend: Backend,
        limits: SupportLimits,
        carrier: str,
        memory: SessionMemory,
        limit: Quotas,
        *,
        in_place: bool,
    ) -> None:
        self.token = new_token()
        self.backend = backend
        self.limits = limits
        self.carrier = carrier
        self.in_place = in_place
        self.tensors: dict[bytes, Tensor | ConstantTensor] = {}
        self.graphs: dict[bytes, GraphObject] = {}
        self.ended = False
        self.scheduler = scheduler_of(self)
        self._memory = memory
        self._tensor_count = Account("tensors", limit.tensors)
        self._graph_count = Account("graphs", limit.graphs)
        self._lock = threading.Lock()  # for what is created, against the end
        self._has_timeline = carrier == "ring"  # it comes with one
        self._when_ended: Callable[[], object] = lambda: None

    @property
    def shares_memory(self) -> bool:
        """Whether its carrier leaves the tensors' bytes in shared memory."""
        return self.carrier != "inline"

    def claim_timeline(self) -> None:
        """There is one timeline per context.

        Raises:
            BadMessage: it was claimed before.
        """
        with self._lock:
            if self._has_timeline:
                raise BadMessage(Reason.DUPLICATE_TIMELINE, "timeline")
            self._has_timeline = True

    def create_tensor(self, descriptor: Descriptor, *, readable: bool, writable: bool) -> Tensor:
        """A zeroed tensor.

        Raises:
            BadMessage: the context has no tensors of this type or rank.
            QuotaExceededError: too many tensors, or too much memory.
            MemoryError: the system has no memory left.
            ContextEnded: the context has ended.
        """
        if not self.limits.input.allows(descriptor):
            raise BadMessage(Reason.UNSUPPORTED_INPUT, "descriptor")
        self._charge(descriptor)
        slots: list[Slot] = []
        try:
            if self.shares_memory and (readable or writable):
                for _ in range(self._places(descriptor)):
                    slots.append(self._memory.pool.allocate(descriptor.byte_length, renderer_may_write=writable))
            tensor = Tensor(new_token(), descriptor, readable=readable, writable=writable, slots=slots)
            self._add(self.tensors, tensor)
        except BaseException:
            for slot in slots:
                self._memory.pool.free(slot)
            self._tensor_count.credit(1)
            self._memory.tensor_bytes.credit(descriptor.byte_length)
            raise
        return tensor

    def create_constant_tensor(self, descriptor: Descriptor, data: Bytes) -> ConstantTensor:
        """A tensor with a private copy of `data`; errors as in `create_tensor`."""
        self._charge(descriptor)
        try:
            tensor = ConstantTensor(
                new_token(), descriptor, data, lambda: self._memory.tensor_bytes.credit(descriptor.byte_length)
            )
        except BaseException:
            self._memory.tensor_bytes.credit(descriptor.byte_length)
            self._tensor_count.credit(1)
            raise
        try:
            self._add(self.tensors, tensor)
        except BaseException:  # its bytes are credited when the array goes
            self._tensor_count.credit(1)
            raise
        return tensor

    def add_graph(self, graph: Graph, compiled: CompiledGraph) -> GraphObject:
        """Give a compiled graph a token.

        Raises:
            QuotaExceededError: too many graphs.
            ContextEnded: the context has ended. In both cases, `compiled` is the caller's to close.
        """
        in_place = self.in_place
        made = GraphObject(
            new_token(),
            compiled,
            graph.input_descriptors(),
            graph.output_descriptors(),
            compiled.in_place_inputs if in_place else frozenset(),
            compiled.in_place_outputs if in_place else frozenset(),
        )
        self._graph_count.charge(1)
        try:
            self._add(self.graphs, made)
        except BaseException:
            self._graph_count.credit(1)
            raise
        return made

    def forget_tensor(self, tensor: Tensor | ConstantTensor) -> None:
        """Free a tensor that no binding uses; in a turn of the scheduler."""
        del self.tensors[tensor.token]
        self._tensor_count.credit(1)
        if isinstance(tensor, Tensor):
            for slot in tensor.slots:
                self._memory.pool.free(slot)
            self._memory.tensor_bytes.credit(tensor.descriptor.byte_length)

    def forget_graph(self, graph: GraphObject) -> None:
        """Free a graph that no binding uses; in a turn of the scheduler."""
        del self.graphs[graph.token]
        self._graph_count.credit(1)
        graph.compiled.close()

    def when_ended(self, callback: Callable[[], object]) -> None:
        """Call back once it has ended; at once if it has. There is one who is called."""
        with self._lock:
            if not self.ended:
                self._when_ended = callback
                return
        callback()

    def end(self) -> None:
        """Free everything, after the command that is running. Idempotent, from any thread, never waits."""
        with self._lock:
            self.ended = True
            when_ended, self._when_ended = self._when_ended, lambda: None
        self.scheduler.wake()
        when_ended()
        self.free_if_ended()

    def free_if_ended(self) -> None:
        if self.ended:
            self.scheduler.between_turns(self._free)

    def _free(self) -> None:
        self.scheduler.clear()
        for graph in list(self.graphs.values()):
            self.forget_graph(graph)
        for tensor in list(self.tensors.values()):
            self.forget_tensor(tensor)

    def _places(self, descriptor: Descriptor) -> int:
        """How many slots a tensor gets: a second one where a write can go into it while work is in flight."""
        return 2 if self.carrier == "ring" and descriptor.byte_length <= SPARE_BYTES else 1

    def _charge(self, descriptor: Descriptor) -> None:
        self._tensor_count.charge(1)
        try:
            self._memory.tensor_bytes.charge(descriptor.byte_length)
        except BaseException:
            self._tensor_count.credit(1)
            raise

    def _add(self, table: dict[bytes, _Object], item: _Object) -> None:
        with self._lock:
            if self.ended:
                raise ContextEnded("the context has ended")
            table[item.token] = item
