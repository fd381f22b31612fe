"""The calls of the service, with the stream of a timeline as its two ends want it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ipc.generated.webnn.v1.context_pb2_grpc import WebNNStub

_TIMELINE = "/webnn.v1.WebNN/Timeline"


class ServiceStub(WebNNStub):
    """What `protoc` generates; but a timeline's batches are bytes, which both ends encode and decode themselves."""

    def __init__(self, channel: Any) -> None:
        super().__init__(channel)  # type: ignore[no-untyped-call]
        self._channel = channel

    def open_timeline(
        self, batches: Iterator[bytes], received: Callable[[bytes], object], metadata: tuple[tuple[str, Any], ...]
    ) -> Any:
        """Begin a call of `Timeline`.

        Args:
            batches: serialised command batches; asked in a thread of gRPC's.
            received: takes a serialised completion batch, in the thread of gRPC's that has received it, which does
                nothing else meanwhile for the whole channel; what it returns is what the call yields, and not None.
        """
        return self._channel.stream_stream(_TIMELINE, response_deserializer=received)(batches, metadata=metadata)
