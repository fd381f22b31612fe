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
from ipc.generated.webnn.v1 import timeline_pb2
from ipc.timeline.limits import CHUNK_BYTES, MAX_COMMANDS
from ipc.verdicts import BadMessageReason as Reason

_PATIENCE = 0.001  # seconds that a result waits for more of its batch


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
        return 0 if trace.recorder is None else trace.recorder.span(stage, began, key, first, last)

    for data in batches:
        began = trace.now()
        with floor:
            commands = _decode(data)
        steps = _execute(context, commands, floor)
        began = record(trace.Stage.DECODE, began, commands[0].sequence, commands[-1].sequence)
        finished = False
        while not finished:
            running(True)
            before = context.scheduler.done
            with floor, context.scheduler.turn():
                record(trace.Stage.QUEUE, began, before + 1, commands[-1].sequence)
                began = trace.now()
                completions, finished = _collect(steps, running)
                began = record(trace.Stage.EXECUTE, began, before + 1, context.scheduler.done)
                if finished:
                    completions.completions.add(sequence=context.scheduler.done)
            running(False)
            reply = completions.SerializeToString()
            began = record(trace.Stage.COMPLETE, began, before + 1, context.scheduler.done)
            yield reply
        if context.ended:
            return


@dataclass(frozen=True, slots=True)
class _Result:
    """Of a read: a piece of the bytes, nothing where they are in the slot, or why there are none."""

    sequence: int
    content: bytes | OperationError | None


def _collect(
    steps: Iterator[_Result | None], running: Callable[[bool], None]
) -> tuple[timeline_pb2.CompletionBatch, bool]:
    """Execute commands until a result should not wait any longer; whether all are done."""
    batch = timeline_pb2.CompletionBatch()
    size, started = 0, time.monotonic()
    for result in steps:
        if result is None:
            running(True)  # the next command's time begins
            continue
        completion = batch.completions.add(sequence=result.sequence)
        if isinstance(result.content, bytes):
            completion.read.data = result.content
            size += len(result.content)
        elif result.content is None:
            completion.read.in_slot.SetInParent()
        else:
            completion.read.error.CopyFrom(encode_error(result.content))
        if size >= CHUNK_BYTES or time.monotonic() - started > _PATIENCE:
            return batch, False
    return batch, True


def _execute(
    context: Context, commands: Iterable[timeline_pb2.Command], floor: threading.Lock
) -> Iterator[_Result | None]:
    """Execute commands one by one, in turns of the scheduler; stops where the context ends."""
    scheduler = context.scheduler
    for command in commands:
        if context.ended:
            return
        scheduler.begin(command.sequence)
        kind = command.WhichOneof("command")
        if kind == "dispatch":
            _dispatch(context, command.dispatch, floor)
        elif kind == "read":
            yield from _read(context, command.read)
        elif kind == "write":
            _write(context, command.write)
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


def _write(context: Context, write: timeline_pb2.WriteTensor) -> None:
    token = decode_token(write.tensor, "write.tensor")
    if context.shares_memory:
        if write.HasField("data") or write.offset:
            raise CodecError(Reason.WRITE_FORM, "write.data")
        context.scheduler.write_slot(token)
    else:
        if not write.HasField("data"):
            raise CodecError(Reason.WRITE_FORM, "write.data")
        context.scheduler.write_bytes(token, write.data, write.offset)


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
        for piece in content_in_chunks(tensor):
            data = piece.tobytes()
            _copied_out(context, began)
            yield _Result(scheduler.done, data)
            began = trace.now()


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


def _decode(data: bytes) -> Sequence[timeline_pb2.Command]:
    """The commands of a batch. Strict as `ipc.codec.parse`, but without encoding megabytes again to compare sizes."""
    try:
        batch = timeline_pb2.CommandBatch.FromString(data)
    except DecodeError as error:
        raise CodecError(Reason.MALFORMED, "CommandBatch") from error
    commands = batch.commands
    if not 1 <= len(commands) <= MAX_COMMANDS:
        raise CodecError(Reason.BATCH_SIZE, "commands")
    _refuse_unknown_fields(batch)
    for command in commands:
        _refuse_unknown_fields(command)
        kind = command.WhichOneof("command")
        if kind is None:
            raise CodecError(Reason.MISSING_FIELD, "command")
        _refuse_unknown_fields(getattr(command, kind))
        if kind == "dispatch":
            for item in (*command.dispatch.inputs, *command.dispatch.outputs):
                _refuse_unknown_fields(item)
    return commands


def _refuse_unknown_fields(message: Message) -> None:
    if len(UnknownFieldSet(message)):
        raise CodecError(Reason.UNKNOWN_FIELD, message.DESCRIPTOR.name)
