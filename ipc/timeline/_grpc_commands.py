"""The commands of a timeline on a gRPC stream: when each may be sent, and what it is on the wire."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError
from typing import Any

from ipc.codec import CodecError
from ipc.generated.webnn.v1 import timeline_pb2
from ipc.timeline._client import Binding, ClientTensor, copy
from ipc.timeline.wire import WRITTEN, wrapped
from ipc.verdicts import BadMessageReason

_logger = logging.getLogger(__name__)


class Command:
    """One command in the queue."""

    __slots__ = ()

    size = 0  # bytes of the tensor that travel in the message
    held = 0  # bytes of copied data that wait in the queue

    def ready(self, completed: int) -> bool:  # noqa: ARG002
        """Whether it may be sent, when all up to `completed` is done."""
        return True

    def sent(self) -> None:
        """It is about to be sent; called with the timeline's lock held."""

    def fill(self, message: timeline_pb2.Command) -> None:
        """Write it into its message, which has its number already; called without a lock."""
        raise NotImplementedError


class InlineWrite(Command):
    """A piece of a tensor.

    Attributes:
        encoded: a serialised batch that is this command; its bytes were copied there and nowhere else.
    """

    __slots__ = ("encoded", "size")

    def __init__(self, sequence: int, tensor: ClientTensor, data: memoryview, offset: int) -> None:
        self.size = data.nbytes
        head = timeline_pb2.Command(sequence=sequence).SerializeToString()
        write = timeline_pb2.WriteTensor(tensor=tensor.token, offset=offset).SerializeToString()
        self.encoded = b"".join(wrapped(WRITTEN, data, head, write))

    @property
    def held(self) -> int:  # type: ignore[override]
        return self.size


class SlotWrite(Command):
    """The bytes are in the slot already, or follow when nothing that was issued before can see them."""

    __slots__ = ("_after", "_staged", "_tensor", "held")

    def __init__(self, tensor: ClientTensor, staged: bytes | None) -> None:
        self._tensor = tensor
        self._staged = staged
        self._after = tensor.place.last_use
        self.held = 0 if staged is None else len(staged)

    def ready(self, completed: int) -> bool:
        return self._staged is None or self._after <= completed

    def fill(self, message: timeline_pb2.Command) -> None:
        if self._staged is not None:
            copy(self._tensor.place.memory, self._staged)
        message.write.tensor = self._tensor.token


class Dispatch(Command):
    """A binding, with its definition where it is new."""

    __slots__ = ("_binding", "_is_new")

    def __init__(self, binding: Binding, is_new: bool) -> None:
        self._binding = binding
        self._is_new = is_new

    def ready(self, completed: int) -> bool:  # noqa: ARG002
        # A graph may write into the slot itself: not before the last result was taken out of it.
        return all(not tensor.place.unread for tensor in self._binding.written)

    def fill(self, message: timeline_pb2.Command) -> None:
        binding = self._binding
        if not self._is_new:
            message.dispatch.binding = binding.number
            return
        message.dispatch.define = binding.number
        message.dispatch.graph = binding.graph
        for name, tensor in binding.inputs:
            message.dispatch.inputs.add(name=name, tensor=tensor.token)
        for name, tensor in binding.outputs:
            message.dispatch.outputs.add(name=name, tensor=tensor.token)


