"""Calls that are refused take no thread, and those that are admitted give their place back in time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from gpu_process import admission
from gpu_process.admission import Admission, Strangers
from gpu_process.quotas import Account
from ipc.channel import open_grpc_channel
from ipc.errors import QuotaExceededError
from tests.service_rig import SECONDS, quotas, running


@pytest.fixture
def workers() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as executor:
        yield executor


def _ask(place: Admission, found: list[object]) -> Callable[[], None]:
    """What gRPC would execute: takes its place, and says in which thread that was, or why there was none."""

    def task() -> None:
        try:
            with place.place():
                found.append(threading.current_thread())
        except QuotaExceededError as refusal:
            found.append(refusal)

    return task


def test_who_has_room_gets_a_thread_and_gives_its_place_back(workers: ThreadPoolExecutor) -> None:
    account = Account("calls", 1)
    found: list[object] = []
    for _ in range(2):
        place = Admission(account, workers)
        place.submit(_ask(place, found)).result(SECONDS)
        assert account.used == 0
    assert all(isinstance(it, threading.Thread) and it is not threading.current_thread() for it in found)
    assert len(found) == 2


def test_who_has_none_is_refused_where_it_asked_even_if_there_is_room_by_then(workers: ThreadPoolExecutor) -> None:
    account = Account("calls", 1)
    account.charge(1)
    place = Admission(account, workers)
    found: list[object] = []
    ask = _ask(place, found)

    def later() -> None:
        account.credit(1)
        assert threading.current_thread() is threading.main_thread()
        ask()

    assert place.submit(later).done()
    assert isinstance(found[0], QuotaExceededError), "it would have worked where gRPC announces calls"
    assert account.used == 0


def test_a_place_is_taken_when_the_call_comes_not_when_a_thread_is_free(workers: ThreadPoolExecutor) -> None:
    account = Account("calls", 1)
    free = threading.Event()
    blocked = [workers.submit(free.wait, SECONDS) for _ in range(2)]
    found: list[object] = []
    places = [Admission(account, workers) for _ in range(2)]
    first, second = (place.submit(_ask(place, found)) for place in places)
    assert second.done()
    assert not first.done()
    free.set()
    first.result(SECONDS)
    assert isinstance(found[0], QuotaExceededError)
    assert isinstance(found[1], threading.Thread)
    assert all(it.result() for it in blocked)


def test_a_call_whose_executor_was_not_passed_on_is_charged_as_well() -> None:
    account = Account("calls", 0)
    with pytest.raises(QuotaExceededError), Admission(account, ThreadPoolExecutor(1)).place():
        pass


def test_strangers_are_refused_one_by_one_by_one_thread_and_on_the_spot_if_there_are_too_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(admission, "_WAITING", 2)
    strangers = Strangers()
    refused: list[tuple[int, threading.Thread]] = []
    for number in range(4):
        done = strangers.submit(lambda it=number: refused.append((it, threading.current_thread())))
        assert done.done(), "it would count among the calls that gRPC allows"
    assert refused == [(number, threading.current_thread()) for number in (2, 3)]
    thread = threading.Thread(target=strangers.run)
    thread.start()
    strangers.end()
    thread.join(SECONDS)
    assert refused[2:] == [(0, thread), (1, thread)]


# --- over the wire ----------------------------------------------------------------------------------------------------


def _calls_threads() -> set[str]:
    return {thread.name for thread in threading.enumerate() if thread.name.startswith("webnn-call")}


def _refusals(address: str, metadata: Any, method: str, count: int) -> list[Any]:
    connected: Any = open_grpc_channel(address)
    with connected as channel:
        call = channel.stream_unary(f"/webnn.v1.WebNN/{method}")
        pending = [call.future(iter([b""]), metadata=metadata, timeout=SECONDS) for _ in range(count)]
        return [(it.exception() and it.exception().code(), it) for it in pending]


def test_strangers_take_no_thread_from_anybody(tmp_path: Path) -> None:
    with running(tmp_path) as rig:
        before = _calls_threads()
        found = _refusals(rig.service.address, (), "CreateContext", 300)
        assert {code for code, _ in found} == {grpc.StatusCode.UNAUTHENTICATED}
        assert _calls_threads() == before


@pytest.mark.parametrize("method", ["CreateTensor", "CreateGraph", "DestroyContext"])
def test_calls_beyond_a_quota_take_no_thread_from_anybody(tmp_path: Path, method: str) -> None:
    with running(tmp_path, quotas=quotas(calls=0, builds=0, ends=0)) as rig:
        before = _calls_threads()
        renderer = rig.renderer()
        found = _refusals(rig.service.address, renderer.metadata, method, 100)
        ends = method == "DestroyContext"
        assert {code for code, _ in found} == {grpc.StatusCode.RESOURCE_EXHAUSTED if ends else None}
        assert _calls_threads() == before
