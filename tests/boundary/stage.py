"""What stands ready when a hostile message is sent: a session with objects that the message may name."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ipc.generated.webnn.v1 import context_pb2, graph_pb2
from ipc.verdicts import BadMessageReason
from tests.boundary import right_graph
from tests.boundary.hostile_client import Failure, Reply, Session, Timeline, dispatch

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
