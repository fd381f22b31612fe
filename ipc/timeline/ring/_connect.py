"""A ring's timeline, with the calls that it needs beside the ring."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ipc import trace
from ipc.channel import CONTEXT_METADATA, failure_of
from ipc.codec import CodecError, decode_error, parse
from ipc.errors import MLError
from ipc.generated.webnn.v1 import common_pb2, context_pb2, timeline_pb2
from ipc.timeline._client import Binding, Broken
from ipc.timeline.ring.client import RingParts, RingTimeline
from ipc.timeline.ring.ends import RingError
from ipc.timeline.ring.tracing import TracedRingTimeline

if TYPE_CHECKING:
    from ipc.generated.webnn.v1.context_pb2_grpc import WebNNStub


def connect_ring(
    parts: RingParts, stub: WebNNStub, metadata: tuple[tuple[str, Any], ...], broken: Broken, spin: float
) -> RingTimeline:
    """The timeline on a ring; see `ipc.timeline.connect`."""
    context: bytes = dict(metadata)[CONTEXT_METADATA]

    def define(bindings: Sequence[Binding], known: Callable[[], None]) -> None:
        request = context_pb2.DefineBindingsRequest(context=context, bindings=map(_definition, bindings))

        def settle(call: Any) -> None:
            if failure := failure_of(call):
                broken(f"bindings were refused: {failure}")
            elif call.result().HasField("error"):
                broken(f"bindings were refused: {call.result().error.message}")
            else:
                known()

        try:
            stub.DefineBindings.future(request, metadata=metadata).add_done_callback(settle)
        except ValueError as error:  # gRPC's word for a channel that was closed in this moment
            broken(f"bindings can't be defined: {error}")

    if trace.recorder is None:
        return RingTimeline(parts, define, _decode_error, broken, spin)
    traced = TracedRingTimeline(parts, define, _decode_error, broken, spin)
    traced.key = trace.key_of(context)
    return traced


def _definition(binding: Binding) -> context_pb2.BindingDefinition:
    return context_pb2.BindingDefinition(
        number=binding.number,
        graph=binding.graph,
        inputs=[timeline_pb2.TensorBinding(name=name, tensor=tensor.token) for name, tensor in binding.inputs],
        outputs=[timeline_pb2.TensorBinding(name=name, tensor=tensor.token) for name, tensor in binding.outputs],
    )


def _decode_error(data: bytes) -> MLError:
    try:
        return decode_error(parse(common_pb2.Error, data))
    except CodecError as error:
        raise RingError(f"an error that can't be: {error}") from error
