"""What stands ready when a hostile message is sent: a session with objects that the message may name."""

from __future__ import annotations

import functools
import mmap
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ipc.generated.webnn.v1 import context_pb2, graph_pb2
from ipc.verdicts import BadMessageReason
from tests.boundary import right_graph
from tests.boundary.hostile_client import (
    Failure,
    Reply,
    Ring,
    Session,
    Timeline,
    descriptor,
    dispatch,
    dispatch_again,
    read,
    write,
)

TENSOR_BYTES = 24
REGION_BYTES = 64 + TENSOR_BYTES  # room for a constant at offset 0 and one at 64
REGION = np.arange(REGION_BYTES // 4, dtype=np.float32).tobytes()
UNKNOWN = b"u" * 16

Answer = Reply | Failure | None


class Stage:
    """A session and, made when first asked for, what a correct renderer would have."""

    def __init__(self, session: Session) -> None:
        self.session = session

    @functools.cached_property
    def context(self) -> bytes:
        return self.session.context()

    @functools.cached_property
    def inline_context(self) -> bytes:
        return self.session.context(context_pb2.CARRIER_INLINE)

    @functools.cached_property
    def ring_context(self) -> bytes:
        return self.session.context(context_pb2.CARRIER_RING)

    @functools.cached_property
    def ring(self) -> Ring:
        return self.session.ring(self.ring_context)

    @functools.cached_property
    def ring_tensor(self) -> bytes:
        return self.session.tensor(self.ring_context)

    @functools.cached_property
    def ring_graph(self) -> bytes:
        """Token of a graph y = relu(x) in the ring's context."""
        return self.session.graph(self.ring_context, right_graph.relu())

    @functools.cached_property
    def region(self) -> bytes:
        return self.session.region(REGION)

    @functools.cached_property
    def tensor(self) -> bytes:
        return self.session.tensor(self.context)

    @functools.cached_property
    def other_tensor(self) -> bytes:
        return self.session.tensor(self.context)

    @functools.cached_property
    def private_tensor(self) -> bytes:
        """One that may be neither read nor written."""
        return self.session.tensor(self.context, readable=False, writable=False)

    @functools.cached_property
    def inline_tensor(self) -> bytes:
        return self.session.tensor(self.inline_context)

    @functools.cached_property
    def constant_tensor(self) -> bytes:
        return self.session.create_constant_tensor(self.context, self.region).tensor.token

    @functools.cached_property
    def relu(self) -> bytes:
        """Token of a graph y = relu(x)."""
        return self.session.graph(self.context, right_graph.relu())

    @functools.cached_property
    def timeline(self) -> Timeline:
        return self.session.timeline(self.context)

    @functools.cached_property
    def inline_timeline(self) -> Timeline:
        return self.session.timeline(self.inline_context)

    def right_graph(self) -> graph_pb2.Graph:
        return right_graph.every_form(self.region, self.constant_tensor)

    def runs(self) -> None:
        """One dispatch, to see that all is well."""
        timeline = self.session.timeline(self.context)
        command = dispatch(self.relu, [("x", self.tensor)], [("y", self.other_tensor)])
        timeline.results(timeline.commands(command))
        timeline.cancel()


class Honest:
    """A session that does nothing wrong and knows what must come out: y = relu(x), through shared memory."""

    def __init__(self, session: Session, shape: tuple[int, ...] = (2, 3)) -> None:
        self._shape = shape
        context = session.context()
        graph = session.graph(context, right_graph.relu(*shape))
        slots = [session.create_tensor(context, descriptor=descriptor(*shape)).tensor for _ in range(2)]
        (fd, size) = session.offered(slots[0].slot.region)
        self._memory = mmap.mmap(fd, size)
        self._source, self._target = (self._array(it.slot.offset) for it in slots)
        self._tokens = [it.token for it in slots]
        self._timeline = session.timeline(context)
        command = dispatch(graph, [("x", self._tokens[0])], [("y", self._tokens[1])])
        self._timeline.results(self._timeline.commands(command))

    def computes(self, value: float) -> None:
        """One round trip, whose result must be right."""
        self._source[:] = value
        self._timeline.results(self._timeline.commands(write(self._tokens[0]), dispatch_again(), read(self._tokens[1])))
        assert (self._target == max(value, 0)).all(), "a wrong result"

    def close(self) -> None:
        self._timeline.cancel()
        del self._source, self._target
        self._memory.close()

    def _array(self, offset: int) -> np.ndarray[Any, np.dtype[np.float32]]:
        count = int(np.prod(self._shape))
        return np.frombuffer(self._memory, np.float32, count, offset)


@dataclass(frozen=True)
class Case:
    """One message with one thing wrong.

    Attributes:
        send: sends it, and returns the answer where it was a call.
        field: path of the offending field that must be told.
    """

    name: str
    send: Callable[[Stage], Answer]
    reason: BadMessageReason
    field: str

    def __str__(self) -> str:
        return self.name
