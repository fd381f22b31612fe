"""A session that has ended takes nothing on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gpu_process.backends import BackendOptions, load_backend
from gpu_process.context import ContextEnded
from gpu_process.poller import Poller
from gpu_process.quotas import Quotas
from gpu_process.session import Session, SessionEnded
from ipc.channel import pair
from ipc.operators import declared_limits
from ipc.verdicts import BadMessage


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


@pytest.fixture
def session(reports: list[tuple[int, str, str]]) -> Iterator[Session]:
    ours, theirs = pair()
    session = Session(7, theirs, "unix:/nowhere", Quotas(), lambda *report: reports.append(report), _Service())
    yield session
    session.abandon()
    ours.close()


def test_a_context_that_comes_too_late_is_not_made(session: Session) -> None:
    backend = load_backend("reference", BackendOptions())
    context = session.create_context(backend, declared_limits(), "stream", in_place=True)
    assert session.context(context.token) is context
    session.end()
    assert context.ended
    with pytest.raises(SessionEnded):
        session.create_context(backend, declared_limits(), "stream", in_place=True)
    assert session.status()["contexts"] == 0


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


def test_its_end_is_told_once(session: Session, reports: list[tuple[int, str, str]]) -> None:
    session.end()
    session.end()
    session.abandon()
    assert reports == [(7, "", "")]


def test_a_region_of_a_session_that_is_gone_is_not_looked_for(session: Session) -> None:
    session.end()
    with pytest.raises(SessionEnded):
        session.region(b"r" * 16)
