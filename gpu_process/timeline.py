"""The carriers of a timeline that ride on a gRPC stream: batches are decoded, executed, and answered in batches.

The carrier `ring` has another loop; what both call is `Scheduler`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet

from gpu_process.context import Context
from gpu_process.scheduler import NamedTokens, content_in_chunks
from ipc import trace
from ipc.codec import CodecError, decode_token, encode_error
from ipc.errors import OperationError
from ipc.generated.webnn.v1 import common_pb2, timeline_pb2
from ipc.timeline.limits import CHUNK_BYTES, MAX_COMMANDS
from ipc.timeline.wire import READ, WRITTEN, WireError, carved, wrapped
from ipc.verdicts import BadMessageReason as Reason

_PATIENCE = 0.001  # seconds that a result waits for more of its batch
_MANY = 512 << 10  # bytes of a result from which another message costs less than another copy


def execute_batches(
    context: Context, batches: Iterable[bytes], running: Callable[[bool], None], floor: threading.Lock
) -> Iterator[bytes]:
    """Execute serialised batches as they come; yields serialised completions.

    Args:
        running: told before and after commands are executed.
        floor: of the session; who holds it has Python work for it. Its timelines take turns, so that others have one
            competitor for the interpreter, however many contexts the session has.

    Raises:
        BadMessage: a batch, or a command in it, that no correct renderer sends.
    """
    key = trace.key_of(context.token)

    def record(stage: trace.Stage, began: int, first: int, last: int) -> int:
        # The last turn of a batch may have had nothing left to execute: what it tells is the last command's.
        return 0 if trace.recorder is None else trace.recorder.span(stage, began, key, min(first, last), last)

    for data in batches:
        began = trace.now()
        with floor:
            commands = _decode(data)
        steps = _execute(context, commands, floor)
        first, last = commands[0].message.sequence, commands[-1].message.sequence
        began = record(trace.Stage.DECODE, began, first, last)
        finished = False
        while not finished:
            running(True)
            before = context.scheduler.done
            with floor, context.scheduler.turn():
                record(trace.Stage.QUEUE, began, before + 1, last)
                began = trace.now()
                completions, finished = _collect(steps, running)
                began = record(trace.Stage.EXECUTE, began, before + 1, context.scheduler.done)
                if finished:
                    completions.append(_completion(context.scheduler.done))
                reply = b"".join(completions)  # here: the bytes that were read are where they were
            running(False)
            began = record(trace.Stage.COMPLETE, began, before + 1, context.scheduler.done)
            yield reply
            del reply, completions  # not kept until the next batch comes
        if context.ended:
            return


@dataclass(frozen=True, slots=True)
class _Command:
    """A command of a batch.

    Attributes:
        data: its bytes, where they are too many to be in the message: empty there, and a part of what gRPC received.
    """

    message: timeline_pb2.Command
    data: memoryview | None


@dataclass(frozen=True, slots=True)
class _Result:
    """Of a read: a piece of the bytes where they are, nothing where the slot has them, or why there are none."""

    sequence: int
    content: memoryview | OperationError | None


def _collect(steps: Iterator[_Result | None], running: Callable[[bool], None]) -> tuple[list[bytes | memoryview], bool]:
    """Execute commands until a result should not wait any longer.

    Returns:
        A serialised batch of completions in pieces, some of which are memory of tensors; whether all are done.
    """
    batch: list[bytes | memoryview] = []
    size, started = 0, time.monotonic()
    for result in steps:
        if result is None:
            running(True)  # the next command's time begins
            continue
        if isinstance(result.content, memoryview):
            completion = timeline_pb2.Completion(sequence=result.sequence).SerializeToString()
            pieces = wrapped(READ, result.content, completion, b"")
            size += result.content.nbytes
            if result.content.nbytes >= _MANY:
                return batch + pieces, False  # as they are: nothing runs before they are joined
            batch.append(b"".join(pieces))  # for the next command may write over them
        elif result.content is None:
            batch.append(_completion(result.sequence, timeline_pb2.ReadResult(in_slot=common_pb2.Empty())))
        else:
            batch.append(_completion(result.sequence, timeline_pb2.ReadResult(error=encode_error(result.content))))
        if size >= CHUNK_BYTES or time.monotonic() - started > _PATIENCE:
            return batch, False
    return batch, True


def _completion(sequence: int, read: timeline_pb2.ReadResult | None = None) -> bytes:
    """A serialised batch of one: several in a row are one of all."""
    completion = timeline_pb2.Completion(sequence=sequence, read=read)
    return timeline_pb2.CompletionBatch(completions=[completion]).SerializeToString()


def _execute(context: Context, commands: Iterable[_Command], floor: threading.Lock) -> Iterator[_Result | None]:
    """Execute commands one by one, in turns of the scheduler; stops where the context ends."""
    scheduler = context.scheduler
    for each in commands:
        if context.ended:
            return
        command = each.message
        scheduler.begin(command.sequence)
        kind = command.WhichOneof("command")
        if kind == "dispatch":
            _dispatch(context, command.dispatch, floor)
        elif kind == "read":
            yield from _read(context, command.read)
        elif kind == "write":
            _write(context, command.write, each.data)
        elif kind == "destroy":
            _destroy(context, command.destroy)
        else:
            raise CodecError(Reason.MISSING_FIELD, "command")
        yield None


def _dispatch(context: Context, dispatch: timeline_pb2.Dispatch, floor: threading.Lock) -> None:
    scheduler = context.scheduler
    binding = dispatch.binding
    if dispatch.define or dispatch.graph or dispatch.inputs or dispatch.outputs:
        if binding:
            raise CodecError(Reason.BINDING_ID, "dispatch.binding")
        binding = dispatch.define
        scheduler.define(
            binding,
            decode_token(dispatch.graph, "dispatch.graph"),
            decode_named(dispatch.inputs, "dispatch.inputs"),
            decode_named(dispatch.outputs, "dispatch.outputs"),
        )
    if scheduler.takes_long(binding):
        with _without(floor):
            scheduler.dispatch(binding)
    else:
        scheduler.dispatch(binding)


@contextmanager
def _without(floor: threading.Lock) -> Iterator[None]:
    floor.release()
    try:
        yield
    finally:
        floor.acquire()


def decode_named(bindings: Iterable[timeline_pb2.TensorBinding], path: str) -> NamedTokens:
    """Names with tokens, in their order."""
    return [(item.name, decode_token(item.tensor, f"{path}.tensor")) for item in bindings]


def _write(context: Context, write: timeline_pb2.WriteTensor, data: memoryview | None) -> None:
    token = decode_token(write.tensor, "write.tensor")
    if context.shares_memory:
        if write.HasField("data") or write.offset:
            raise CodecError(Reason.WRITE_FORM, "write.data")
        context.scheduler.write_slot(token)
    else:
        if not write.HasField("data"):
            raise CodecError(Reason.WRITE_FORM, "write.data")
        context.scheduler.write_bytes(token, write.data if data is None else data, write.offset)


def _read(context: Context, read: timeline_pb2.ReadTensor) -> Iterator[_Result]:
    scheduler = context.scheduler
    tensor = scheduler.read(decode_token(read.tensor, "read.tensor"))
    began = trace.now()
    if tensor.failure is not None:
        yield _Result(scheduler.done, tensor.failure)
    elif context.shares_memory:
        tensor.make_current(in_place=True)
        _copied_out(context, began)
        yield _Result(scheduler.done, None)
    else:
        pieces = content_in_chunks(tensor)
        _copied_out(context, began)
        for piece in pieces:
            yield _Result(scheduler.done, piece.data)


def _copied_out(context: Context, began: int) -> None:
    if trace.recorder is not None:
        trace.recorder.span(trace.Stage.COPY_OUT, began, trace.key_of(context.token), context.scheduler.done)


def _destroy(context: Context, destroy: timeline_pb2.DestroyObject) -> None:
    kind = destroy.WhichOneof("object")
    if kind == "tensor":
        context.scheduler.destroy_tensor(decode_token(destroy.tensor, "destroy.tensor"))
    elif kind == "graph":
        context.scheduler.destroy_graph(decode_token(destroy.graph, "destroy.graph"))
    else:
        raise CodecError(Reason.MISSING_FIELD, "destroy.object")


# --- decoding ---------------------------------------------------------------------------------------------------------


def _decode(data: bytes) -> Sequence[_Command]:
    """The commands of a batch. Strict as `ipc.codec.parse`, but for the order of fields."""
    try:
        rest, views = carved(data, WRITTEN)
        batch = timeline_pb2.CommandBatch.FromString(rest)
    except (WireError, DecodeError) as error:
        raise CodecError(Reason.MALFORMED, "CommandBatch") from error
    if not 1 <= len(batch.commands) <= MAX_COMMANDS:
        raise CodecError(Reason.BATCH_SIZE, "commands")
    size = batch.ByteSize()
    batch.DiscardUnknownFields()
    if batch.ByteSize() != size:
        raise CodecError(Reason.UNKNOWN_FIELD, _with_unknown_fields(timeline_pb2.CommandBatch.FromString(rest)))
    commands = []
    apart = iter(views)
    for command in batch.commands:
        kind = command.WhichOneof("command")
        if kind is None:
            raise CodecError(Reason.MISSING_FIELD, "command")
        is_apart = views and kind == "write" and command.write.HasField("data") and not command.write.data
        commands.append(_Command(command, next(apart, None) if is_apart else None))
    if next(apart, None) is not None:
        raise CodecError(Reason.MALFORMED, "CommandBatch")  # a field that was there twice, and would have had both
    return commands


def _with_unknown_fields(batch: timeline_pb2.CommandBatch) -> str:
    """The name of the first message in a batch that has some."""

    def messages() -> Iterator[Message]:
        yield batch
        for command in batch.commands:
            yield command
            yield from (command.write, command.dispatch, command.read, command.destroy)
            yield from (*command.dispatch.inputs, *command.dispatch.outputs)

    return next(str(message.DESCRIPTOR.name) for message in messages() if len(UnknownFieldSet(message)))
