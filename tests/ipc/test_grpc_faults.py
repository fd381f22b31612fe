"""Calls and batches go wrong as planned, over a real connection; whoever made them hears of it from gRPC."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from ipc.channel import open_grpc_channel
from ipc.faults import Plan
from ipc.grpc_faults import DisturbedCalls, disturb_timelines

SECONDS = 20.0


class Listener(grpc.GenericRpcHandler):  # type: ignore[type-arg]  # no generic at run time
    """Answers every call with what it said, and keeps it.

    Attributes:
        heard: the requests of calls, in the order in which they were served.
    """

    def __init__(self) -> None:
        self.heard: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        if details.method == "/echo/stream":
            return grpc.stream_stream_rpc_method_handler(self._stream)
        return grpc.stream_unary_rpc_method_handler(self._call)

    def _call(self, requests: Iterator[bytes], call: grpc.ServicerContext) -> bytes:
        said = b"".join(requests)
        if call.is_active():
            self.heard.put(said)
        return said

    def _stream(self, requests: Iterator[bytes], call: grpc.ServicerContext) -> Iterator[bytes]:
        yield from requests


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[Listener]:
    listener = Listener()
    with ThreadPoolExecutor(8) as workers:
        server = grpc.server(workers, handlers=[listener])
        server.add_insecure_port(f"unix:{tmp_path / 'socket'}")
        server.start()
        yield listener
        server.stop(None).wait(SECONDS)


@pytest.fixture
def connect(tmp_path: Path, listener: Listener) -> Iterator[Callable[[str], Any]]:
    channels: list[Any] = []

    def connect(plan: str) -> Any:
        channel: Any = open_grpc_channel(f"unix:{tmp_path / 'socket'}")
        parsed = Plan.parse(plan)
        if timeline := parsed.place("renderer.timeline"):
            channel = disturb_timelines(timeline, channel)
        if calls := parsed.place("renderer.call"):
            channel = DisturbedCalls(calls, channel)
        channels.append(channel)
        return channel

    yield connect
    for channel in channels:
        channel.close()


def _make(channel: Any, *said: bytes) -> list[Any]:
    """A call for each, made at once; every other one says it in a stream."""
    calls = []
    for number, it in enumerate(said):
        if number % 2:
            calls.append(channel.stream_unary("/echo/call").future(iter([it[:1], it[1:]]), timeout=SECONDS))
        else:
            calls.append(channel.unary_unary("/echo/call").future(it, timeout=SECONDS))
    return calls


def _heard(listener: Listener, count: int) -> list[bytes]:
    return [listener.heard.get(timeout=SECONDS) for _ in range(count)]


def test_what_no_fault_hits_is_answered(connect: Callable[[str], Any], listener: Listener) -> None:
    calls = _make(connect("renderer.call:drop@3"), b"first", b"second")
    assert [it.result() for it in calls] == [b"first", b"second"]
    assert connect("renderer.call:drop@3").unary_unary("/echo/call")(b"third") == b"third"


def test_a_call_that_is_dropped_is_answered_by_nobody_until_the_connection_ends(
    connect: Callable[[str], Any], listener: Listener
) -> None:
    channel = connect("renderer.call:drop@2")
    first, lost, last = _make(channel, b"first", b"lost", b"last")
    assert first.result() + last.result() == b"firstlast"
    assert sorted(_heard(listener, 2)) == [b"first", b"last"]
    assert not lost.done()
    channel.close()
    assert lost.exception().code() is grpc.StatusCode.CANCELLED


def test_a_call_that_is_duplicated_is_served_twice_and_answered_once(
    connect: Callable[[str], Any], listener: Listener
) -> None:
    for number, said in ((1, [b"twice", b"once"]), (2, [b"once", b"twice"])):
        calls = _make(connect(f"renderer.call:duplicate@{number}"), *said)
        assert [it.result() for it in calls] == said
        assert sorted(_heard(listener, 3)) == [b"once", b"twice", b"twice"]


def test_a_call_that_is_swapped_says_what_it_wants_after_the_next_one(
    connect: Callable[[str], Any], listener: Listener
) -> None:
    channel = connect("renderer.call:swap@1")
    (first,) = _make(channel, b"first")
    assert not first.done()
    (second,) = _make(channel, b"second")
    assert first.result() + second.result() == b"firstsecond"


def test_a_call_that_is_delayed_is_answered_all_the_same(connect: Callable[[str], Any], listener: Listener) -> None:
    calls = _make(connect("renderer.call:delay=0.01@*"), b"first", b"second")
    assert [it.result() for it in calls] == [b"first", b"second"]


@pytest.mark.parametrize("what", ["close-before", "close-after"])
def test_a_connection_that_ends_fails_what_is_open_and_what_comes(
    connect: Callable[[str], Any], listener: Listener, what: str
) -> None:
    channel = connect(f"renderer.call:{what}@2")
    never: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    stream = channel.stream_stream("/echo/stream")(iter(never.get, None))
    never.put(b"open")
    assert next(stream) == b"open"
    calls = _make(channel, b"answered")
    assert calls[0].result() == b"answered"
    calls = _make(channel, b"hit", b"later")
    with pytest.raises(grpc.RpcError):
        next(stream)
    for call in (stream, *calls):
        assert call.code() is grpc.StatusCode.CANCELLED
    never.put(None)


def test_batches_of_a_stream_go_wrong_as_planned(connect: Callable[[str], Any], listener: Listener) -> None:
    for what, arrived in (("drop", b"134"), ("duplicate", b"12234"), ("swap", b"1324"), ("close-before", b"1")):
        stream = connect(f"renderer.timeline:{what}@2").stream_stream("/echo/stream")
        assert b"".join(stream(iter([b"1", b"2", b"3", b"4"]), timeout=SECONDS)) == arrived
