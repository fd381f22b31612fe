"""A session by itself: what it finds in its socket, and that it takes nothing on once it has ended."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator

import pytest

from gpu_process.backends import BackendOptions, load_backend
from gpu_process.context import ContextEnded
from gpu_process.poller import Poller
from gpu_process.quotas import Quotas
from gpu_process.session import Session, SessionEnded
from ipc.channel import PROTOCOL_VERSION, ChannelClosed, MessageSocket, pair
from ipc.generated.webnn.v1 import session_pb2
from ipc.operators import declared_limits
from ipc.shared_memory import seal_constants
from ipc.verdicts import BadMessage
from ipc.verdicts import BadMessageReason as Reason
from tests.service_rig import FLOAT, SECONDS

TOKEN = b"r" * 16


class _Service:
    """What a session needs that does nothing."""

    poller: Poller

    def running(self, number: int, begins: bool, /) -> None:
        """Nobody asks."""

    def done_by_others(self, number: int, /) -> int:
        return 0


class _Call:
    """A call in flight."""

    cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


@pytest.fixture
def reports() -> list[tuple[int, str, str]]:
    return []


Renderer = MessageSocket[session_pb2.SessionMessage, session_pb2.SessionMessage]


@pytest.fixture
def ends() -> tuple[socket.socket, socket.socket]:
    return pair()


@pytest.fixture
def renderer(ends: tuple[socket.socket, socket.socket]) -> Iterator[Renderer]:
    with MessageSocket(ends[0], session_pb2.SessionMessage, session_pb2.SessionMessage) as renderer:
        yield renderer


@pytest.fixture
def session(
    ends: tuple[socket.socket, socket.socket], renderer: Renderer, reports: list[tuple[int, str, str]]
) -> Iterator[Session]:
    """One that nobody runs: what comes is taken when it is looked for."""
    session = Session(7, ends[1], "unix:/nowhere", Quotas(), lambda *report: reports.append(report), _Service())
    yield session
    session.abandon()


def _greet(renderer: Renderer) -> None:
    renderer.send(session_pb2.SessionMessage(hello=session_pb2.Hello(protocol_version=PROTOCOL_VERSION)))


def _offer(renderer: Renderer) -> None:
    """A region that is called `TOKEN`."""
    fd = seal_constants([b"constants"], "test")
    offered = session_pb2.RegionOffered(token=TOKEN, size=9)
    renderer.send(session_pb2.SessionMessage(region_offered=offered), [fd])
    os.close(fd)


def test_a_region_is_found_in_the_socket_by_whoever_looks_for_it(session: Session, renderer: Renderer) -> None:
    _greet(renderer)
    _offer(renderer)
    region = session.region(TOKEN)
    assert region is not None
    assert bytes(region.memory) == b"constants"
    assert session.region(TOKEN) is region
    assert session.region(b"u" * 16) is None


def test_a_region_that_is_offered_before_the_greeting_ends_it(
    session: Session, renderer: Renderer, reports: list[tuple[int, str, str]]
) -> None:
    _offer(renderer)
    with pytest.raises(SessionEnded):
        session.region(TOKEN)
    closed, _ = renderer.receive(SECONDS)
    assert closed.closed.reason == "unexpected_message"
    assert reports == [(7, "unexpected_message", "region_offered")]


def test_a_context_that_comes_too_late_is_not_made(session: Session) -> None:
    backend = load_backend("reference", BackendOptions())
    context = session.create_context(backend, declared_limits(), "stream", in_place=True)
    assert session.context(context.token) is context
    session.end()
    assert context.ended
    with pytest.raises(SessionEnded):
        session.create_context(backend, declared_limits(), "stream", in_place=True)
    assert session.status()["contexts"] == 0


def test_one_that_nobody_runs_ends_when_it_is_abandoned(session: Session, reports: list[tuple[int, str, str]]) -> None:
    session.abandon()
    assert session.ended
    assert reports == [(7, "", "")]


def test_of_two_bad_messages_at_once_the_first_is_told(
    session: Session, renderer: Renderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = BadMessage(Reason.SEQUENCE, "here"), BadMessage(Reason.MALFORMED, "there")
    with monkeypatch.context() as patch:
        patch.setattr(session, "end", lambda: None)  # the second comes before the end
        assert session.close_for(first).reason is Reason.SEQUENCE
        assert session.close_for(second).reason is Reason.SEQUENCE
    session.end()
    closed, _ = renderer.receive(SECONDS)
    assert (closed.closed.reason, closed.closed.field) == ("sequence", "here")
    with pytest.raises(ChannelClosed):
        renderer.receive(SECONDS)


def test_a_bad_message_after_the_end_is_nobodys(
    session: Session, reports: list[tuple[int, str, str]], caplog: pytest.LogCaptureFixture
) -> None:
    session.end()
    assert session.close_for(BadMessage(Reason.SEQUENCE, "late")).reason is Reason.SEQUENCE
    assert reports == [(7, "", "")]
    assert [record for record in caplog.records if record.levelname == "WARNING"] == []


def test_it_looks_into_its_socket_only_when_something_is_there(
    session: Session, renderer: Renderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, drain = [0], session._drain

    def counted() -> None:
        looks[0] += 1
        drain()

    monkeypatch.setattr(session, "_drain", counted)
    thread = threading.Thread(target=session.run)
    thread.start()
    granted, _ = renderer.receive(SECONDS)
    assert granted.granted.protocol_version == PROTOCOL_VERSION
    _greet(renderer)
    renderer.close()
    thread.join(SECONDS)
    assert session.ended
    assert looks[0] <= 2, "once for the greeting, once for the end"


def test_the_last_contexts_that_ended_are_remembered(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpu_process.session._REMEMBERED_ENDS", 2)
    backend = load_backend("reference", BackendOptions())
    contexts = [session.create_context(backend, declared_limits(), "stream", in_place=True) for _ in range(3)]
    for context in contexts:
        session.end_context(context)
        session.end_context(context)
    with pytest.raises(BadMessage, match="unknown_context"):
        session.context(contexts[0].token)
    for context in contexts[1:]:
        with pytest.raises(ContextEnded):
            session.context(context.token)


def test_a_call_that_is_under_way_is_cancelled_and_no_other_begins(session: Session) -> None:
    under_way, over, late = _Call(), _Call(), _Call()
    session.enter(under_way)
    session.enter(over)
    session.leave(over)
    assert session.status()["calls"] == 1
    session.end()
    with pytest.raises(SessionEnded):
        session.enter(late)
    assert (under_way.cancelled, over.cancelled, late.cancelled) == (True, False, False)
    assert session.pace._over.is_set(), "whoever rests need not rest any longer"


def test_its_end_is_told_once(session: Session, reports: list[tuple[int, str, str]]) -> None:
    session.end()
    session.end()
    session.abandon()
    assert reports == [(7, "", "")]


def test_all_memory_goes_with_the_end(session: Session, renderer: Renderer) -> None:
    _greet(renderer)
    _offer(renderer)
    unmapped = threading.Event()
    region = session.region(TOKEN)
    assert region is not None
    region.when_unmapped(unmapped.set)
    del region
    backend = load_backend("reference", BackendOptions())
    context = session.create_context(backend, declared_limits(), "stream", in_place=True)
    context.create_tensor(FLOAT, readable=True, writable=True)
    assert session.status()["pool_bytes"] != 0
    session.end()
    assert session.status()["pool_bytes"] == 0
    assert unmapped.is_set()


def test_whoever_looks_for_a_region_may_find_the_end(
    session: Session, renderer: Renderer, reports: list[tuple[int, str, str]]
) -> None:
    renderer.close()
    with pytest.raises(SessionEnded):
        session.region(TOKEN)
    assert reports == [(7, "", "")]


def test_what_is_still_in_the_socket_after_the_end_is_not_taken(session: Session, renderer: Renderer) -> None:
    _greet(renderer)
    _offer(renderer)
    session.end()
    with pytest.raises(SessionEnded):
        session.region(TOKEN)
    assert session._memory.regions.get(TOKEN) is None


def test_a_region_of_a_session_that_ends_meanwhile_is_not_unknown(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "_drain", session.end)  # as another thread may
    with pytest.raises(SessionEnded):
        session.region(TOKEN)


def test_a_region_of_a_session_that_is_gone_is_not_looked_for(session: Session) -> None:
    session.end()
    with pytest.raises(SessionEnded):
        session.region(TOKEN)
