"""Executes the commands of one ring. No threads here: `poller` has those, and a test can do without.

What the renderer writes is looked at once: a command is copied, checked, and the copy obeyed.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from ipc import trace
from ipc.codec import encode_error
from ipc.errors import OperationError
from ipc.shared_memory import create_pool
from ipc.timeline.ring import ERROR_BYTES, HOT_BYTES, RING_BYTES, GpuEnd
from ipc.timeline.ring.bells import make_fence, socket_bell
from ipc.timeline.ring.commands import DESTROY_GRAPH, DESTROY_TENSOR, DISPATCH, READ, WRITE
from ipc.timeline.ring.tracing import TracedGpuEnd
from ipc.verdicts import BadMessage

if TYPE_CHECKING:
    from gpu_process.context import Context
    from gpu_process.tensors import Tensor

_BUDGET: Final = 64
"""Commands of one ring, then it is the others' turn."""

_LARGE: Final = 1 << 20
"""Bytes that take so long to copy that others should not wait for it."""

TakesLong = Callable[[], None]
"""What follows may take long: whoever waits for this thread should be served by another one."""


class RingServer:
    """The end of a ring in the GPU process. One thread at a time serves it.

    Attributes:
        session: number of the session that it belongs to.
        end: the ring.
        doorbell: descriptor that is to be watched while the ring is said to be asleep.
        busy: whether a thread is serving it.
        is_held_up: whether that thread executes something that takes long; the poller's own.
        closed: whether its context has ended.
    """

    def __init__(
        self,
        session: int,
        context: Context,
        end: GpuEnd,
        doorbell: int,
        running: Callable[[bool], None],
        when_bad: Callable[[BadMessage], object],
        when_closed: Callable[[], None],
    ) -> None:
        """
        Args:
            running: told before and after commands are executed.
            when_bad: ends the session because of a command.
            when_closed: frees what belongs to the ring; nobody serves it any more.
        """
        self.session = session
        self.end = end
        self.doorbell = doorbell
        self.busy = False
        self.is_held_up = False
        self.closed = False
        self.when_bad = when_bad
        self.when_closed = when_closed
        self._context = context
        self._running = running

    @property
    def is_over(self) -> bool:
        """Whether its context has ended, so that nothing is executed any more."""
        return self._context.ended

    def serve(self, takes_long: TakesLong) -> None:
        """Execute what has been published, up to a budget.

        Raises:
            BadMessage: what no correct renderer publishes.
        """
        end, context = self.end, self._context
        count = min(end.available(), _BUDGET)
        if not count or context.ended:
            return
        context.scheduler.begin_turn()
        try:
            self._running(True)
            while count and not context.ended:
                self._execute(takes_long)
                count -= 1
        finally:
            self._running(False)
            context.scheduler.end_turn()

    def _execute(self, takes_long: TakesLong) -> None:
        end, scheduler = self.end, self._context.scheduler
        kind, number, token = end.take()
        if kind == DISPATCH:
            if scheduler.takes_long(number):
                takes_long()
                self._running(True)  # its time begins now
            scheduler.dispatch(number)
        elif kind == READ:
            tensor = scheduler.read(token)
            if tensor.failure is not None:
                end.complete(_serialised(tensor.failure))
                return
            self._publish(tensor, takes_long)
        elif kind == WRITE:
            scheduler.write_slot(token, number)
        elif kind == DESTROY_TENSOR:
            scheduler.destroy_tensor(token)
        elif kind == DESTROY_GRAPH:
            takes_long()
            scheduler.destroy_graph(token)
        else:
            scheduler.move(token, number)
        end.complete()

    def _publish(self, tensor: Tensor, takes_long: TakesLong) -> None:
        """Bring a tensor's slot up to date."""
        if tensor.descriptor.byte_length >= _LARGE and not tensor.is_current_in_slot:
            takes_long()
        tensor.make_current(in_place=True)


class TracedRingServer(RingServer):
    """The same in a process that is traced."""

    def __init__(
        self,
        session: int,
        context: Context,
        end: GpuEnd,
        doorbell: int,
        running: Callable[[bool], None],
        when_bad: Callable[[BadMessage], object],
        when_closed: Callable[[], None],
    ) -> None:
        self._key = trace.key_of(context.token)
        super().__init__(session, context, TracedGpuEnd.of(end, self._key), doorbell, running, when_bad, when_closed)

    def _execute(self, takes_long: TakesLong) -> None:
        began = trace.now()
        super()._execute(takes_long)
        if trace.recorder is not None:
            trace.recorder.span(trace.Stage.EXECUTE, began, self._key, self.end.taken)

    def _publish(self, tensor: Tensor, takes_long: TakesLong) -> None:
        began = trace.now()
        super()._publish(tensor, takes_long)
        if trace.recorder is not None:
            trace.recorder.span(trace.Stage.COPY_OUT, began, self._key, self.end.taken)


class RingParts:
    """The memory and the descriptors of a new ring.

    Attributes:
        end: our end.
        doorbell: eventfd that the renderer writes to.
        size: bytes of the region.
    """

    def __init__(self) -> None:
        """
        Raises:
            MemoryError: the system has no memory left, or no descriptors.
        """
        region, self._region_fd = create_pool(RING_BYTES, "webnn-ring", peer_may_write=True)
        self.size = region.size
        try:
            region.prefault(0, HOT_BYTES)
            self.doorbell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
            try:
                self._ours, self._theirs = socket.socketpair()
            except BaseException:
                os.close(self.doorbell)
                raise
        except BaseException as error:
            os.close(self._region_fd)
            if isinstance(error, OSError):
                raise MemoryError(f"a ring: {error.strerror}") from error
            raise
        self.end = GpuEnd(region.memory.data, socket_bell(self._ours), make_fence())

    def descriptors(self) -> tuple[int, int, int]:
        """What the renderer gets."""
        return self._region_fd, self.doorbell, self._theirs.fileno()

    def sent(self) -> None:
        """The renderer has its descriptors, or never will."""
        os.close(self._region_fd)
        self._theirs.close()

    def close(self) -> None:
        """Nobody serves the ring any more; the renderer notices."""
        os.close(self.doorbell)
        self._ours.close()


def _serialised(failure: OperationError) -> bytes:
    """An error as it fits into its place: a message that is too long loses its end."""
    data = encode_error(failure).SerializeToString()
    excess = len(data) - ERROR_BYTES
    if excess <= 0:
        return data
    words = str(failure).encode()[: -excess - 8].decode(errors="ignore")
    return encode_error(OperationError(words)).SerializeToString()
