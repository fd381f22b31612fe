"""What `ipc.faults` does to gRPC: to the batches of a timeline, and to calls as a whole."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Self, TypeVar

import grpc

from ipc.faults import Place, Traffic

T = TypeVar("T")


def disturb_timelines(place: Place, channel: grpc.Channel) -> grpc.Channel:
    """The channel with faults in what its streams carry."""

    class Disturbance(grpc.StreamStreamClientInterceptor):  # type: ignore[type-arg]  # no generic at run time
        def intercept_stream_stream(self, continuation: Any, details: Any, batches: Iterator[Any]) -> Any:
            return continuation(details, _disturbed(place, batches))

    return grpc.intercept_channel(channel, Disturbance())


def _disturbed(place: Place, batches: Iterator[T]) -> Iterator[T]:
    traffic = Traffic(place)
    ready: list[T] = []
    closed = False

    def close() -> None:
        nonlocal closed
        closed = True

    for batch in batches:

        def deliver(it: T = batch) -> None:
            if not closed:
                ready.append(it)

        traffic.send(deliver, lambda late=deliver: late, close)  # type: ignore[misc]
        yield from ready
        ready.clear()
        if closed:
            return


# --- calls ------------------------------------------------------------------------------------------------------------


class DisturbedCalls(grpc.Channel):
    """A channel with faults in its calls that have one reply; a stream only ends with the others.

    A call is opened in any case. What a fault decides is when its request follows: never, so that there is no reply
    until the connection ends, or after that of the next call.
    """

    def __init__(self, place: Place, channel: grpc.Channel) -> None:
        self._channel = channel
        self._traffic = Traffic(place)
        self._lock = threading.Lock()
        self._open: set[Any] = set()
        self._has_ended = False

    def unary_unary(self, method: str, *coders: Any, **options: Any) -> Any:
        # To the other side this is the same, but here the request can be kept back while the call is open already.
        return _Calls(self, self._stream_unary(method, coders, options), lambda request: [request])

    def stream_unary(self, method: str, *coders: Any, **options: Any) -> Any:
        return _Calls(self, self._stream_unary(method, coders, options), list)

    def stream_stream(self, method: str, *coders: Any, **options: Any) -> Any:
        begin: Any = self._channel.stream_stream(method, *coders, **options)
        return lambda requests, **named: self.watched(begin(requests, **named))

    def unary_stream(self, method: str, *coders: Any, **options: Any) -> Any:
        begin: Any = self._channel.unary_stream(method, *coders, **options)
        return lambda request, **named: self.watched(begin(request, **named))

    def _stream_unary(self, method: str, coders: Sequence[Any], options: dict[str, Any]) -> Any:
        kind: Any = self._channel.stream_unary
        return kind(method, *coders, **options)

    def make(self, begin: Callable[[Iterator[Any]], Any], requests: Sequence[Any]) -> Any:
        """Make a call, or not quite; returns gRPC's object for it."""
        call, send = self._opened(begin, requests)
        sent = False

        def deliver() -> None:
            nonlocal sent
            first, sent = not sent, True
            (send if first else self._opened(begin, requests)[1])()

        self._traffic.send(deliver, lambda: deliver, self._end)
        return call

    def _opened(self, begin: Callable[[Iterator[Any]], Any], requests: Sequence[Any]) -> tuple[Any, Callable[[], None]]:
        """A new call, and what sends its request."""
        go = threading.Event()

        def when_it_goes() -> Iterator[Any]:
            go.wait()  # in a thread of gRPC's
            yield from requests

        call = self.watched(begin(when_it_goes()))
        call.add_done_callback(lambda _: go.set())
        return call, go.set

    def watched(self, call: Any) -> Any:
        """The call, which will end with the connection."""
        with self._lock:
            self._open.add(call)
            has_ended = self._has_ended
        call.add_done_callback(self._over)
        if has_ended:
            call.cancel()
        return call

    def _over(self, call: Any) -> None:
        with self._lock:
            self._open.discard(call)

    def _end(self) -> None:
        """As if the connection were lost: calls fail, those that are still to come as well."""
        with self._lock:
            self._has_ended = True
            calls = list(self._open)
        for call in calls:
            call.cancel()

    def subscribe(self, callback: Any, try_to_connect: bool = False) -> None:
        self._channel.subscribe(callback, try_to_connect)

    def unsubscribe(self, callback: Any) -> None:
        self._channel.unsubscribe(callback)

    def close(self) -> None:
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Calls:
    """What a stub calls for one method."""

    def __init__(self, channel: DisturbedCalls, begin: Any, requests: Callable[[Any], Sequence[Any]]) -> None:
        self._channel = channel
        self._begin = begin
        self._requests = requests

    def __call__(self, request: Iterable[Any], **options: Any) -> Any:
        return self.future(request, **options).result()

    def future(self, request: Iterable[Any], **options: Any) -> Any:
        def begin(requests: Iterator[Any]) -> Any:
            return self._begin.future(requests, **options)

        return self._channel.make(begin, self._requests(request))
