"""What the service does for each gRPC call, once its session is known. Nothing here knows of gRPC but its messages.

Every function takes a message that was parsed strictly and returns the reply. Errors that a correct renderer can meet
are in the reply; a bad message is raised.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from gpu_process import quotas
from gpu_process.backends import Backend, BackendError
from gpu_process.bound_graph import GraphObject
from gpu_process.constants import constant_arrays
from gpu_process.context import Context, ContextEnded
from gpu_process.graph_parts import check_parts
from gpu_process.running_note import Running, Work
from gpu_process.session import Session
from gpu_process.tensors import ConstantTensor
from gpu_process.timeline import decode_named
from gpu_process.validation import check_cost, check_graph_quotas, check_region_part, validate_graph
from ipc import trace
from ipc.codec import (
    CodecError,
    decode_descriptor,
    decode_graph,
    decode_token,
    encode_error,
    encode_limits,
    parse,
)
from ipc.descriptors import MAX_TENSOR_BYTES, Descriptor
from ipc.errors import InvalidStateError, MLError, NotSupportedError, OperationError, QuotaExceededError, UnknownError
from ipc.generated.webnn.v1 import common_pb2, context_pb2, graph_pb2
from ipc.limits import SupportLimits
from ipc.operators import with_int4
from ipc.shared_memory import Region
from ipc.timeline.limits import MAX_DEFINITIONS
from ipc.verdicts import BadMessage
from ipc.verdicts import BadMessageReason as Reason

logger = logging.getLogger(__name__)

_CARRIERS: Final = {
    context_pb2.CARRIER_INLINE: "inline",
    context_pb2.CARRIER_STREAM: "stream",
    context_pb2.CARRIER_RING: "ring",
}
_POWER_PREFERENCES: Final = frozenset(context_pb2.PowerPreference.values()) - {context_pb2.POWER_PREFERENCE_UNSPECIFIED}


_Created = TypeVar("_Created")


@dataclass(frozen=True, slots=True)
class Service:
    """What all sessions share.

    Attributes:
        backends: by name.
        in_place: whether any graph may use memory that a renderer can change.
        running: told the session's number before work for it begins, and 0 after.
    """

    backends: Mapping[str, Backend]
    in_place: bool
    running: Running


def create_context(
    service: Service, session: Session, request: context_pb2.CreateContextRequest
) -> context_pb2.CreateContextReply:
    if request.power_preference not in _POWER_PREFERENCES:
        raise CodecError(Reason.UNKNOWN_ENUM_VALUE, "power_preference")
    if request.carrier not in _CARRIERS:
        raise CodecError(Reason.UNKNOWN_ENUM_VALUE, "carrier")
    try:
        backend = service.backends.get(request.backend)
        if backend is None:
            raise NotSupportedError(f"this GPU process has the backends {', '.join(service.backends)}")
        limits = _limits(backend, int4=request.experimental_int4)
        context = session.create_context(backend, limits, _CARRIERS[request.carrier], in_place=service.in_place)
    except (MLError, MemoryError) as error:
        return context_pb2.CreateContextReply(error=_error(error))
    note = f"{backend.name} finds no accelerated device here and runs on the CPU" if request.accelerated else ""
    info = context_pb2.ContextInfo(
        token=context.token, backend=backend.name, limits=encode_limits(limits), devices=["cpu"], device_note=note
    )
    return context_pb2.CreateContextReply(context=info)


def _limits(backend: Backend, *, int4: bool) -> SupportLimits:
    limits = backend.support_limits()
    return with_int4(limits) if int4 else limits


def destroy_context(service: Service, session: Session, request: context_pb2.DestroyContextRequest) -> common_pb2.Empty:
    del service
    try:
        session.end_context(session.context(decode_token(request.context, "context")))
    except ContextEnded as ended:
        logger.debug("destroyed again: %s", ended)
    return common_pb2.Empty()


def create_tensor(
    service: Service, session: Session, request: context_pb2.CreateTensorRequest
) -> context_pb2.CreateTensorReply:
    del service
    try:
        context = session.context(decode_token(request.context, "context"))
        descriptor = _descriptor(request, context)
        tensor = _with_room(
            context,
            request.after,
            session.limit.wait_seconds,
            lambda: context.create_tensor(descriptor, readable=request.readable, writable=request.writable),
        )
    except (MLError, MemoryError, ContextEnded) as error:
        return context_pb2.CreateTensorReply(error=_error(error))
    info = context_pb2.TensorInfo(token=tensor.token)
    for target, slot in zip((info.slot, info.spare), tensor.slots, strict=False):
        target.region = slot.region
        target.offset = slot.offset
    return context_pb2.CreateTensorReply(tensor=info)


def create_constant_tensor(
    service: Service, session: Session, request: context_pb2.CreateConstantTensorRequest
) -> context_pb2.CreateTensorReply:
    del service
    try:
        context = session.context(decode_token(request.context, "context"))
        descriptor = _descriptor(request, context)
        if not context.limits.constant.allows(descriptor):
            raise BadMessage(Reason.UNSUPPORTED_CONSTANT, "descriptor")
        region = session.region(decode_token(request.region, "region"))
        check_region_part(descriptor, None if region is None else region.size, request.offset, "region")
        assert region is not None
        data = region.memory[request.offset : request.offset + descriptor.byte_length]
        tensor = _with_room(
            context,
            request.after,
            session.limit.wait_seconds,
            lambda: context.create_constant_tensor(descriptor, data),
        )
    except (MLError, MemoryError, ContextEnded) as error:
        return context_pb2.CreateTensorReply(error=_error(error))
    return context_pb2.CreateTensorReply(tensor=context_pb2.TensorInfo(token=tensor.token))


def _with_room(context: Context, after: int, seconds: float, create: Callable[[], _Created]) -> _Created:
    """Create something; what does not fit may fit when all that was destroyed before is gone."""
    try:
        return create()
    except QuotaExceededError:
        if not context.scheduler.wait_for(after, seconds):
            raise
        return create()


def _descriptor(
    request: context_pb2.CreateTensorRequest | context_pb2.CreateConstantTensorRequest, context: Context
) -> Descriptor:
    if not request.HasField("descriptor"):
        raise CodecError(Reason.MISSING_FIELD, "descriptor")
    limit = min(context.limits.max_tensor_byte_length, MAX_TENSOR_BYTES)
    return decode_descriptor(request.descriptor, "descriptor", limit)


def define_bindings(
    service: Service, session: Session, request: context_pb2.DefineBindingsRequest
) -> context_pb2.DefineBindingsReply:
    """Validate graphs with their tensors for a ring, whose commands are too small to say it."""
    del service
    if not 1 <= len(request.bindings) <= MAX_DEFINITIONS:
        raise BadMessage(Reason.BATCH_SIZE, "bindings")
    try:
        context = session.context(decode_token(request.context, "context"))
        if context.carrier != "ring":
            raise BadMessage(Reason.WRONG_CARRIER, "context")
        for binding in request.bindings:
            context.scheduler.define(
                binding.number,
                decode_token(binding.graph, "bindings.graph"),
                decode_named(binding.inputs, "bindings.inputs"),
                decode_named(binding.outputs, "bindings.outputs"),
            )
    except ContextEnded as error:
        return context_pb2.DefineBindingsReply(error=_error(error))
    return context_pb2.DefineBindingsReply()


def create_graph(service: Service, session: Session, chunks: Iterator[bytes]) -> context_pb2.CreateGraphReply:
    """Take a graph in pieces, wait for its place in the timeline, validate and compile it."""
    try:
        head = next(chunks, None)
        if head is None:
            raise _cut_short(0, 0)
        first = parse(context_pb2.CreateGraphChunk, head)
        context = session.context(decode_token(first.context, "context"))
        quotas.check("graph_message_bytes", first.total_bytes, session.limit.graph_message_bytes)
        data = _assemble(first, chunks)
        made = _build(service, session, context, data, first.after)
    except (MLError, MemoryError, ContextEnded) as error:
        return context_pb2.CreateGraphReply(error=_error(error))
    return context_pb2.CreateGraphReply(graph=context_pb2.GraphInfo(token=made.token, devices=made.compiled.devices))


def _assemble(first: context_pb2.CreateGraphChunk, chunks: Iterable[bytes]) -> bytes:
    """All pieces together; never more is kept than was declared and checked."""
    total = first.total_bytes
    data = bytearray(first.data)
    if len(data) > total or not total:
        raise BadMessage(Reason.GRAPH_SIZE, "total_bytes")
    for serialised in chunks:
        chunk = parse(context_pb2.CreateGraphChunk, serialised)
        if chunk.context or chunk.total_bytes or chunk.after or not chunk.data:
            raise BadMessage(Reason.GRAPH_SIZE, "chunk")
        data += chunk.data
        if len(data) > total:
            raise BadMessage(Reason.GRAPH_SIZE, "data")
    if len(data) != total:
        raise _cut_short(len(data), total)
    return bytes(data)


def _cut_short(received: int, total: int) -> OperationError:
    """Not a bad message: a stream that its sender cancels may look as if it had ended."""
    return OperationError(f"build: the graph ended after {received} of {total} bytes")


def _build(service: Service, session: Session, context: Context, data: bytes, after: int) -> GraphObject:
    check_parts(data, session.limit)
    message = parse(graph_pb2.Graph, data)
    check_graph_quotas(message, session.limit)
    key = trace.key_of(context.token)
    with trace.stage(trace.Stage.DECODE_GRAPH, key):
        graph = decode_graph(message, min(context.limits.max_tensor_byte_length, MAX_TENSOR_BYTES))
    if not context.scheduler.wait_for(after, session.limit.wait_seconds):
        if context.ended:
            raise ContextEnded("the context is destroyed")
        raise OperationError(f"build: command {after} of the timeline was not done in {session.limit.wait_seconds} s")
    sources = _Sources(session, context)
    with trace.stage(trace.Stage.VALIDATE_GRAPH, key):
        validate_graph(graph, context.limits, sources)
    check_cost(graph, session.limit)
    arrays = constant_arrays(graph, sources.regions, sources.tensors)
    del sources  # a region that the backend copies from should go once nobody needs it
    service.running(session.number, Work.BUILD)
    try:
        with trace.stage(trace.Stage.COMPILE, key):
            compiled = context.backend.compile(graph, arrays)
    except BackendError as error:
        raise OperationError(f"build: {error}") from error
    finally:
        service.running(0)
    try:
        return context.add_graph(graph, compiled)
    except BaseException:
        compiled.close()
        raise


class _Sources:
    """Where a graph's constants come from; what was looked up stays, whatever the renderer does meanwhile."""

    def __init__(self, session: Session, context: Context) -> None:
        self._session = session
        self._context = context
        self.regions: dict[bytes, Region] = {}
        self.tensors: dict[bytes, ConstantTensor] = {}

    def region_size(self, token: bytes) -> int | None:
        region = self.regions.get(token) or self._session.region(token)
        if region is None:
            return None
        self.regions[token] = region
        return region.size

    def tensor_descriptor(self, token: bytes) -> Descriptor | None:
        tensor = self._context.tensors.get(token)
        if tensor is None:
            return None
        if not isinstance(tensor, ConstantTensor):
            raise BadMessage(Reason.NOT_A_CONSTANT_TENSOR, "constants.tensor")
        self.tensors[token] = tensor
        return tensor.descriptor


def _error(error: MLError | MemoryError | ContextEnded) -> common_pb2.Error:
    if isinstance(error, ContextEnded):
        return encode_error(InvalidStateError(str(error)))
    if isinstance(error, MemoryError):
        return encode_error(UnknownError(f"out of memory: {error}"))
    return encode_error(error)