class Read(Command):
    """A read, and the `ReadHandle` of whoever wants its result.

    It is settled in a thread of gRPC's, where nobody's callbacks must run: `call_back` is for another one.
    """

    __slots__ = (
        "_callbacks",
        "_cancelled",
        "_error",
        "_gate",
        "_into",
        "_lock",
        "_received",
        "_settled",
        "_view",
        "tensor",
    )

    def __init__(self, tensor: ClientTensor, into: memoryview | None, view: bool) -> None:
        self.tensor = tensor
        self._into = into
        self._view = view
        self._received = 0
        self._lock = threading.Lock()  # guards all below
        self._callbacks: list[Callable[[Any], object]] = []
        self._settled = self._cancelled = False
        self._error: BaseException | None = None
        self._gate = threading.Lock()  # open when it is over
        self._gate.acquire()

    # --- the handle ---------------------------------------------------------------------------------------------------

    def result(self, timeout: float | None = None) -> memoryview:
        if not self.done():
            if not self._gate.acquire(timeout=-1 if timeout is None else max(timeout, 0)):
                raise TimeoutError
            self._gate.release()  # others may wait as well
        if self._cancelled:
            raise CancelledError
        if self._error is not None:
            raise type(self._error)(str(self._error))
        return self._buffer()

    def cancel(self) -> bool:
        with self._lock:
            if self._settled or self._cancelled:
                return self._cancelled
            self._cancelled = True
            self._gate.release()
        self.call_back()
        return True

    def done(self) -> bool:
        return self._settled or self._cancelled

    def add_done_callback(self, callback: Callable[[Any], object], /) -> None:
        with self._lock:
            self._callbacks.append(callback)
            if not self.done():
                return
        self.call_back()

    # --- the command --------------------------------------------------------------------------------------------------

    def sent(self) -> None:
        self.tensor.place.unread += 1

    def fill(self, message: timeline_pb2.Command) -> None:
        message.read.tensor = self.tensor.token

    def received(self, data: bytes | memoryview) -> bool:
        """Take a piece of the result; whether it was the last one."""
        end = self._received + len(data)
        if not data or end > self.tensor.byte_length:
            raise CodecError(BadMessageReason.WRITE_LENGTH, "completions.read.data")
        if self._into is None and end == len(data) == self.tensor.byte_length:
            self._into = memoryview(data)  # all at once: no need to copy it
        else:
            copy(self._buffer()[self._received : end], data)
        self._received = end
        return end == self.tensor.byte_length

    def take_from_slot(self) -> None:
        """Copy the result, or show it where it is."""
        slot = self.tensor.place.memory
        if self._view:
            self._into = slot.toreadonly()
        else:
            copy(self._buffer(), slot)

    def settle(self, error: BaseException | None = None) -> None:
        """It is over: the result is there, or there will be none."""
        with self._lock:
            if not self._cancelled:
                self._error = error
                self._settled = True
                self._gate.release()

    def call_back(self) -> None:
        """Tell everybody that it is over; each once."""
        with self._lock:
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            try:
                callback(self)
            except Exception:
                _logger.exception("a callback of a read failed")  # others still want to be called

    def _buffer(self) -> memoryview:
        if self._into is None:
            self._into = memoryview(bytearray(self.tensor.byte_length))
        return self._into


class Destroy(Command):
    """The end of a tensor or a graph."""

    __slots__ = ("_graph", "_tensor")

    def __init__(self, *, tensor: ClientTensor | None = None, graph: bytes = b"") -> None:
        self._tensor = tensor
        self._graph = graph

    def ready(self, completed: int) -> bool:  # noqa: ARG002
        # Its slot may be another tensor's at once: not before the last result was taken out of it.
        return self._tensor is None or not self._tensor.place.unread

    def fill(self, message: timeline_pb2.Command) -> None:
        if self._tensor is not None:
            message.destroy.tensor = self._tensor.token
        else:
            message.destroy.graph = self._graph


def encode_batch(commands: Iterable[Command], sequence: int) -> bytes:
    """A serialised batch of commands, the first of which has this number."""
    pieces: list[bytes] = []
    batch = timeline_pb2.CommandBatch()
    for number, command in enumerate(commands, sequence):
        if isinstance(command, InlineWrite):
            pieces += (batch.SerializeToString(), command.encoded)
            batch.Clear()
        else:
            message = batch.commands.add()
            message.sequence = number
            command.fill(message)
    pieces.append(batch.SerializeToString())
    # Batches are lists of commands: serialised, several in a row are one. A single piece is not copied.
    return b"".join(filter(None, pieces)) if len(pieces) > 1 else pieces[0]
